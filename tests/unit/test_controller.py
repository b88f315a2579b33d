"""What the controller sees, does and publishes, over ports in memory."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.clients.hub_service import HubService, Server
from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode, SwarmService, SwarmTask
from hubfleet.controller import report, steady
from hubfleet.controller.act import Actor
from hubfleet.controller.births import Nursery, durations, expected, phase_of
from hubfleet.controller.decide import decide
from hubfleet.controller.model import (
    Launch,
    Memory,
    NodeState,
    Pause,
    Resume,
    Terminate,
    Window,
    rules_of,
)
from hubfleet.controller.observe import LOST_S, Observer
from hubfleet.controller.publish import report_of
from hubfleet.controller.report import FleetReport, Phase, WorkerReport
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import NoCapacity, ScalingFleet, Worker
from hubfleet.hub.placement import Placement, first_fit
from hubfleet.settings import load

NOW = 1_800_000_000.0
RULES = rules_of(load("local"))
ONE, TWO = "i-00000000000000001", "i-00000000000000002"


class Lab:
    """Fleet, Swarm and hub in one; whatever is in `away` does not answer."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {
            "workers": [
                Worker(ONE, State.RUNNING, NOW - 900),
                Worker(TWO, State.RUNNING, NOW - 20),
            ],
            "failures": [],
            "nodes": [member(ONE)],
            "tasks": [],
            "services": [],
            "servers": [],
            "groups": {},
        }
        self.away: set[str] = set()
        self.done: list[str] = []
        self.dry = False
        self.told: list[str] = []
        self.observer = Observer(
            cast(ScalingFleet, self),
            cast(SwarmManager, self),
            cast(HubService, self),
            lambda source, error: self.told.append(source),
        )
        self.actor = Actor(
            cast(ScalingFleet, self),
            cast(SwarmManager, self),
            cast(HubService, self),
            self.observer,
            lambda: NOW,
        )

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__.get("found", {}):
            raise AttributeError(name)

        def read() -> Any:
            if name in self.away:
                raise CommandError(f"{name}: no answer")
            return self.found[name]

        return read

    def launch(self, count: int, pool: str) -> None:
        if self.dry:
            raise NoCapacity("none left")
        self.done.append(f"launch {count} {pool}")

    def terminate(self, name: str) -> None:
        self.done.append(f"terminate {name}")

    def set_availability(self, node_id: str, availability: str) -> None:
        self.done.append(f"{availability} {node_id}")

    def unpin(self, service_id: str) -> None:
        self.done.append(f"unpin {service_id}")

    def start(self, user: str, prestart: str = "") -> None:
        self.done.append(f"start {user} {prestart}")

    def stop(self, user: str) -> None:
        self.done.append(f"stop {user}")

    def look(self, now: float = NOW, leaving: tuple[str, ...] = ()) -> Any:
        self.observer.look(now)
        return self.observer.observation(now, (), leaving, RULES.seats)


def member(name: str, **more: Any) -> SwarmNode:
    made = SwarmNode(f"m-{name}", name, "worker", "ready", "active", 4)
    return replace(made, **more)


def task(user: str, node: str = "", state: str = "running", error: str = "") -> SwarmTask:
    return SwarmTask(f"t-{user}", f"s-{user}", user, node, state, "running", error, NOW)


def server(user: str, **more: Any) -> Server:
    return Server(**{"user": user, "ready": True, "pending": "", "started_at": NOW - 300,
                     "last_activity": NOW - 300, **more})  # fmt: skip


def states(lab: Lab, now: float = NOW) -> dict[str, NodeState]:
    return {node.id: node.state for node in lab.look(now).nodes}


def test_the_fleets_and_the_swarms_words_make_a_state() -> None:
    lab = Lab()
    assert states(lab) == {ONE: NodeState.ACTIVE, TWO: NodeState.BOOTING}
    ours = {"hubfleet.paused-by": "controller"}
    lab.found["nodes"] = [member(ONE, availability="pause", labels=ours)]
    assert states(lab)[ONE] is NodeState.PAUSED
    lab.found["nodes"] = [member(ONE, availability="pause")]
    assert states(lab)[ONE] is NodeState.HELD
    lab.found["nodes"] = [member(ONE, availability="pause", labels={"hubfleet.drain": "tired"})]
    [found, _] = lab.look().nodes
    assert (found.state, found.at_risk) == (NodeState.PAUSED, True)
    lab.found["nodes"] = [member(ONE)]
    assert lab.look(leaving=(ONE,)).nodes[0].state is NodeState.RECLAIMING


