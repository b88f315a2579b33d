"""What a message may do, by what the fleet itself says: the whole table, and what holds in it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.clients.swarm_manager import SwarmNode
from hubfleet.controller.confirm import (
    FEW,
    PATIENCE,
    Facts,
    Verdict,
    confirmed,
    facts_of,
    verdict,
)
from hubfleet.controller.departure import Case, Step, case_of, last_step, node_step
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.messages import HOOK_S
from hubfleet.controller.observe import World
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook, Worker

NOW = 1_800_000_000.0
ONE, TWO, HUB = "i-00000000000000001", "i-00000000000000002", "i-0aaaaaaaaaaaaaaaa"

RUNS = Worker(ONE, State.RUNNING, NOW - 900)
BOOTS = replace(RUNS, state=State.PENDING)
STOPPED = replace(RUNS, state=State.STOPPED)
LEAVES = replace(RUNS, leaving=True)
HOOK = Hook("group", "hook", "token", ONE)
ACT, MARK, LATER, DROP = Verdict.ACT, Verdict.MARK, Verdict.LATER, Verdict.DROP

ENDS = (Kind.TERMINATION, Kind.GONE, Kind.HEALTH)
NOTICES = (Kind.SPOT, Kind.REBALANCE)


def facts(standing: Worker | None, **known: int | bool) -> Facts:
    """Return the facts of a member of a fleet of eight, unless told otherwise."""
    usual = Facts(standing, other=False, listed=False, member=True, under_notice=0, workers=8)
    return replace(usual, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("standing", "by_kind"),
    [
        (None, dict.fromkeys(Kind, ACT)),
        (LEAVES, dict.fromkeys(Kind, ACT)),
        (RUNS, dict.fromkeys(ENDS, LATER) | {Kind.SPOT: ACT, Kind.REBALANCE: MARK}),
        (BOOTS, dict.fromkeys(ENDS, LATER) | {Kind.SPOT: ACT, Kind.REBALANCE: MARK}),
        (STOPPED, dict.fromkeys(ENDS, ACT) | {Kind.SPOT: ACT, Kind.REBALANCE: MARK}),
    ],
    ids=["gone", "leaving", "running", "booting", "stopped"],
)
def test_the_table(standing: Worker | None, by_kind: dict[Kind, Verdict]) -> None:
    for kind in Kind:
        found, why = verdict(Event(kind, ONE, NOW), facts(standing), 1)
        assert found is by_kind[kind], kind
        assert bool(why) == (found in {LATER, DROP})


@pytest.mark.parametrize("kind", Kind)
def test_a_machine_of_another_role_is_no_workers_business(kind: Kind) -> None:
    for standing in (None, RUNS, LEAVES, STOPPED):
        assert verdict(Event(kind, HUB, NOW), facts(standing, other=True), 1)[0] is DROP


@pytest.mark.parametrize("kind", Kind)
def test_one_answer_of_the_fleet_against_its_other_ends_nobody(kind: Kind) -> None:
    found, why = verdict(Event(kind, ONE, NOW), facts(None, listed=True), 1)
    assert found is LATER and "lists" in why


@pytest.mark.parametrize("kind", ENDS)
def test_what_is_not_confirmed_is_read_three_times(kind: Kind) -> None:
    found = [verdict(Event(kind, ONE, NOW), facts(RUNS), n)[0] for n in range(1, PATIENCE + 2)]
    assert found == [LATER, LATER, DROP, DROP]


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize(
    ("workers", "most"), [(1, FEW), (2, FEW), (4, 2), (5, 2), (6, 3), (9, 4), (40, 20)]
)
def test_half_of_the_workers_and_always_two_may_be_under_notice(
    kind: Kind, workers: int, most: int
) -> None:
    def act(under: int) -> bool:
        known = facts(RUNS, under_notice=under, workers=workers)
        return verdict(Event(kind, ONE, NOW), known, 1)[0] in {ACT, MARK}

    assert [act(under) for under in range(most + 2)] == [True] * most + [False] * 2


def test_advice_about_a_worker_that_has_not_joined_waits() -> None:
    assert verdict(Event(Kind.REBALANCE, ONE, NOW), facts(BOOTS, member=False), 1)[0] is LATER


STANDINGS = st.sampled_from([None, RUNS, BOOTS, STOPPED, LEAVES])


@given(
    st.sampled_from(Kind), STANDINGS, st.booleans(), st.booleans(), st.booleans(),
    st.integers(0, 50), st.integers(0, 50), st.integers(1, 9),
)  # fmt: skip
def test_nobody_who_stays_is_ended_by_any_word_but_a_notice(
    kind: Kind, standing: Worker | None, other: bool, listed: bool, member: bool,
    under: int, workers: int, receives: int,
) -> None:  # fmt: skip
    known = Facts(standing, other, listed, member, under, workers)
    found, why = verdict(Event(kind, ONE, NOW), known, receives)
    stays = standing is not None and not standing.leaving and standing.state is not State.STOPPED
    if found is ACT:
        assert not other
        assert not stays or (kind is Kind.SPOT and under < max(FEW, workers // 2))
    else:
        assert found is MARK or why
    if receives >= PATIENCE:
        assert found is not LATER, "it would come again for ever"


def test_facts_are_the_worlds_words_about_that_worker() -> None:
    node = SwarmNode("m1", ONE, "worker", "ready", "active", 4)
    world = World(workers=[RUNS, Worker(TWO, State.RUNNING, NOW)], nodes=[node])
    event = Event(Kind.SPOT, ONE, NOW)
    found = facts_of(event, RUNS, world, {ONE, TWO})
    assert found == Facts(RUNS, other=False, listed=True, member=True, under_notice=1, workers=2)
    world = World(workers=[LEAVES], nodes=[replace(node, role="manager")])
    found = facts_of(event, LEAVES, world, ())
    assert (found.other, found.listed, found.member) == (True, False, False)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_gone_has_no_time_left_and_what_runs_has_some(kind: Kind) -> None:
    event = Event(kind, ONE, NOW, hook=HOOK)
    for dead in (None, STOPPED):
        found = confirmed(replace(event, deadline=NOW + 120), dead)
        assert (found.kind, found.deadline, found.hook) == (Kind.GONE, None, HOOK)
    found = confirmed(event, LEAVES)
    assert found.kind not in {Kind.GONE, Kind.REBALANCE}
    assert found.deadline == NOW + HOOK_S
    assert confirmed(replace(event, deadline=NOW + 7), LEAVES).deadline == NOW + 7


def node(**more: str) -> SwarmNode:
    usual = SwarmNode("m1", ONE, "worker", "ready", "active", 4)
    return replace(usual, **more)  # type: ignore[arg-type]


def test_a_nodes_steps_follow_its_time_and_its_servers() -> None:
    case = case_of(Event(Kind.SPOT, ONE, NOW, NOW + 120), NOW)
    assert node_step(case, node(), 2, NOW) is Step.PAUSE
    assert node_step(case, node(availability="pause"), 2, NOW + 74.9) is Step.PAUSE
    assert node_step(case, node(availability="pause"), 2, NOW + 75) is Step.DRAIN
    assert node_step(case, node(), 0, NOW) is Step.DRAIN
    case.drained_at = NOW + 75
    drained = node(availability="drain")
    assert node_step(case, drained, 2, NOW + 75) is Step.DRAIN
    assert node_step(case, drained, 2, NOW + 105) is Step.REMOVE
    assert node_step(case, drained, 0, NOW + 76) is Step.REMOVE
    assert node_step(case, node(state="down"), 2, NOW) is Step.REMOVE
    assert node_step(case_of(Event(Kind.GONE, ONE, NOW), NOW), node(), 2, NOW) is Step.REMOVE


@given(
    st.sampled_from([Kind.SPOT, Kind.TERMINATION]),
    st.integers(1, 4),
    st.floats(0, 74.9),
    st.sampled_from(["active", "pause", "drain"]),
    st.none() | st.floats(0, 70),
)
def test_students_keep_their_time_on_a_machine_that_runs(
    kind: Kind, held: int, after: float, availability: str, drained: float | None
) -> None:
    case = case_of(Event(kind, ONE, NOW, NOW + 120), NOW)
    case.drained_at = None if drained is None else NOW + drained
    assert node_step(case, node(availability=availability), held, NOW + after) is Step.PAUSE


def test_a_worker_without_a_hook_is_ended_by_the_fleet_before_its_case_is() -> None:
    case = Case(ONE, Kind.SPOT, NOW, NOW)
    assert last_step(case, lambda _: RUNS) is Step.TERMINATE
    assert last_step(case, lambda _: LEAVES) is Step.COMPLETE
    assert last_step(case, lambda _: None) is Step.COMPLETE
    case.join(Event(Kind.TERMINATION, ONE, NOW, NOW, HOOK), NOW)
    assert last_step(case, lambda _: RUNS) is Step.COMPLETE


def test_failures_wait_ever_longer_and_a_death_hurries() -> None:
    case = Case(ONE, Kind.SPOT, NOW, NOW + 120)
    waits = []
    for _ in range(6):
        case.failed(NOW)
        waits.append(case.retry_at - NOW)
    assert waits == [2, 4, 8, 15, 15, 15]
    case.join(Event(Kind.GONE, ONE, NOW), NOW + 1)
    assert (case.kind, case.deadline, case.retry_at) == (Kind.GONE, NOW + 1, NOW + 1)


def test_an_earlier_end_that_comes_second_counts() -> None:
    case = case_of(Event(Kind.TERMINATION, ONE, NOW + 40, NOW + 160, HOOK), NOW + 40)
    case.join(Event(Kind.SPOT, ONE, NOW, NOW + 120), NOW + 41)
    assert case.deadline == NOW + 120
    case.join(Event(Kind.TERMINATION, ONE, NOW + 50, NOW + 170, HOOK), NOW + 50)
    assert case.deadline == NOW + 120
