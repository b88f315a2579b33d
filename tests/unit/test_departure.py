"""What is next for a leaving worker, whether a message is believed, and what a sweep opens."""

from dataclasses import replace
from itertools import product

import pytest

from hubfleet.clients.swarm_manager import SwarmNode
from hubfleet.controller.confirm import PATIENCE, Facts, Verdict, confirmed, verdict
from hubfleet.controller.departure import (
    MOVE_S,
    MOVED_S,
    Case,
    Step,
    case_of,
    last_step,
    node_step,
)
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.sweep import Suspect, believed
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook, Worker
from tests.unit.departures import EPOCH, SEATS, Lab

ID = "i-0000000000000001"
HOOK = Hook("workers", "emptied", "token", ID)
STANDS: dict[str, Worker | None] = {
    "gone": None,
    "stopped": Worker(ID, State.STOPPED, EPOCH),
    "boots": Worker(ID, State.PENDING, EPOCH),
    "runs": Worker(ID, State.RUNNING, EPOCH),
    "leaves": Worker(ID, State.RUNNING, EPOCH, leaving=True),
}
NODE_STATES = ("ready", "down", "disconnected", "unknown")
AVAILABILITIES = ("active", "pause", "drain")


def node(state: str = "ready", availability: str = "active") -> SwarmNode:
    return SwarmNode("member", ID, "worker", state, availability, SEATS)


def test_every_state_of_a_node_has_its_step() -> None:
    """All combinations, told apart by what a student would notice."""
    times = (EPOCH, EPOCH + 120 - MOVE_S, EPOCH + 500)
    for kind, state, availability, held, now, drained in product(
        Kind, NODE_STATES, AVAILABILITIES, (0, 1, SEATS), times, (None, 0.0, MOVED_S)
    ):
        at = None if drained is None else now - drained
        case = Case(ID, kind, EPOCH, EPOCH + 120, drained_at=at)
        step = node_step(case, node(state, availability), held, now)
        if kind is Kind.GONE or state != "ready":
            assert step is Step.REMOVE, "nobody runs there"
        elif held and now == EPOCH:
            assert step is Step.PAUSE, "students have time"
        elif step is Step.REMOVE:
            assert availability == "drain" and at is not None
            assert not held or drained == MOVED_S, "cut off"
        else:
            assert step is Step.DRAIN
            assert availability != "drain" or at is None or (held and drained == 0.0)


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("hooked", [True, False])
@pytest.mark.parametrize("kind", Kind)
def test_what_still_runs_is_ended_by_the_fleet_before_anything_is_acknowledged(
    kind: Kind, hooked: bool, stands: str
) -> None:
    case = case_of(Event(kind, ID, EPOCH, None, HOOK if hooked else None), EPOCH)
    step = last_step(case, lambda _: STANDS[stands])
    stays = stands in {"boots", "runs", "stopped"} and not hooked and kind is not Kind.GONE
    assert step is (Step.TERMINATE if stays else Step.COMPLETE)


def test_what_fails_is_tried_again_after_two_seconds_and_every_fifteen_at_last() -> None:
    case, waits = case_of(Event(Kind.GONE, ID, EPOCH), EPOCH), []
    for _ in range(2000):
        case.failed(EPOCH)
        waits.append(case.retry_at - EPOCH)
    assert waits[:5] == [2, 4, 8, 15, 15] and waits[-1] == 15


def facts(stands: str, under_notice: int = 0, workers: int = 8) -> Facts:
    return Facts(STANDS[stands], False, False, True, under_notice, workers)


BELIEVED = {
    Kind.TERMINATION: {"gone", "stopped", "leaves"},
    Kind.GONE: {"gone", "stopped", "leaves"},
    Kind.HEALTH: {"gone", "stopped", "leaves"},
    Kind.SPOT: set(STANDS),
    Kind.REBALANCE: {"gone", "leaves"},
}


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_believed_of_what_the_fleet_confirms(kind: Kind, stands: str) -> None:
    event = Event(kind, ID, EPOCH)
    found, why = verdict(event, facts(stands), 1)
    if kind is Kind.REBALANCE and stands not in BELIEVED[kind]:
        assert found is Verdict.MARK
    elif stands in BELIEVED[kind]:
        assert found is Verdict.ACT
    else:
        assert found is Verdict.LATER and why
        assert verdict(event, facts(stands), PATIENCE)[0] is Verdict.DROP


@pytest.mark.parametrize("kind", Kind)
def test_a_machine_of_another_role_is_no_worker_whatever_is_said(kind: Kind) -> None:
    for stands in STANDS:
        found, _ = verdict(Event(kind, ID, EPOCH), replace(facts(stands), other=True), 1)
        assert found is Verdict.DROP


def test_a_fleet_that_contradicts_itself_is_asked_again() -> None:
    found, _ = verdict(Event(Kind.GONE, ID, EPOCH), replace(facts("gone"), listed=True), 1)
    assert found is Verdict.LATER


@pytest.mark.parametrize("kind", [Kind.SPOT, Kind.REBALANCE])
@pytest.mark.parametrize(("workers", "most"), [(0, 2), (1, 2), (5, 2), (6, 3), (20, 10)])
def test_what_only_a_message_says_hits_half_of_the_workers_or_two(
    kind: Kind, workers: int, most: int
) -> None:
    event = Event(kind, ID, EPOCH)
    assert verdict(event, facts("runs", most - 1, workers), 1)[0] in {Verdict.ACT, Verdict.MARK}
    assert verdict(event, facts("runs", most, workers), 1)[0] is Verdict.LATER
    assert verdict(event, facts("leaves", most, workers), 1)[0] is Verdict.ACT, "it is confirmed"


