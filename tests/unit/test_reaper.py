"""A worker's one way out, whoever told of it and whatever fails: the same end, none too early."""

import threading
from collections.abc import Callable, Sequence
from unittest.mock import patch

import pytest

from hubfleet.controller import reaper
from hubfleet.controller.events import Event, Kind
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook, Message, Worker
from tests.unit.departures import (
    EPOCH,
    HUB,
    HUB_MEMBER,
    Lab,
    rebalance,
    replaced,
    spot,
    state_change,
    termination,
)

Leave = Callable[[Lab, str], object]
Forge = Callable[[str, float], str]

WAYS: dict[str, Leave] = {
    "scale-in": lambda lab, worker: lab.cloud.end(worker),
    "spot": lambda lab, worker: lab.cloud.reclaim(worker),
    "hard kill": lambda lab, worker: lab.cloud.kill(worker),
    "hard kill without a word": lambda lab, worker: lab.cloud.kill(worker, word=False),
}


def ended(lab: Lab, worker: str) -> Callable[[], bool]:
    """Return what says whether a worker is gone from everywhere, and nothing waits for us."""
    return lambda: (
        lab.forgotten(worker)
        and worker not in lab.cloud.machines
        and not lab.reaper.cases
        and not lab.cloud.queue
    )


def effects(lab: Lab, worker: str) -> list[str]:
    """Return what was done to a worker, in its order."""
    return [each.split()[0] for each in lab.wire.effects if each.endswith(worker)]


@pytest.mark.parametrize("servers", [0, 2])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_with_nothing_left_and_all_servers_elsewhere(way: str, servers: int) -> None:
    lab = Lab()
    worker = lab.ids[0]
    for number in range(servers):
        lab.seat(f"ann{number}", worker)
    WAYS[way](lab, worker)
    lab.until(ended(lab, worker), 300)
    assert all(lab.where(user) in lab.ids[1:] for user in lab.cluster.place)
    assert not lab.cloud.timed_out and not lab.cloud.dead
    assert set(lab.cloud.machines) == set(lab.ids[1:])


@pytest.mark.parametrize("way", [way for way in WAYS if "without" not in way])
@pytest.mark.parametrize("servers", [0, 2])
def test_a_controller_killed_after_any_step_comes_to_the_same_end(way: str, servers: int) -> None:
    def play(kill_after: int | None) -> Lab:
        lab = Lab()
        for number in range(servers):
            lab.seat(f"ann{number}", lab.ids[0])
        WAYS[way](lab, lab.ids[0])
        lab.wire.kill_after = kill_after
        lab.until(ended(lab, lab.ids[0]), 400)
        return lab

    whole = play(None)
    assert len(whole.wire.effects) >= 5
    for step in range(1, len(whole.wire.effects) + 1):
        lab = play(step)
        assert lab.wire.kill_after is None, "it was not killed"
        assert lab.chef.policies == whole.chef.policies and lab.chef.keys == whole.chef.keys
        assert lab.cluster.members == whole.cluster.members
        assert lab.cluster.place == whole.cluster.place
        assert not lab.cloud.dead and not lab.cloud.timed_out


def test_an_empty_worker_is_gone_within_seconds_and_in_the_right_order() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.cloud.end(worker)
    assert lab.until(ended(lab, worker), 30) <= 5
    assert effects(lab, worker) == [
        "swarm.drain", "swarm.remove", "chef.client", "chef.node", "fleet.complete"
    ]  # fmt: skip
    assert lab.wire.effects[-2:] == ["fleet.acknowledge m1", "fleet.acknowledge m2"]


def test_a_server_that_is_placed_while_its_worker_is_drained_moves_before_it_is_removed() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.cloud.end(worker)
    look = lab.observer.look

    def late(now: float) -> None:
        look(now)
        if "ann" not in lab.cluster.place:
            lab.seat("ann", worker)  # after the look that has seen the worker empty

    lab.observer.look = late  # type: ignore[method-assign]
    lab.until(ended(lab, worker), 60)
    drained = lab.wire.effects.index(f"swarm.drain member-{worker}")
    removed = lab.wire.effects.index(f"swarm.remove member-{worker}")
    assert drained < removed and not lab.cluster.cut
    assert lab.where("ann") in lab.ids[1:]


def test_students_are_told_at_once_and_moved_before_the_spot_market_takes_the_worker() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.reclaim(worker)
    lab.turn()
    (notice,) = lab.reaper.notices()
    assert (notice.worker, notice.kind, notice.deadline) == (worker, "spot", EPOCH + 75)
    assert lab.cluster.members[f"member-{worker}"].availability == "pause"
    lab.run(70)
    assert lab.where("ann") == worker, "moved though there was time"
    lab.run(10)
    assert lab.where("ann") in lab.ids[1:]
    assert lab.until(ended(lab, worker), 40) < 40
    assert lab.cloud.completed == [worker], "it was dead before it was emptied"


