"""A worker: has what students need, then joins, and the manager gives it work."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hubfleet.fleet.base import Role
from hubfleet.settings import run_list
from tests.integration.subject import Subject, eventually

pytestmark = pytest.mark.roles(Role.SWARM_WORKER)

CANARY = "canary"

NETNS = "/run/docker/netns"
"""Where the engine keeps the overlays' namespaces, as 1-ID."""


def seen_by_manager(node: Subject) -> list[dict[str, str]]:
    """Return the lines of `docker node ls` about this node."""
    listed = node.on_peer(Role.HUB, "docker", "node", "ls", "--format", "{{json .}}")
    lines = [json.loads(line) for line in listed.splitlines()]
    return [line for line in lines if line["Hostname"] == node.id]


def is_ready(node: Subject) -> bool:
    """Say whether the manager would give it work."""
    return [(line["Status"], line["Availability"]) for line in seen_by_manager(node)] == [
        ("Ready", "Active")
    ]


def test_the_manager_sees_it_ready(node: Subject) -> None:
    eventually(lambda: is_ready(node), "the manager does not see the node ready")


def test_it_is_a_worker_of_the_hubs_swarm(node: Subject) -> None:
    [swarm] = node.lines("docker", "info", "--format", "{{json .Swarm}}")
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"]) == ("active", False)
    assert swarm["NodeAddr"] == node.address
    name, port = f"hub.{node.settings.fleet.zone}", node.settings.swarm.manager_port
    address = node.run("getent", "ahostsv4", name).split()[0]
    assert [manager["Addr"] for manager in swarm["RemoteManagers"]] == [f"{address}:{port}"]


def test_joining_is_its_policys_last_step(node: Subject) -> None:
    assert run_list(node.role)[-1] == "recipe[swarm::worker]"


def test_it_has_the_policys_seats(node: Subject) -> None:
    [info] = node.lines("docker", "info", "--format", "{{json .}}")
    seats = node.settings.fleet.workers.seats
    assert info["GenericResources"] == [{"DiscreteResourceSpec": {"Kind": "seat", "Value": seats}}]


def test_its_birth_is_on_record_once(node: Subject) -> None:
    record = "/var/lib/hubfleet/birth.json"
    if not node.kitchen and not node.host.file(record).exists:
        pytest.skip("the worker is older than records of births")
    moments = node.json(record)
    assert sorted(moments, key=moments.__getitem__) == [
        "converging",
        "pulling",
        "joining",
        "joined",
    ]


def test_the_notebook_image_is_there_and_has_passed_the_probe(node: Subject) -> None:
    id_ = node.run("docker", "image", "inspect", "--format", "{{.Id}}", node.image("notebook"))
    stamps = node.run("sh", "-c", "cat /var/lib/hubfleet/probes/*")
    assert id_.strip() in stamps.split()


def test_versions_of_the_image_that_no_server_runs_take_no_room(node: Subject) -> None:
    repository = node.image("notebook").rpartition(":")[0]
    kept = node.run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository)
    used = node.run("docker", "ps", "--format", "{{.Image}}")
    assert set(kept.split()) - set(used.split()) <= {node.image("notebook")}


@pytest.fixture
def task(node: Subject) -> Iterator[str]:
    """A service of the notebook image that the manager may place on this node only."""
    image = node.image("notebook")
    wanted = ["--constraint", f"node.hostname=={node.id}", "--network", "notebooks"]
    wanted += ["--endpoint-mode", "dnsrr", "--no-resolve-image", "--detach", "--quiet"]
    node.on_peer(
        Role.HUB, "docker", "service", "create", "--name", CANARY, *wanted, image, "sleep", "600"
    )
    yield CANARY
    node.on_peer(Role.HUB, "docker", "service", "rm", CANARY)


def state_of(node: Subject, service: str) -> list[dict[str, Any]]:
    listed = node.on_peer(
        Role.HUB, "docker", "service", "ps", service, "--no-trunc", "--format", "{{json .}}"
    )
    return [json.loads(line) for line in listed.splitlines()]


@pytest.mark.kitchen
def test_the_manager_gives_it_work_on_a_guarded_overlay(node: Subject, task: str) -> None:
    def runs() -> bool:
        return any(t["CurrentState"].startswith("Running") for t in state_of(node, task))

    eventually(runs, f"no task of the notebook image runs: {state_of(node, task)}")
    # The overlay came to this node with its first task; its rules come by themselves.
    namespaces = node.run("sh", "-c", f"ls {NETNS} | grep ^1-").split()
    assert namespaces

    def guarded() -> bool:
        check = node.try_run("/usr/local/sbin/hubfleet-firewall", "check")
        rules = [
            node.try_run("nsenter", f"--net={NETNS}/{name}", "iptables", "-S", "HUBFLEET-OVERLAY")
            for name in namespaces
        ]
        return check.rc == 0 and all(shown.rc == 0 for shown in rules)

    eventually(guarded, "the overlay's namespace has no rules")


@pytest.mark.kitchen
def test_it_is_back_after_a_restart_of_its_engine(node: Subject) -> None:
    node.restart_engine()
    eventually(lambda: is_ready(node), "the node did not come back into the Swarm")
