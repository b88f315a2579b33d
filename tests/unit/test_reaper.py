"""The one way out, over ports in memory that keep what was done to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode, SwarmTask
from hubfleet.controller.confirm import Verdict, verdict
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.observe import World
from hubfleet.controller.reaper import MOVE_S, Reaper
from hubfleet.controller.sweep import EVERY_S, MOST, SETTLED_S, Suspect, Sweeper, suspects
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook, Message, ScalingFleet, Worker

NOW = 1_800_000_000.0
ONE, TWO, THREE = ("i-00000000000000001", "i-00000000000000002", "i-00000000000000003")


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Lab:
    """Fleet, Swarm and Chef server in one, as far as the reaper touches them."""

    workers: dict[str, Worker] = field(default_factory=dict)
    members: dict[str, SwarmNode] = field(default_factory=dict)
    tasks: list[SwarmTask] = field(default_factory=list)
    nodes: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    queue: dict[str, Message] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    crash_after: int | None = None
    broken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, *ids: str, students: int = 1) -> "Lab":
        lab = cls()
        for name in ids:
            lab.workers[name] = Worker(name, State.RUNNING, NOW - 900)
            lab.members[name] = SwarmNode(f"m-{name}", name, "worker", "ready", "active", 4)
            lab.nodes.add(name)
            lab.clients.add(name)
            for number in range(students):
                lab.tasks.append(task(f"{name}-{number}", f"m-{name}"))
        return lab

    def effect(self, name: str) -> None:
        if name.split()[0] in self.broken:
            raise CommandError(f"{name}: not now")
        self.done.append(name)
        if self.crash_after is not None and len(self.done) > self.crash_after:
            raise Crash

    # the fleet
    def standing(self, name: str) -> Worker | None:
        return self.workers.get(name)

    def acknowledge(self, message: Message) -> None:
        self.effect(f"acknowledge {message.id}")
        self.queue.pop(message.id, None)

    def hide(self, message: Message, seconds: int) -> None:
        self.hidden.append(message.id)

    def heartbeat(self, hook: Hook) -> None:
        self.effect("heartbeat")

    def complete(self, hook: Hook) -> None:
        self.effect(f"complete {hook.instance_id}")
        self.workers.pop(hook.instance_id, None)

    def terminate(self, name: str) -> None:
        self.effect(f"terminate {name}")
        if name in self.workers:
            self.workers[name] = replace(self.workers[name], leaving=True)
            self.send(f"hook-{name}", hook_of(name))

    # the Swarm
    def set_availability(self, node_id: str, availability: str) -> None:
        name = node_id.removeprefix("m-")
        if name not in self.members or self.members[name].availability == availability:
            return
        self.effect(f"{availability} {name}")
        self.members[name] = replace(self.members[name], availability=availability)
        if availability == "drain":
            self.move(node_id)

    def mark_for_drain(self, node_id: str, why: str) -> None:
        self.effect(f"mark {node_id.removeprefix('m-')}")

    def remove_node(self, node_id: str) -> None:
        self.effect(f"remove {node_id.removeprefix('m-')}")
        self.members.pop(node_id.removeprefix("m-"), None)
        self.move(node_id)

    def move(self, node_id: str) -> None:
        elsewhere = next((m.id for m in self.members.values() if m.availability == "active"), "")
        self.tasks = [
            replace(t, node_id=elsewhere, state="running" if elsewhere else "pending")
            if t.node_id == node_id
            else t
            for t in self.tasks
        ]

    # the Chef server
    def delete_client(self, name: str) -> bool:
        self.effect(f"client {name}")
        self.clients.discard(name)
        return True

    def delete_node(self, name: str) -> bool:
        assert name not in self.clients, "its client could write it anew"
        self.effect(f"node {name}")
        self.nodes.discard(name)
        return True

    def search(self, *_: object) -> Sequence[Mapping[str, object]]:
        return [{"name": name} for name in sorted(self.nodes)]

    # the test's side
    def send(self, name: str, body: str) -> None:
        self.queue[name] = Message(name, name, body)

    @property
    def world(self) -> World:
        return World(
            workers=list(self.workers.values()),
            nodes=list(self.members.values()),
            tasks=self.tasks,
            read={"fleet": NOW + 10_000, "swarm": NOW, "hub": NOW},
        )

    def reaper(self) -> Reaper:
        def silent(*_: object, **__: object) -> None:
            return

        return Reaper(
            cast(ScalingFleet, self), cast(SwarmManager, self), self, Sweeper(self, silent), silent
        )

    def deliver(self, reaper: Reaper, receives: int = 1) -> None:
        reaper.take([replace(m, receives=receives) for m in self.queue.values()])

    def run(self, reaper: Reaper, begin: float = NOW, seconds: int = 200) -> None:
        """Deliver what is in the queue every 20 s, and turn every second."""
        for second in range(seconds):
            if second % 20 == 0:
                self.deliver(reaper)
            reaper.turn(self.world, begin + second)


def task(user: str, node_id: str) -> SwarmTask:
    return SwarmTask(f"t-{user}", f"s-{user}", user, node_id, "running", "running", "", NOW - 500)


def message(kind: str, detail: Mapping[str, Any], source: str = "aws.ec2") -> str:
    moment = f"{datetime.fromtimestamp(NOW, UTC):%Y-%m-%dT%H:%M:%SZ}"
    found = {"source": source, "detail-type": kind, "time": moment, "detail": detail}
    return json.dumps(found)


def hook_of(name: str) -> str:
    detail = {
        "LifecycleActionToken": "token",
        "AutoScalingGroupName": "group",
        "LifecycleHookName": "hook",
        "EC2InstanceId": name,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
    }
    return message("EC2 Instance-terminate Lifecycle Action", detail, "aws.autoscaling")


def spot_of(name: str) -> str:
    detail = {"instance-id": name, "instance-action": "terminate"}
    return message("EC2 Spot Instance Interruption Warning", detail)


def gone_of(name: str) -> str:
    detail = {"instance-id": name, "state": "terminated"}
    return message("EC2 Instance State-change Notification", detail)


def ended(lab: Lab, name: str) -> None:
    """Nothing knows the worker any more, and its students are elsewhere."""
    assert name not in lab.workers
    assert name not in lab.members
    assert name not in lab.nodes | lab.clients
    assert not lab.queue
    assert all(each.node_id != f"m-{name}" for each in lab.tasks)


def test_an_empty_worker_leaves_at_once_and_is_acknowledged_last() -> None:
    lab = Lab.of(ONE, TWO, students=0)
    reaper = lab.reaper()
    lab.terminate(ONE)
    lab.deliver(reaper)
    for second in range(3):
        reaper.turn(lab.world, NOW + second)
    ended(lab, ONE)
    rest = [step for step in lab.done if ONE in step and not step.startswith("terminate")]
    assert rest == [
        *(f"drain {ONE}", f"remove {ONE}", f"client {ONE}", f"node {ONE}", f"complete {ONE}"),
        f"acknowledge hook-{ONE}",
    ]
    assert not reaper.leaving


def test_students_are_told_of_a_spot_notice_before_their_servers_move() -> None:
    lab = Lab.of(ONE, TWO)
    reaper = lab.reaper()
    lab.send("spot", spot_of(ONE))
    lab.deliver(reaper)
    for second in range(int(120 - MOVE_S) - 1):
        reaper.turn(lab.world, NOW + second)
    [notice] = reaper.notices()
    assert (notice.worker, notice.kind, notice.deadline) == (ONE, "spot", NOW + 120 - MOVE_S)
    assert [t.node_id for t in lab.tasks if t.user.startswith(ONE)] == [f"m-{ONE}"]
    assert lab.members[ONE].availability == "pause"
    lab.run(reaper, NOW + 120 - MOVE_S, 40)
    ended(lab, ONE)
    assert [t.node_id for t in lab.tasks] == [f"m-{TWO}"] * 2


def test_a_dead_worker_leaves_without_waiting() -> None:
    lab = Lab.of(ONE, TWO)
    del lab.workers[ONE]
    reaper = lab.reaper()
    lab.send("dead", gone_of(ONE))
    lab.deliver(reaper)
    reaper.turn(lab.world, NOW)
    ended(lab, ONE)


def test_the_advice_to_leave_only_marks_the_worker() -> None:
    lab = Lab.of(ONE, TWO)
    reaper = lab.reaper()
    lab.send("advice", message("EC2 Instance Rebalance Recommendation", {"instance-id": ONE}))
    lab.run(reaper, seconds=30)
    assert lab.done == [f"mark {ONE}", "acknowledge advice"]


@pytest.mark.parametrize("body", [gone_of(ONE), hook_of(ONE)])
def test_what_the_fleet_does_not_confirm_changes_nothing(body: str) -> None:
    lab = Lab.of(ONE, TWO)
    before = lab.world
    reaper = lab.reaper()
    for receives in (1, 2, 3):
        lab.send("forged", body)
        lab.deliver(reaper, receives)
        reaper.turn(lab.world, NOW + receives)
    assert (lab.hidden, lab.done) == (["forged", "forged"], ["acknowledge forged"])
    assert lab.world == before
    assert not reaper.leaving


def test_forged_spot_notices_cannot_empty_the_fleet() -> None:
    names = [f"i-{number:017x}" for number in range(8)]
    lab = Lab.of(*names)
    reaper = lab.reaper()
    for name in names:
        lab.send(name, spot_of(name))
    lab.deliver(reaper)
    reaper.turn(lab.world, NOW)
    assert len(reaper.leaving) == 4
    assert len(lab.hidden) == 4


def test_what_cannot_be_read_is_left_to_the_queue() -> None:
    lab = Lab.of(ONE)
    lab.send("poison", "{")
    reaper = lab.reaper()
    lab.deliver(reaper)
    reaper.turn(lab.world, NOW)
    assert (lab.hidden, lab.done) == (["poison"], [])


def test_one_case_in_trouble_stops_no_other() -> None:
    lab = Lab.of(ONE, TWO, THREE, students=0)
    lab.terminate(ONE)
    lab.terminate(TWO)
    lab.broken = {f"x {ONE}"}
    original = lab.delete_client

    def delete(name: str) -> bool:
        if name == ONE:
            raise HubfleetError("the Chef server is away")
        return original(name)

    lab.delete_client = delete  # type: ignore[method-assign]
    reaper = lab.reaper()
    lab.run(reaper, seconds=30)
    assert list(reaper.leaving) == [ONE]
    lab.delete_client = original  # type: ignore[method-assign]
    lab.run(reaper, seconds=30)
    ended(lab, ONE)


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("begin", ["terminate", "spot", "dead"])
def test_killed_after_any_step_the_next_one_ends_in_the_same_place(begin: str, steps: int) -> None:
    lab = Lab.of(ONE, TWO)
    if begin == "terminate":
        lab.terminate(ONE)
    elif begin == "spot":
        lab.send("spot", spot_of(ONE))
    else:
        del lab.workers[ONE]
        lab.send("dead", gone_of(ONE))
    lab.crash_after = len(lab.done) + steps
    try:
        lab.run(lab.reaper())
    except Crash:
        lab.crash_after = None
    lab.crash_after = None
    lab.run(lab.reaper(), NOW + 60)
    ended(lab, ONE)
    assert set(lab.members) == {TWO}
    assert [t.node_id for t in lab.tasks] == [f"m-{TWO}"] * 2


def test_a_sweep_finds_what_no_message_told_and_takes_its_time() -> None:
    lab = Lab.of(ONE, TWO, students=0)
    del lab.workers[ONE]
    reaper = lab.reaper()
    for second in range(0, int(SETTLED_S), int(EVERY_S)):
        reaper.turn(lab.world, NOW + second)
    assert not lab.done
    reaper.turn(lab.world, NOW + SETTLED_S + EVERY_S)
    reaper.turn(lab.world, NOW + SETTLED_S + 2 * EVERY_S)
    ended(lab, ONE)


def test_a_sweep_opens_few_cases_and_none_on_an_odd_answer() -> None:
    names = [f"i-{number:017x}" for number in range(6)]
    lab = Lab.of(*names, students=0)
    for name in names[:5]:
        del lab.workers[name]
    sweeper = Sweeper(lab, lambda *_: None)
    found: list[Event] = []
    for second in (0.0, SETTLED_S):
        found = sweeper.look(lab.world, (), NOW + second)
    assert len(found) == MOST
    lab.workers.clear()
    assert suspects(lab.world, lab.nodes, ()) == []


def test_a_worker_that_the_swarm_has_lost_is_replaced() -> None:
    lab = Lab.of(ONE, TWO)
    lab.members[ONE] = replace(lab.members[ONE], state="down")
    assert suspects(lab.world, lab.nodes, ()) == [Suspect(ONE, Kind.HEALTH)]
    assert suspects(lab.world, lab.nodes, (ONE,)) == []


def test_the_fleet_has_the_last_word() -> None:
    alive = Worker(ONE, State.RUNNING, NOW)
    leaving = replace(alive, leaving=True)
    for kind in (Kind.TERMINATION, Kind.GONE, Kind.HEALTH):
        event = Event(kind, ONE, NOW)
        assert verdict(event, leaving, 1, 0, 4)[0] is Verdict.ACT
        assert verdict(event, None, 1, 0, 4)[0] is Verdict.ACT
        assert verdict(event, alive, 1, 0, 4)[0] is Verdict.LATER
        assert verdict(event, alive, 3, 0, 4)[0] is Verdict.DROP