def test_a_termination_with_servers_is_held_by_heartbeats_until_they_have_moved() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.end(worker)
    assert lab.until(ended(lab, worker), 200) > 60, "the hook alone would have waited so long"
    assert lab.cloud.completed == [worker] and not lab.cloud.timed_out


def test_a_long_case_keeps_its_message_from_the_dead_letters() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.cloud.end(worker)
    lab.wire.failing = {"chef"}
    lab.run(400)
    assert not lab.cloud.dead and lab.cloud.queue
    lab.wire.failing = set()
    lab.until(ended(lab, worker), 60)


FORGERIES: dict[str, Forge] = {
    "state change": state_change,
    "stopping": lambda worker, now: state_change(worker, now, "stopping"),
    "health": replaced,
    "termination": lambda worker, now: termination(Hook("g", "n", "t", worker), now),
}


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("kind", FORGERIES)
def test_what_the_fleet_does_not_confirm_changes_nothing(kind: str, joined: bool) -> None:
    lab = Lab()
    worker = lab.ids[0] if joined else lab.add(joined=False)
    lab.seat("ann", lab.ids[0])
    before = dict(lab.cluster.members), dict(lab.chef.policies), set(lab.chef.keys)
    name = lab.cloud.put(FORGERIES[kind](worker, lab.now))
    lab.run(60)
    assert (lab.cluster.members, lab.chef.policies, lab.chef.keys) == before
    assert lab.wire.effects == [f"fleet.acknowledge {name}"]
    assert lab.told("not_confirmed") and not lab.reaper.cases


@pytest.mark.parametrize("make", [*FORGERIES.values(), spot, rebalance])
@pytest.mark.parametrize("known", [True, False])
def test_a_machine_that_is_no_worker_is_never_touched(make: Forge, known: bool) -> None:
    lab = Lab()
    if not known:  # such as the Chef server's machine: no member of the Swarm
        del lab.cluster.members[HUB_MEMBER]
    before = dict(lab.cluster.members)
    name = lab.cloud.put(make(HUB, lab.now))
    lab.run(60)
    assert lab.cluster.members == before
    assert HUB in lab.chef.keys and lab.chef.policies[HUB] == "hub"
    assert lab.cloud.acknowledged == [name] and not lab.reaper.cases


def test_a_forged_hook_beside_the_real_one_takes_nothing_from_it() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.end(worker)
    lab.turn()
    lab.cloud.put(termination(Hook("workers", "emptied", "forged", worker), lab.now))
    lab.until(ended(lab, worker), 200)
    assert lab.cloud.completed == [worker] and not lab.cloud.timed_out


def test_a_forged_death_of_a_leaving_worker_leaves_its_students_their_time() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.end(worker)
    lab.cloud.put(state_change(worker, lab.now))
    lab.run(60)
    assert lab.where("ann") == worker
    lab.until(ended(lab, worker), 200)


def test_forged_spot_notices_hit_half_of_the_workers_at_most_within_the_window() -> None:
    lab = Lab(8)
    for number, worker in enumerate(lab.ids):
        lab.seat(f"ann{number}", worker)
        lab.cloud.put(spot(worker, lab.now))
    lab.run(150)
    for worker in lab.ids:
        lab.cloud.put(spot(worker, lab.now))
    lab.run(140)
    hit = [worker for worker in lab.ids if worker not in lab.cloud.machines]
    assert len(hit) == 4
    assert not lab.cloud.queue and lab.told("not_confirmed")


def test_rebalance_marks_the_worker_and_leaves_its_servers() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.put(rebalance(worker, lab.now))
    lab.run(60)
    node = lab.cluster.members[f"member-{worker}"]
    assert node.drained and node.availability == "active" and not lab.cloud.queue
    assert lab.where("ann") == worker and not lab.reaper.cases


def test_forged_rebalances_mark_half_of_the_workers_at_most() -> None:
    lab = Lab(8)
    for worker in lab.ids:
        lab.cloud.put(rebalance(worker, lab.now))
    lab.run(120)
    assert sum(node.drained for node in lab.cluster.members.values()) == 4


def test_duplicates_join_the_running_case() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.end(worker)
    for _ in range(3):
        lab.cloud.put(termination(lab.cloud.hooks[worker][0], lab.now))
        lab.turn()
    assert len(lab.reaper.cases) == 1 and len(lab.reaper.cases[worker].messages) == 4
    lab.until(ended(lab, worker), 200)
    kinds = [each["kind"] for each in lab.told("leaving")]
    assert lab.cloud.completed == [worker] and kinds == ["termination", "gone"]


def test_a_late_message_finds_nothing_to_do_and_is_acknowledged() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.cloud.end(worker)
    lab.until(ended(lab, worker), 60)
    done = len(lab.wire.effects)
    lab.now += 3600
    late = lab.cloud.put(termination(Hook("workers", "emptied", "t", worker), lab.now - 3500))
    lab.until(ended(lab, worker), 60)
    assert lab.wire.effects[done:] == [f"fleet.acknowledge {late}"]


