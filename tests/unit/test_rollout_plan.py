"""Who goes first, who follows together, and what a rollback goes back to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hubfleet.errors import UsageError
from hubfleet.fleet.base import Instance, Role, State
from hubfleet.history import Event, Outcome, Revisions, What, new_event
from hubfleet.rollback import chosen, previous
from hubfleet.rollout_plan import Node, make_plan, outdated

BORN = datetime(2026, 1, 2, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64


def node(name: str, role: Role, revision: str = A, ok: bool = True, servers: int = 0) -> Node:
    born = BORN + timedelta(seconds=ord(name[-1]))
    return Node(Instance(name, role, State.RUNNING, "", born, name), revision, ok, servers)


CHEF = node("chef", Role.CHEF_SERVER)
HUB = node("hub", Role.HUB)
WORKERS = [node(f"w{n}", Role.SWARM_WORKER, servers=(3 - n) % 4) for n in range(8)]


def ids(nodes: list[Node]) -> list[str]:
    return [each.instance.id for each in nodes]


def test_only_nodes_of_these_policies_that_lack_the_revision_have_anything_to_do() -> None:
    wanted = {"swarm_worker": B, "hub": A}
    failed = node("w8", Role.SWARM_WORKER, B, ok=False)
    done = node("w9", Role.SWARM_WORKER, B)
    assert ids(outdated([CHEF, HUB, WORKERS[0], failed, done], wanted)) == ["w0", "w8"]


def test_the_worker_with_the_fewest_servers_is_tried_first_then_workers_hub_and_chef() -> None:
    plan = make_plan([CHEF, HUB, *WORKERS])
    assert plan.canary and plan.canary.instance.id == "w3"
    batches = [ids(list(batch)) for batch in plan.batches]
    assert batches == [["w7", "w2"], ["w6", "w1"], ["w5", "w0"], ["w4"], ["hub"], ["chef"]]
    assert len(plan.nodes) == 10


@pytest.mark.parametrize(("size", "first"), [(1, 1), (3, 3), (99, 7)])
def test_a_batch_may_be_of_any_size(size: int, first: int) -> None:
    assert len(make_plan(WORKERS, size).batches[0]) == first


def test_without_workers_to_try_the_hub_is_first_and_alone() -> None:
    plan = make_plan([CHEF, HUB])
    assert plan.canary == HUB
    assert plan.batches == [[CHEF]]


def test_two_workers_are_never_in_one_batch_with_the_canary() -> None:
    plan = make_plan(WORKERS[:2])
    assert plan.canary and [len(batch) for batch in plan.batches] == [1]


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert make_plan([]).nodes == []


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(UsageError):
        make_plan(WORKERS, 0)


def event(
    what: What, before: str, after: str, outcome: Outcome = Outcome.OK, wanted: str = ""
) -> Event:
    made = new_event("local", what, before=both(before), after=both(after), outcome=outcome)
    return replace(made, wanted=both(wanted or after))


def both(worker: str) -> Revisions:
    return {"swarm_worker": worker, "hub": A} if worker else {}


DEPLOY = event(What.DEPLOY, "", A)
TO_B = event(What.ROLLOUT, A, B)
STOPPED = replace(TO_B, outcome=Outcome.STOPPED)
BACK = event(What.ROLLBACK, B, A)
VERIFIED = event(What.VERIFY, "", B)

STORIES: dict[str, tuple[list[Event], str, Revisions]] = {
    "a stopped rollout is taken back": ([DEPLOY, STOPPED], B, {"swarm_worker": A}),
    "a verify changes nothing": ([DEPLOY, TO_B, VERIFIED], B, {"swarm_worker": A}),
    "one after the other leads further back": (
        [DEPLOY, TO_B, event(What.PUSH, B, C), event(What.ROLLBACK, C, B)],
        B,
        {"swarm_worker": A},
    ),
    "back at the first there is nothing before": ([DEPLOY, TO_B, BACK], A, {}),
    "a second try of the same is no publication": (
        [DEPLOY, STOPPED, event(What.ROLLOUT, B, B, Outcome.STOPPED)],
        B,
        {"swarm_worker": A},
    ),
    "a rollout killed before it published has nothing to take back": (
        [DEPLOY, TO_B, event(What.ROLLOUT, B, C, Outcome.RUNNING)],
        B,
        {"swarm_worker": B},
    ),
    "one that was interrupted before it published neither": (
        [DEPLOY, TO_B, event(What.ROLLOUT, B, B, Outcome.INTERRUPTED, wanted=C)],
        B,
        {"swarm_worker": B},
    ),
    "a rollout killed after it published is taken back": (
        [DEPLOY, event(What.ROLLOUT, A, B, Outcome.RUNNING)],
        B,
        {"swarm_worker": A},
    ),
    "a rollback killed before it published is gone on with": (
        [DEPLOY, STOPPED, replace(BACK, outcome=Outcome.RUNNING)],
        B,
        {"swarm_worker": A},
    ),
    "a rollback killed after it published is gone on with": (
        [event(What.PUSH, C, A), STOPPED, replace(BACK, outcome=Outcome.RUNNING)],
        A,
        {"swarm_worker": A},
    ),
    "its continuation, killed too, as well": (
        [
            event(What.PUSH, C, A),
            STOPPED,
            replace(BACK, outcome=Outcome.RUNNING),
            event(What.ROLLBACK, A, A, Outcome.RUNNING),
        ],
        A,
        {"swarm_worker": A},
    ),
    "what nobody recorded goes back to what was recorded last": (
        [DEPLOY, TO_B],
        C,
        {"swarm_worker": B},
    ),
    "no history, no way back": ([], A, {}),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_a_rollback_goes_back_to(story: str) -> None:
    events, current, expected = STORIES[story]
    assert previous(reversed(events), both(current)) == expected


def test_policies_of_one_rollout_go_back_together() -> None:
    before = {"swarm_worker": A, "hub": A, "chef_server": A}
    after = {"swarm_worker": B, "hub": C, "chef_server": A}
    made = new_event("local", What.ROLLOUT, before=before, after=after, outcome=Outcome.OK)
    assert previous([made], after) == {"swarm_worker": A, "hub": A}
    assert previous([made], {"hub": C}) == {"hub": A}


def test_a_rollout_killed_between_two_policies_takes_back_the_one_that_is_there() -> None:
    before, after = {"swarm_worker": A, "hub": A}, {"swarm_worker": B, "hub": B}
    made = new_event("local", What.ROLLOUT, before=before, after=after)
    assert previous([made], {"swarm_worker": B, "hub": A}) == {"swarm_worker": A}


HELD = {"hub": [A, B], "swarm_worker": ["abcdef0" + "1" * 57, C]}


def test_a_revision_is_named_by_its_first_digits() -> None:
    assert chosen("abcdef", HELD, []) == {"swarm_worker": HELD["swarm_worker"][0]}
    assert chosen(C, HELD, ["swarm_worker"]) == {"swarm_worker": C}


@pytest.mark.parametrize(("word", "policies"), [("abc", []), ("ddddddd", []), (C, ["hub"])])
def test_what_names_no_revision_is_refused(word: str, policies: list[str]) -> None:
    with pytest.raises(UsageError):
        chosen(word, HELD, policies)


def test_what_names_two_is_refused() -> None:
    with pytest.raises(UsageError, match="2 revisions"):
        chosen(A, {"hub": [A], "swarm_worker": [A]}, [])