def test_a_restart_of_an_engine_is_no_loss_but_a_long_silence_is() -> None:
    lab = Lab()
    lab.found["nodes"] = [member(ONE, state="down")]
    assert states(lab)[ONE] is NodeState.ACTIVE
    assert states(lab, NOW + LOST_S - 1)[ONE] is NodeState.ACTIVE
    assert states(lab, NOW + LOST_S)[ONE] is NodeState.RECLAIMING


def test_who_waits_is_counted_once() -> None:
    lab = Lab()
    lab.found["tasks"] = [
        task("ann", f"m-{ONE}"),
        task("bob", state="pending", error="insufficient resources"),
        task("eve", f"m-{ONE}", state="shutdown"),
    ]
    pending = {"ready": False, "pending": "spawn"}
    lab.found["servers"] = [server("bob", **pending), server("cid", **pending), server("ann")]
    seen = lab.look()
    assert (seen.queued, seen.nodes[0].used) == (2, 1)


def test_who_moves_from_a_worker_that_leaves_wants_one_seat() -> None:
    lab = Lab()
    old = [replace(task(user, f"m-{ONE}"), desired="shutdown") for user in ("ann", "bob")]
    new = [task("ann", f"m-{TWO}", state="starting"), task("bob", state="pending", error="full")]
    lab.found["nodes"] = [member(ONE, availability="drain"), member(TWO)]
    lab.found["tasks"] = [*old, *new, task("eve", f"m-{ONE}")]
    leaving, staying = lab.look(leaving=(ONE,)).nodes
    assert (leaving.used, staying.used, lab.look(leaving=(ONE,)).queued) == (1, 1, 1)
    # A worker that stays is empty only when nothing runs there any more.
    assert lab.look().nodes[0].used == 3


def test_the_last_good_answer_is_kept_with_its_time() -> None:
    lab = Lab()
    lab.look()
    lab.away, lab.found["nodes"] = {"nodes"}, []
    seen = lab.look(NOW + 90)
    assert seen.nodes[0].state is NodeState.ACTIVE
    assert (seen.read.swarm, seen.read.fleet) == (NOW, NOW + 90)
    assert lab.told == ["swarm"]
    decision = decide(seen, Memory(), RULES, NOW + 90)
    assert any("no news from the swarm" in note for note in decision.notes)


def test_nothing_is_known_before_every_source_has_answered() -> None:
    lab = Lab()
    lab.away = {"servers"}
    lab.observer.look(NOW)
    assert not lab.observer.world.complete


def test_a_birth_that_was_seen_is_measured() -> None:
    lab = Lab()
    lab.look()
    lab.found["nodes"] = [member(ONE), member(TWO)]
    assert lab.look(NOW + 18).ready_times == (38.0,)


def test_arrivals_are_services_each_once() -> None:
    lab = Lab()
    lab.found["services"] = [SwarmService("s1", "ann", "ann", NOW - 50)]
    lab.look()
    lab.found["services"].append(SwarmService("s2", "bob", "bob", NOW - 60))
    assert lab.look().arrivals == (NOW - 60, NOW - 50)


def test_a_worker_with_a_server_or_an_open_one_is_never_ended() -> None:
    lab = Lab()
    lab.look()
    [(_, why)] = lab.actor.carry_out((Terminate(ONE, ""),))
    assert "it takes servers" in why
    lab.found["nodes"] = [member(ONE, availability="pause")]
    lab.found["tasks"] = [task("ann", f"m-{ONE}", state="assigned")]
    [(_, why)] = lab.actor.carry_out((Terminate(ONE, ""),))
    assert "1 servers are on it" in why
    assert lab.done == []
    lab.found["tasks"] = [task("ann", f"m-{ONE}", state="complete")]
    assert lab.actor.carry_out((Terminate(ONE, ""),)) == [(Terminate(ONE, ""), "")]
    assert lab.done == [f"terminate {ONE}"]


