"""Bootstrap outcomes, what becomes of each machine, and waiting."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet.bringup import MARK, Health, Outcome, Waiter, health, make_plan, read_outcome
from hubfleet.clients.process import Completed
from hubfleet.console import Console
from hubfleet.errors import ConvergeError
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.state import Deployment, Ports

OK = f'noise\n{MARK}{{"status":"ok","reason":"","detail":"","resource":"","seconds":7}}\n'
BAD = (
    f'noise\n{MARK}{{"status":"failed","reason":"converge","detail":"no such image",'
    '"resource":"notebook_image[x]","seconds":9}\n'
)


def machine(number: int, role: Role = Role.SWARM_WORKER, state: State = State.RUNNING) -> Instance:
    instance_id = f"i-{number:017x}"
    return Instance(instance_id, role, state, "", datetime.now(UTC), f"hubfleet-x-{instance_id}")


class ScriptedFleet(Fleet):
    """Machines whose consoles grow by one entry with every look."""

    def __init__(self, consoles: dict[str, list[str]]) -> None:
        self.consoles = consoles

    def list(self) -> Instances:
        raise NotImplementedError

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise NotImplementedError

    def start(self, instance_id: str) -> None:
        raise NotImplementedError

    def terminate(self, instance_id: str) -> None:
        raise NotImplementedError

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        raise NotImplementedError

    def console_output(self, instance_id: str) -> str:
        looks = self.consoles[instance_id]
        return looks.pop(0) if len(looks) > 1 else looks[0]


def waiter(tmp_path: Path, fleet: Fleet) -> Waiter:
    deployment = Deployment.create("local", "local", Ports(), tmp_path)
    seconds = iter(range(10_000))
    console = Console(stderr=io.StringIO())
    return Waiter(deployment, fleet, console, lambda: next(seconds), lambda _: None)


def test_the_last_whole_line_counts() -> None:
    assert read_outcome("booting\n") is None
    assert read_outcome(BAD + OK) == Outcome(True, "", "", "", 7)
    assert read_outcome(BAD + MARK + '{"status":"o') == Outcome(
        False, "converge", "no such image", "notebook_image[x]", 9
    )


def test_health_of_a_machine() -> None:
    def of(state: State, console: str = "") -> Health:
        one = machine(1, state=state)
        return health(ScriptedFleet({one.id: [console]}), one)

    assert of(State.PENDING) is Health.HALF_MADE
    assert of(State.STOPPED, OK) is Health.STOPPED
    assert of(State.RUNNING) is Health.BUSY
    assert of(State.RUNNING, OK) is Health.OK
    assert of(State.RUNNING, BAD) is Health.FAILED


def test_nothing_there_means_everything_is_launched() -> None:
    plan = make_plan([], 2)
    assert plan.launch == {Role.CHEF_SERVER: 1, Role.HUB: 1, Role.SWARM_WORKER: 2}
    assert plan.words() == ["launch 1 x chef_server", "launch 1 x hub", "launch 2 x swarm_worker"]


def test_nothing_to_do_is_no_word() -> None:
    machines = [machine(1, Role.CHEF_SERVER), machine(2, Role.HUB), machine(3), machine(4)]
    plan = make_plan([(one, Health.OK) for one in machines], 2)
    assert plan.keep == machines
    assert plan.words() == []


def test_each_kind_of_broken_machine() -> None:
    found = [
        (machine(1, Role.CHEF_SERVER), Health.BUSY),
        (machine(2, Role.HUB), Health.STOPPED),
        (machine(3), Health.FAILED),
        (machine(4), Health.HALF_MADE),
        (machine(5), Health.OK),
    ]
    plan = make_plan(found, 2)
    assert plan.await_ == [found[0][0]]
    assert plan.start == [found[1][0]]
    assert plan.replace == [found[2][0], found[3][0]]
    assert plan.launch == {Role.CHEF_SERVER: 0, Role.HUB: 0, Role.SWARM_WORKER: 1}


def test_a_new_hub_means_new_workers() -> None:
    found = [
        (machine(1, Role.CHEF_SERVER), Health.OK),
        (machine(2, Role.HUB), Health.FAILED),
        (machine(3), Health.OK),
        (machine(4), Health.OK),
    ]
    plan = make_plan(found, 2)
    assert plan.replace == [instance for instance, _ in found[1:]]
    assert plan.launch == {Role.CHEF_SERVER: 0, Role.HUB: 1, Role.SWARM_WORKER: 2}


def test_surplus_workers_stay() -> None:
    machines = [machine(1, Role.CHEF_SERVER), machine(2, Role.HUB), machine(3), machine(4)]
    plan = make_plan([(one, Health.OK) for one in machines], 1)
    assert plan.keep == machines
    assert plan.words() == ["leave 1 more workers than the environment wants"]


def test_waiting_keeps_the_console_of_every_machine(tmp_path: Path) -> None:
    one, two = machine(1), machine(2)
    fleet = ScriptedFleet({one.id: ["", OK], two.id: ["", "", OK]})
    waiting = waiter(tmp_path, fleet)
    waiting.wait([one, two])
    assert waiting.deployment.log_file(two.id).read_text() == OK


def test_a_failed_node_is_named_with_its_resource_and_log(tmp_path: Path) -> None:
    one = machine(1)
    waiting = waiter(tmp_path, ScriptedFleet({one.id: ["", BAD]}))
    with pytest.raises(ConvergeError) as error:
        waiting.wait([one])
    for part in ("swarm_worker", one.id, "notebook_image[x]", "no such image"):
        assert part in error.value.message
    log = waiting.deployment.log_file(one.id)
    assert str(log) in error.value.hint
    assert log.read_text() == BAD


def test_a_converge_that_is_tried_again_is_told_once(tmp_path: Path) -> None:
    one = machine(1)
    retry = (
        "[ 1.0] hubfleet-bootstrap: converge: swarm_stack[x]: not running; trying again in 2 s\n"
    )
    waiting = waiter(tmp_path, ScriptedFleet({one.id: [retry, retry, retry + OK]}))
    words = io.StringIO()
    Waiter(waiting.deployment, waiting.fleet, Console(stderr=words), sleep=lambda _: None).wait(
        [one]
    )
    assert words.getvalue().splitlines() == [
        f"warning: swarm_worker {one.id} tries again: converge: swarm_stack[x]: not running",
        f"swarm_worker {one.id}: converged in 7 s",
    ]


def test_a_silent_node_is_given_up(tmp_path: Path) -> None:
    one = machine(1)
    with pytest.raises(ConvergeError, match="within 30 s"):
        waiter(tmp_path, ScriptedFleet({one.id: ["booting"]})).wait([one], timeout=30)


def test_waiting_for_a_service_ends_with_its_machine(tmp_path: Path) -> None:
    one = machine(1, Role.CHEF_SERVER)
    waiting = waiter(tmp_path, ScriptedFleet({one.id: ["", "", BAD]}))
    with pytest.raises(ConvergeError, match="did not converge"):
        waiting.until(one, lambda: "no answer", 100)
    waiting.until(one, lambda: "", 100)