@pytest.mark.parametrize("kind", Kind)
def test_what_is_dead_has_no_time_and_what_runs_has_some(kind: Kind) -> None:
    event = Event(kind, ID, EPOCH, EPOCH + 120 if kind is Kind.SPOT else None, HOOK)
    for stands in ("gone", "stopped"):
        found = confirmed(event, STANDS[stands])
        assert (found.kind, found.deadline, found.hook) == (Kind.GONE, None, HOOK)
    found = confirmed(event, STANDS["leaves"])
    assert found.kind is not Kind.GONE and found.deadline == EPOCH + 120 and found.hook == HOOK


def gone(count: int) -> list[Suspect]:
    return [Suspect(f"i-{number:016x}", Kind.GONE) for number in range(count)]


def lost(count: int) -> list[Suspect]:
    return [Suspect(f"i-{number:016x}", Kind.HEALTH) for number in range(100, 100 + count)]


def test_a_sweep_opens_two_cases_and_tells_whom_it_leaves() -> None:
    found = believed(gone(5), 8, EPOCH)
    assert [event.instance_id for event in found.events] == [s.instance_id for s in gone(2)]
    assert len(found.held) == 3 and "at most" in found.why


def test_a_swarm_that_has_lost_most_workers_is_not_believed() -> None:
    assert len(believed(lost(4), 8, EPOCH).events) == 2
    found = believed([*gone(1), *lost(5)], 8, EPOCH)
    assert [event.kind for event in found.events] == [Kind.GONE]
    assert len(found.held) == 5 and "manager" in found.why


def swept(lab: Lab, seconds: float = 300) -> None:
    lab.run(seconds, 5.0)


def test_remains_of_a_worker_are_swept_after_a_while_and_not_before() -> None:
    lab = Lab()
    lab.cloud.kill(lab.ids[0], word=False)
    lab.run(85)
    assert not lab.reaper.cases and not lab.forgotten(lab.ids[0])
    lab.until(lambda: lab.forgotten(lab.ids[0]), 60)


def test_a_worker_that_the_swarm_has_lost_is_ended_and_its_servers_start_elsewhere() -> None:
    lab = Lab()
    lab.seat("ann", lab.ids[0])
    lab.cluster.lose(lab.ids[0])
    swept(lab)
    assert lab.ids[0] not in lab.cloud.machines and lab.forgotten(lab.ids[0])
    assert lab.where("ann") in lab.ids[1:] and lab.cloud.completed == lab.ids[:1]


def test_a_worker_that_comes_back_in_time_is_left_alone() -> None:
    lab = Lab()
    lab.cluster.lose(lab.ids[0])
    lab.run(80)
    lab.cluster.find(lab.ids[0])
    swept(lab)
    assert not lab.wire.effects


def test_a_worker_that_comes_back_before_anything_is_undone_keeps_its_place() -> None:
    lab = Lab()
    lab.cluster.lose(lab.ids[0])
    lab.wire.failing = {"swarm.set_availability"}
    lab.until(lambda: lab.reaper.cases, 200)
    lab.cluster.find(lab.ids[0])
    lab.seat("ann", lab.ids[0])
    lab.wire.failing = set()
    lab.until(lambda: not lab.reaper.cases, 60)
    assert lab.told("recovered") and lab.where("ann") == lab.ids[0] and not lab.wire.effects


def test_an_empty_list_of_workers_sweeps_nothing() -> None:
    lab = Lab()
    machines = dict(lab.cloud.machines)
    lab.cloud.machines.clear()
    for worker in lab.ids:
        lab.cluster.lose(worker)
    swept(lab)
    assert not lab.wire.effects and not lab.reaper.cases
    lab.cloud.machines.update({lab.ids[0]: machines[lab.ids[0]]})
    lab.cluster.find(lab.ids[0])
    swept(lab)
    assert lab.forgotten(lab.ids[1]) and not lab.forgotten(lab.ids[0])


@pytest.mark.parametrize("source", ["fleet.workers", "swarm.nodes"])
def test_a_source_that_has_just_failed_sweeps_nothing(source: str) -> None:
    lab = Lab()
    lab.turn()
    lab.wire.failing = {source}
    lab.cloud.kill(lab.ids[0], word=False)
    swept(lab)
    assert not lab.wire.effects and not lab.reaper.cases


def test_what_the_fleet_knows_and_does_not_list_is_not_swept() -> None:
    lab = Lab()
    listed = lab.cloud.workers
    lab.cloud.workers = lambda: listed()[1:]  # type: ignore[method-assign]
    lab.seat("ann", lab.ids[0])
    swept(lab)
    assert not lab.wire.effects and lab.told("not_confirmed")


def test_a_stray_chef_client_is_swept_after_an_hour_and_no_other_machines() -> None:
    lab = Lab()
    stray, other = "i-00000000000000ff", "operator"
    lab.chef.keys |= {stray, other}
    lab.run(3500, 10.0)
    assert stray in lab.chef.keys
    lab.run(300, 10.0)
    assert stray not in lab.chef.keys and other in lab.chef.keys and not lab.cloud.dead
    assert len(lab.chef.keys) == len(lab.ids) + 2