def test_poison_is_never_acknowledged_and_ends_with_the_dead_letters() -> None:
    lab = Lab()
    names = [lab.cloud.put(body) for body in ("{", '"x"', "{}", '{"detail-type": 3}')]
    lab.run(400)
    assert lab.cloud.dead == names and not lab.cloud.acknowledged
    assert lab.reaper.counts["poison"] == len(lab.told("poison")) == 5 * len(names)


@pytest.mark.parametrize(
    "part", ["swarm.remove_node", "swarm.set_availability", "chef", "fleet.complete"]
)
def test_what_fails_is_tried_again_ever_more_slowly_and_stops_no_other(part: str) -> None:
    lab = Lab()
    first, second = lab.ids[:2]
    lab.cloud.end(first)
    lab.wire.failing = {part}
    lab.run(120)
    assert not lab.cloud.acknowledged and first in lab.reaper.cases
    assert 5 <= len(lab.told("retry")) <= 20
    lab.cloud.put("{")
    lab.cloud.end(second)
    lab.turn()
    assert second in lab.reaper.cases and lab.told("poison")
    lab.wire.failing = set()
    for worker in (first, second):
        lab.until(lambda worker=worker: lab.forgotten(worker), 60)  # type: ignore[misc]
    assert not lab.cloud.timed_out


def test_a_fleet_that_takes_no_heartbeats_does_not_keep_a_worker() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.cloud.end(worker)
    lab.wire.failing = {"fleet.heartbeat", "fleet.hide"}
    assert lab.until(ended(lab, worker), 30) <= 10


def test_a_flood_of_messages_does_not_hold_up_the_loop() -> None:
    lab = Lab()
    read = 0

    def counted(call: str) -> None:
        nonlocal read
        read += call == "fleet.standing"

    for number in range(1000):
        lab.cloud.put(state_change(f"i-{number:08x}", lab.now))
    while found := lab.cloud.receive(0):
        lab.reaper.take(found)
    lab.wire.ask = counted  # type: ignore[method-assign]
    lab.observer.look(lab.now)
    lab.reaper.turn(lab.observer.world, lab.now)
    assert 0 < read <= 120
    lab.until(lambda: not lab.cloud.queue, 120)


def test_a_dead_worker_leaves_within_seconds_though_the_swarm_calls_it_ready() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.died = lambda _: None  # the Swarm's heartbeat has not failed yet
    lab.cloud.kill(worker)
    assert lab.until(ended(lab, worker), 30) <= 5
    assert lab.where("ann") in lab.ids[1:]


def test_a_stopped_machine_is_treated_as_dead() -> None:
    lab = Lab()
    worker = lab.ids[0]
    lab.seat("ann", worker)
    lab.cloud.machines[worker] = Worker(worker, State.STOPPED, EPOCH)
    lab.cloud.put(state_change(worker, lab.now, "stopped"))
    lab.until(lambda: lab.forgotten(worker), 10)


def test_no_case_whatever_its_origin_touches_the_hub() -> None:
    lab = Lab()
    lab.turn()
    lab.reaper.open(Event(Kind.GONE, HUB, lab.now), lab.now)
    lab.turn()
    assert not lab.wire.effects and lab.told("not_a_worker")


def test_a_worker_of_another_deployment_on_the_same_chef_server_is_left_alone() -> None:
    lab, name = Lab(), "i-0000000000000077"
    lab.chef.keys.add(name)
    lab.chef.converge(name)
    lab.chef.others.add(name)
    lab.cloud.put(state_change(name, lab.now, "terminated"))
    lab.until(lambda: lab.told("not_a_worker"), 10)
    assert name in lab.chef.policies
    assert name in lab.chef.keys


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_messages_are_received_for_ever_though_the_queue_was_away() -> None:
    lab, came, away = Lab(), threading.Event(), threading.Event()
    name = lab.cloud.put("{")
    lab.wire.failing = {"fleet.receive"}

    def receive(wait_s: int) -> Sequence[Message]:
        if came.is_set():
            threading.Event().wait()  # the poll that finds nothing more
        return answers(wait_s)

    answers, lab.cloud.receive = lab.cloud.receive, receive  # type: ignore[method-assign]

    def failed(source: str, error: HubfleetError) -> None:
        assert source == "queue" and "fails" in error.message
        lab.wire.failing = set()
        away.set()

    with patch.object(reaper, "RETRY_S", 0.01):
        lab.reaper.listen(came.set, failed)
        assert away.wait(10) and came.wait(10)
    lab.observer.look(lab.now)
    lab.reaper.turn(lab.observer.world, lab.now)
    assert [each["message"] for each in lab.told("poison")] == [name]