def test_actions_reach_the_right_node_and_one_failure_stops_no_other() -> None:
    lab = Lab()
    lab.look()
    lab.dry = True
    acts = (Launch(2, "spot", ""), Pause(ONE, ""), Resume(TWO, ""))
    outcomes = lab.actor.carry_out(acts)
    assert [bool(why) for _, why in outcomes] == [True, False, True]
    assert lab.done == [f"pause m-{ONE}"]
    assert [f.pool for f in lab.look().failures] == ["spot"]


def test_a_name_is_taken_out_when_the_scheduler_has_seen_it() -> None:
    lab = Lab()
    names = ("ann", "bob", "cid")
    lab.found["services"] = [SwarmService(f"s-{n}", n, n, NOW, pinned=n != "cid") for n in names]
    lab.found["tasks"] = [task("ann", f"m-{ONE}"), task("bob", state="pending"), task("cid")]
    lab.look()
    lab.actor.unpin()
    assert lab.done == ["unpin s-ann"]
    lab.found["tasks"][1] = task("bob", state="pending", error="no suitable node")
    lab.look()
    lab.actor.unpin()
    # Who waits is first: there is a place elsewhere.
    assert lab.done[1:] == ["unpin s-bob", "unpin s-ann"]


def test_a_turn_spends_little_time_with_what_can_wait() -> None:
    lab = Lab()
    names = [f"u{number}" for number in range(9)]
    lab.found["services"] = [SwarmService(f"s-{n}", n, n, NOW, pinned=True) for n in names]
    lab.found["tasks"] = [task(name, f"m-{ONE}") for name in names]
    lab.look()
    clock = itertools.count(NOW, 0.4)
    Actor(
        cast(ScalingFleet, lab),
        cast(SwarmManager, lab),
        cast(HubService, lab),
        lab.observer,
        lambda: next(clock),
    ).unpin()
    assert len(lab.done) == 3


def test_a_group_is_started_ahead_and_stopped_where_nobody_opened() -> None:
    lab = Lab()
    lab.found["groups"] = {"chem": ["ann", "bob", "cid"]}
    ahead = {"prestart": "chem"}
    lab.found["servers"] = [
        server("ann", options=ahead),
        server("bob", options=ahead, last_activity=NOW),
    ]
    lab.observer.look(NOW)
    windows = [Window("chemistry", NOW, NOW + 60, 3, "chem"), Window("x", NOW, NOW + 1, 1, "none")]
    [group] = lab.observer.observation(NOW, windows, (), 4).groups
    assert (group.size, group.missing, group.unused) == (3, 1, 1)
    lab.actor._prestart("chem", 5)
    assert lab.done == ["start cid chem"]


def test_a_births_phases_come_from_fleet_and_stamps() -> None:
    ordered = Worker(TWO, State.PENDING, NOW)
    assert phase_of(ordered, None) is Phase.ORDERED
    booting = replace(ordered, state=State.RUNNING, running_at=NOW + 3)
    assert phase_of(booting, None) is Phase.BOOTING
    stamps = {Phase.CONVERGING: NOW + 10, Phase.PULLING: NOW + 12}
    assert phase_of(booting, stamps) is Phase.PULLING
    spans = durations(booting, {**stamps, Phase.JOINING: NOW + 37, Phase.READY: NOW + 38})
    assert [round(span) for span in spans.values()] == [3, 7, 2, 25, 1]
    assert list(spans)[-1] is Phase.JOINING


def test_an_estimate_is_the_median_and_never_in_the_past() -> None:
    worker = Worker(TWO, State.RUNNING, NOW)
    assert expected(worker, [], 90, NOW + 5) == NOW + 90
    assert expected(worker, [40, 30, 200], 90, NOW + 5) == NOW + 40
    assert expected(worker, [40, 30, 200], 90, NOW + 50) is None


def test_the_nursery_asks_while_something_comes_and_reads_odd_answers() -> None:
    asked: list[str] = []

    class Chef:
        def search(self, index: str, query: str, keys: Any) -> list[dict[str, Any]]:
            asked.append(query)
            return [{"name": TWO, "birth": {"pulling": NOW, "joining": "soon"}}, {"name": ONE}]

    nursery = Nursery(Chef(), "local", [], 90, lambda *_: None)
    assert nursery.look({}, NOW) == {}
    assert asked == []
    found = nursery.look({TWO: Worker(TWO, State.RUNNING, NOW)}, NOW)
    assert found == {TWO: (Phase.PULLING, NOW + 90)}


