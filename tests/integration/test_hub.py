"""The hub's node: manages the Swarm, runs the stack, and lets students in over TLS."""

import asyncio
from typing import Any

import pytest
import requests

from hubfleet.clients.hub import HubError, Student
from hubfleet.fleet.base import Role
from hubfleet.verify import STUDENTS
from tests.integration.subject import Subject, eventually

pytestmark = pytest.mark.roles(Role.HUB)

STACK = "hubfleet"
STACK_SERVICES = ("proxy", "hub", "fleet")
REPORT = "/var/lib/hubfleet/fleet/report.json"
HUB_SECRETS = (
    *("cookie_secret", "proxy_token", "login_password"),
    *("fleet_api_token", "fleet_token", "fleet_key"),
)


@pytest.fixture
def services(node: Subject) -> dict[str, dict[str, Any]]:
    """The stack's services by their short names, as `docker service inspect` shows them."""
    label = f"label=com.docker.stack.namespace={STACK}"
    names = node.run("docker", "service", "ls", "--filter", label, "--quiet").split()
    found = node.lines("docker", "service", "inspect", "--format", "{{json .}}", *names)
    return {one["Spec"]["Name"].removeprefix(f"{STACK}_"): one["Spec"] for one in found}


def running(node: Subject, service: str) -> list[dict[str, Any]]:
    """Return the tasks of a service that are to run and do."""
    name, query = f"{STACK}_{service}", ["--filter", "desired-state=running"]
    tasks = node.lines("docker", "service", "ps", name, *query, "--format", "{{json .}}")
    return [task for task in tasks if task["CurrentState"].startswith("Running")]


def student(node: Subject, name: str, password: str | None = None) -> Student:
    if node.settings.hub.authenticator != "dummy":
        pytest.skip("only the authenticator dummy has a password that we know")
    known = node.secret(Role.HUB, "login_password")
    return Student(node.url(), name, password or known, node.deployment.ca_crt)


def test_it_manages_the_swarm(node: Subject) -> None:
    [info] = node.lines("docker", "info", "--format", "{{json .Swarm}}")
    assert (info["LocalNodeState"], info["ControlAvailable"]) == ("active", True)
    assert info["NodeAddr"] == node.address
    assert info["Cluster"]["DefaultAddrPool"] == [node.settings.swarm.default_addr_pool]
    assert info["Cluster"]["SubnetSize"] == node.settings.swarm.default_addr_pool_mask


def test_the_overlays_are_the_policys(node: Subject) -> None:
    networks = node.settings.swarm.networks
    for name in type(networks).model_fields:
        wanted = getattr(networks, name)
        [found] = node.lines("docker", "network", "inspect", "--format", "{{json .}}", name)
        assert found["Driver"] == "overlay"
        assert [pool["Subnet"] for pool in found["IPAM"]["Config"]] == [wanted.subnet]
        assert (found["Internal"], found["Attachable"]) == (wanted.internal, False)


def test_workers_find_the_token_of_this_swarm(node: Subject) -> None:
    token = node.run("docker", "swarm", "join-token", "--quiet", "worker").strip()
    assert node.secret(Role.SWARM_WORKER, "join_token") == token


@pytest.mark.parametrize("service", ["proxy", "hub", "fleet"])
def test_the_stack_runs(node: Subject, service: str) -> None:
    eventually(lambda: len(running(node, service)) == 1, f"{service} does not run once")


def test_the_stacks_images_are_the_policys(
    node: Subject, services: dict[str, dict[str, Any]]
) -> None:
    images = {n: spec["TaskTemplate"]["ContainerSpec"]["Image"] for n, spec in services.items()}
    hub, notebook = node.image("hub"), node.image("notebook")
    assert images == {"proxy": hub, "hub": hub, "fleet": hub, "pin": notebook}


def test_services_can_do_without_what_kernels_may_lack(services: dict[str, dict[str, Any]]) -> None:
    for name, spec in services.items():
        assert spec["EndpointSpec"]["Mode"] == "dnsrr", name
        assert all(port["PublishMode"] == "host" for port in spec["EndpointSpec"].get("Ports", []))


def test_services_have_no_rights_they_do_not_need(services: dict[str, dict[str, Any]]) -> None:
    for name, spec in services.items():
        container = spec["TaskTemplate"]["ContainerSpec"]
        assert container["CapabilityDrop"] == ["ALL"], name
        if name != "hub":
            assert not container.get("CapabilityAdd") and container["ReadOnly"], name


def test_no_secret_is_in_what_the_engine_shows(node: Subject) -> None:
    shown = node.run("docker", "service", "inspect", *(f"{STACK}_{s}" for s in STACK_SERVICES))
    shown += node.run("sh", "-c", "docker inspect $(docker ps --quiet)")
    shown += node.run("sh", "-c", "cat /etc/hubfleet/*.json /etc/hubfleet/*.py /etc/hubfleet/*.yml")
    for service in STACK_SERVICES:
        shown += node.run("sh", "-c", f"docker service logs {STACK}_{service} 2>&1")
    leaked = [name for name in HUB_SECRETS if node.secret(Role.HUB, name) in shown]
    assert not leaked


def test_the_controller_looks_at_the_fleet_again_and_again(node: Subject) -> None:
    last = node.json(REPORT)["at"]
    eventually(lambda: node.json(REPORT)["at"] > last, "its report grows old", 30)
    assert node.json(REPORT)["maximum"] == node.settings.fleet.workers.max


def test_the_controllers_metrics_are_for_this_node_alone(node: Subject) -> None:
    port = node.settings.autoscaler.metrics_port
    shown = node.run("curl", "--silent", "--fail", f"http://127.0.0.1:{port}/metrics")
    assert "hubfleet_workers_wanted" in shown
    assert node.try_run("curl", "--silent", f"http://{node.address}:{port}/metrics").rc != 0


def test_the_hub_answers_over_tls(node: Subject) -> None:
    answer = node.request("GET", "/hub/health")
    assert answer.status_code == 200
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert "version" in node.request("GET", "/hub/api/").json()


def test_nobody_but_the_deployments_ca_vouches_for_it(node: Subject) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        node.request("GET", "/hub/health", verify=True)


def test_its_api_knows_nobody_without_a_token(node: Subject) -> None:
    assert node.request("GET", "/hub/api/users").status_code == 403


def test_a_student_logs_in(node: Subject) -> None:
    async def scene() -> None:
        async with student(node, STUDENTS[0]) as who:
            await who.login()
            status, me = await who.request("GET", "/hub/api/user")
            assert (status, me["name"], me["admin"]) == (200, STUDENTS[0], False)
            status, _ = await who.request("GET", "/hub/api/users")
            assert status == 403

    asyncio.run(scene())


@pytest.mark.parametrize("name, password", [(STUDENTS[0], "guess"), ("../bob", None), ("", None)])
def test_a_wrong_password_or_name_is_refused(
    node: Subject, name: str, password: str | None
) -> None:
    async def scene() -> None:
        async with student(node, name, password) as who:
            with pytest.raises(HubError):
                await who.login()

    asyncio.run(scene())


@pytest.mark.kitchen
def test_the_hub_comes_back_after_a_restart_of_the_engine(node: Subject) -> None:
    node.restart_engine()

    def answers() -> bool:
        return node.request("GET", "/hub/health").status_code == 200

    eventually(answers, "the hub did not come back", 120)
    test_a_student_logs_in(node)
