"""The status of a deployment, as JSON and as tables, from a scripted fleet."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet import swarm
from hubfleet.clients.process import Completed
from hubfleet.console import Console
from hubfleet.converge_health import Health
from hubfleet.errors import CommandError
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.inventory import Inventory
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports
from hubfleet.status import problems, show, status
from hubfleet.swarm import SwarmNode, complaint

BORN = datetime(2026, 1, 2, tzinfo=UTC)
CHEF = Instance("i-c", Role.CHEF_SERVER, State.RUNNING, "172.18.0.2", BORN, "c")
HUB = Instance("i-h", Role.HUB, State.RUNNING, "172.18.0.3", BORN, "h")
WORKER = Instance("i-w", Role.SWARM_WORKER, State.STOPPED, "172.18.0.4", BORN, "w")

REPORT = {
    "status": "success",
    "policy_name": "hub",
    "policy_group": "local",
    "policy_revision": "ab" * 32,
    "started": "2026-01-02T03:04:05Z",
    "seconds": 4.2,
    "updated": 0,
    "last_success": {"boot_id": "boot", "uptime_s": 10.5 - 100_000, "timestamp": 0},
}


def node_line(name: str, status: str, manager: str = "") -> str:
    return json.dumps(
        {
            "ID": f"id-{name}",
            "Hostname": name,
            "Status": status,
            "Availability": "Active",
            "ManagerStatus": manager,
        }
    )


class Machines(Fleet):
    """A hub that answers, a worker that was stopped; removed Swarm nodes are noted."""

    def __init__(self, instances: Instances) -> None:
        self.instances = instances
        self.removed: list[str] = []

    def list(self) -> Instances:
        return self.instances

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise NotImplementedError

    def start(self, instance_id: str) -> None:
        raise NotImplementedError

    def terminate(self, instance_id: str) -> None:
        raise NotImplementedError

    def console_output(self, instance_id: str) -> str:
        raise NotImplementedError

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        assert instance_id != WORKER.id, "a stopped machine runs nothing"
        lines: list[str]
        match list(argv[:3]):
            case ["cat", *_]:
                lines = [json.dumps(REPORT)] if instance_id == HUB.id else ["{broken"]
            case ["sh", *_]:
                lines = ["boot", "100.5 1.0", "1700000000"]
            case ["docker", "node", "ls"]:
                lines = [node_line("i-h", "Ready", "Leader"), node_line("i-gone", "Down")]
            case ["docker", "service", "ls"]:
                names = ["hubfleet_hub", "hubfleet_proxy", "jupyter-ann"]
                lines = [json.dumps({"Name": name, "Replicas": "1/1"}) for name in names]
            case ["docker", "node", "rm"]:
                self.removed.append(argv[-1])
                lines = []
            case _:
                return Completed(1, "", "unknown command")
        return Completed(0, "\n".join(lines) + "\n", "")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Nobody listens on its ports, and it has no certificates yet."""
    return Deployment.create("local", "local", Ports(1, 2, 3), tmp_path)


def test_every_part_is_there_even_where_something_does_not_answer(deployment: Deployment) -> None:
    found = status(deployment, Machines([CHEF, HUB]), load("local"))
    assert [(n["id"], n["role"], n["state"]) for n in found["nodes"]] == [
        ("i-c", "chef_server", "running"),
        ("i-h", "hub", "running"),
    ]
    assert found["nodes"][0]["last_converge"] is None
    assert found["nodes"][1]["policy_revision"] == "ab" * 32
    assert found["nodes"][1]["last_converge"] == REPORT


def test_the_hub_s_servers_are_the_services_that_are_not_its_own(deployment: Deployment) -> None:
    found = status(deployment, Machines([HUB, WORKER]), load("local"))
    assert found["hub"]["servers"] == 1
    assert found["hub"]["services"] == {"hubfleet_hub": "1/1", "hubfleet_proxy": "1/1"}
    assert found["hub"]["healthy"] is False
    assert "ca.crt" in found["hub"]["problem"]
    assert found["swarm"][0] == {
        "hostname": "i-h",
        "status": "Ready",
        "availability": "Active",
        "manager": True,
    }


def test_without_a_hub_there_is_no_swarm(deployment: Deployment) -> None:
    found = status(deployment, Machines([CHEF, WORKER]), load("local"))
    assert (found["swarm"], found["hub"]["servers"]) == ([], None)


def test_the_table_has_a_line_for_each_machine(deployment: Deployment) -> None:
    out = io.StringIO()
    show(Console(stdout=out), status(deployment, Machines([HUB, WORKER]), load("local")))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["i-w", "swarm_worker", "stopped", "172.18.0.4", *"------"] in lines
    assert [line[4:7] for line in lines if line[:1] == ["i-h"]] == [["ab" * 5, "ready,", "active"]]


def test_an_overdue_node_is_a_problem_in_words_and_in_json(deployment: Deployment) -> None:
    found = status(deployment, Machines([CHEF, HUB]), load("local"))
    words = "has not converged successfully for 1 d (at most 1 h)"
    assert [node["problem"] for node in found["nodes"]] == ["", words]
    assert found["problems"][0] == f"hub i-h {words}"
    out = io.StringIO()
    show(Console(stdout=out), found)
    assert f"problem: hub i-h {words}" in out.getvalue().splitlines()


def test_an_inventory_that_cannot_be_had_is_said_and_nobody_is_missing_from_it(
    deployment: Deployment,
) -> None:
    found = status(deployment, Machines([HUB]), load("local"))
    assert found["chef"]["problem"]
    assert (found["chef"]["missing"], found["chef"]["strays"]) == ([], [])
    assert found["problems"][-1].startswith("the inventory is not known: ")


def test_machines_and_chef_nodes_are_compared() -> None:
    known = Inventory({"i-h": {}, "i-gone": {}})
    fine = dict.fromkeys(("i-c", "i-h", "i-w"), Health({}))
    assert problems([CHEF, HUB, WORKER], fine, known) == [
        "chef_server i-c is no node of the Chef server",
        "Chef node i-gone has no machine: ./invoke deploy removes it",
    ]


def test_members_whose_machines_are_gone_are_removed() -> None:
    machines = Machines([HUB])
    assert swarm.forget(machines, HUB, ["i-h"]) == ["i-gone"]
    assert machines.removed == ["id-i-gone"]
    assert swarm.forget(machines, HUB, ["i-h", "i-gone"]) == []


def test_a_complaint_names_who_is_missing() -> None:
    ready = SwarmNode("1", "i-h", "Ready", "Active", True)
    paused = SwarmNode("2", "i-w", "Ready", "Pause", False)
    assert complaint([ready], ["i-h"]) == ""
    assert complaint([ready, paused], ["i-h", "i-w", "i-x"]) == "not ready in the Swarm: i-x"


def test_a_failed_command_carries_the_engine_s_words() -> None:
    with pytest.raises(CommandError) as error:
        swarm._run(Machines([]), HUB, ["docker", "swarm", "leave"])
    assert error.value.output == "unknown command"