def test_a_report_says_what_hinders_orders_only_while_somebody_waits() -> None:
    lab = Lab()
    lab.found["workers"] = [Worker(ONE, State.RUNNING, NOW - 900)]
    lab.found["tasks"] = [task(f"u{n}", f"m-{ONE}") for n in range(4)]
    lab.found["servers"] = [server("x", ready=False, pending="spawn")]
    seen = lab.look()
    scaling = RULES.scaling.model_copy(update={"budget_node_hours": 1})
    rules = replace(RULES, scaling=scaling, minimum=0)
    spent = Memory(day=int(NOW // 86400), node_seconds=3601, seen_at=NOW - 1)
    decision = decide(seen, spent, rules, NOW)
    made = report_of(seen, decision, rules, {}, (), {ONE: f"m-{ONE}"})
    assert "budget is spent" in made.blocked
    assert made.workers[0].member == f"m-{ONE}"
    assert made.queued == 1


def test_a_command_keeps_the_fleet_steady_for_its_time_only(tmp_path: Path) -> None:
    assert steady.reason(tmp_path / "none", NOW) == ""
    (tmp_path / "a.json").write_text(json.dumps({"why": "a deploy", "until": NOW + 5}))
    (tmp_path / "b.json").write_text("{")
    assert steady.reason(tmp_path, NOW) == "a deploy"
    assert steady.reason(tmp_path, NOW + 6) == ""
    assert not (tmp_path / "a.json").exists()


def test_while_steady_nothing_is_paused_or_ended() -> None:
    lab = Lab()
    names = [f"i-{number:017x}" for number in range(4)]
    lab.found["workers"] = [Worker(name, State.RUNNING, NOW - 900) for name in names]
    lab.found["nodes"] = [member(name) for name in names]
    memory = Memory(surplus_since=NOW - 10_000, seen_at=NOW - 1)
    assert any(isinstance(a, Pause) for a in decide(lab.look(), memory, RULES, NOW).actions)
    quiet = replace(lab.look(), steady="a deploy is under way")
    decision = decide(quiet, memory, RULES, NOW)
    assert decision.actions == ()
    assert "nothing is ended: a deploy is under way" in decision.notes


def seats(**used: int) -> FleetReport:
    found = tuple(WorkerReport(n, "active", Phase.READY, 4, u, NOW) for n, u in used.items())
    return FleetReport(NOW, found, 4, placement=tuple(used))


def test_the_first_open_worker_with_a_seat_is_filled() -> None:
    assert first_fit(seats(a=4, b=3, c=0), {}) == "b"
    assert first_fit(seats(a=4, b=3, c=0), {"b": 1}) == "c"
    assert first_fit(seats(a=4), {}) == ""
    assert first_fit(replace(seats(a=0), placement=()), {}) == ""


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(1, 30))
def test_never_more_than_the_free_seats_are_promised(used: list[int], starts: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "report.json"
        made = seats(**{f"w{number}": count for number, count in enumerate(used)})
        report.write(made, file)
        placement = Placement(file, lambda: NOW + 1)
        chosen = [placement.choose() for _ in range(starts)]
        for worker in made.workers:
            assert chosen.count(worker.id) <= worker.seats - worker.used
        free = sum(worker.seats - worker.used for worker in made.workers)
        assert sum(bool(name) for name in chosen) == min(free, starts)


def test_an_old_report_names_no_worker(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report.write(seats(a=0), file)
    assert Placement(file, lambda: NOW + 16).choose() == ""
    assert Placement(tmp_path / "none", lambda: NOW).choose() == ""


@pytest.mark.parametrize("error", [HubfleetError("x"), NoCapacity("y")])
def test_what_a_port_refuses_is_told(error: HubfleetError) -> None:
    lab = Lab()
    lab.look()

    def refuse(*_: object) -> None:
        raise error

    lab.set_availability = refuse  # type: ignore[method-assign,assignment]
    assert lab.actor.carry_out((Pause(ONE, ""),)) == [(Pause(ONE, ""), error.message)]


def test_a_frozen_controller_only_looks(tmp_path: Path) -> None:
    assert not steady.frozen(tmp_path)
    (tmp_path / steady.FROZEN).touch()
    assert steady.frozen(tmp_path)
    assert steady.reason(tmp_path, NOW) == ""
