"""Each disagreement is made by hand, found, and healed; the controller is away meanwhile."""

import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from hubfleet import policy
from hubfleet.consistency import gather, hub_service
from hubfleet.controller.reconcile import Finding, Kind, Limits, compare
from hubfleet.converge import converge, require_all
from hubfleet.errors import UsageError
from hubfleet.fleet.base import Role
from hubfleet.healing import Healer
from tests.e2e.conftest import Lab

Play = Callable[[Callable[[], Awaitable[None]]], None]

NO_PATIENCE = Limits(boot_s=0, grace_s=0)
WORKER_S = 240

PROXY = """
import sys, urllib.error, urllib.request
token = open('/run/secrets/proxy_token').read().strip()
request = urllib.request.Request(
    'http://proxy-api:8001/api/routes' + sys.argv[2],
    method=sys.argv[1],
    headers={'Authorization': f'token {token}'},
    data=sys.argv[3].encode() if len(sys.argv) > 3 else None,
)
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    if error.code != 404:
        raise
"""


@pytest.fixture(scope="module", autouse=True)
def alone(lab: Lab) -> Iterator[None]:
    """Keep the controller away, and have it complete the fleet afterwards."""
    lab.on(lab.hub, "docker", "service", "scale", "hubfleet_fleet=0")
    yield
    lab.on(lab.hub, "docker", "service", "scale", "hubfleet_fleet=1")
    until(lambda: len(ready_workers(lab)) >= lab.settings.fleet.workers.min, WORKER_S)


@pytest.fixture
def healer(lab: Lab) -> Healer:
    return Healer(lab.deployment, lab.fleet)


def found(lab: Lab, subject: str) -> list[Finding]:
    """Return what is found of one student or worker now, without any patience."""
    everything = compare(gather(lab.deployment, lab.fleet), NO_PATIENCE)
    return [finding for finding in everything if finding.subject == subject]


def kinds(lab: Lab, subject: str) -> list[Kind]:
    return [finding.kind for finding in found(lab, subject)]


def ready_workers(lab: Lab) -> list[str]:
    names = lab.on(
        *(lab.hub, "docker", "node", "ls", "--filter", "role=worker", "--format"),
        "{{.Hostname}} {{.Status}}",
    )
    return [line.split()[0] for line in names.splitlines() if line.endswith("Ready")]


def until(seen: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(1)


def proxy(lab: Lab, *arguments: str) -> None:
    """Change the proxy's routes behind the hub's back."""
    hub = lab.on(lab.hub, "docker", "ps", "-q", "--filter", "name=hubfleet_hub").strip()
    lab.on(lab.hub, "docker", "exec", hub, "python3", "-c", PROXY, *arguments)


def test_a_server_without_its_service_is_a_ghost(lab: Lab, healer: Healer, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("rea"):
            assert kinds(lab, "rea") == []
            lab.on(lab.hub, "docker", "service", "rm", "student-rea")
            assert kinds(lab, "rea") == [Kind.GHOST_SERVER]
            assert healer.stop("rea")
            assert kinds(lab, "rea") == []
            assert healer.stop("rea") == []

    scene(play)


def test_a_server_on_two_tasks_is_ended_by_command_alone(
    lab: Lab, healer: Healer, scene: Play
) -> None:
    async def play() -> None:
        async with lab.students("rob"):
            lab.on(lab.hub, "docker", "service", "scale", "student-rob=2")
            (finding,) = found(lab, "rob")
            assert (finding.kind, finding.safe) == (Kind.SERVER_TWICE, False)
            # Not an orphan: it is the hub's.
            assert healer.remove_orphans("rob") == []
            assert healer.stop("rob")
            until(lambda: kinds(lab, "rob") == [], 30)

    scene(play)


def test_a_service_that_the_hub_does_not_know_is_an_orphan(lab: Lab, healer: Healer) -> None:
    image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    notebook = lab.on(lab.hub, "docker", "service", "inspect", "-f", image, "hubfleet_pin").strip()
    lab.on(
        *(lab.hub, "docker", "service", "create", "--detach", "--no-resolve-image"),
        *("--name", "student-roy", "--label", "hubfleet.user=roy", "--endpoint-mode", "dnsrr"),
        *("--network", "notebooks", "--constraint", "node.role==worker"),
        *("--entrypoint", "sleep", notebook, "infinity"),
    )
    (finding,) = found(lab, "roy")
    assert (finding.kind, finding.safe) == (Kind.ORPHAN_SERVICE, True)
    assert finding.heal == "./invoke hub.stop roy"
    assert healer.remove_orphans("roy") == ["service student-roy is removed"]
    assert kinds(lab, "roy") == []


def broken(lab: Lab) -> bool:
    """Take one route away and add another; say whether both are seen before the hub acts."""
    proxy(lab, "DELETE", "/user/ruth")
    proxy(lab, "POST", "/user/rolf", '{"target": "http://no:1", "jupyterhub": true}')
    seen = [kinds(lab, "ruth"), kinds(lab, "rolf")]
    return seen == [[Kind.MISSING_ROUTE], [Kind.STRAY_ROUTE]]


def test_routes_are_put_right(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("ruth"):
            until(lambda: broken(lab), 30)
            hub_service(lab.deployment).check_routes()
            assert [kinds(lab, "ruth"), kinds(lab, "rolf")] == [[], []]

    scene(play)


def test_chef_s_remains_of_a_machine_are_forgotten(lab: Lab, healer: Healer) -> None:
    chef = policy.connect(lab.deployment)
    node, client = "i-0000000000000000a", "i-0000000000000000b"
    named = {"policy_name": "swarm_worker", "policy_group": lab.deployment.environment}
    classes = {"json_class": "Chef::Node", "chef_type": "node", "run_list": []}
    chef.wire.object("POST", "/nodes", {"name": node, **named, **classes})
    chef.wire.object("POST", "/clients", {"name": client, "create_key": True})
    assert kinds(lab, node) == [Kind.STRAY_CHEF_NODE]
    assert kinds(lab, client) == [Kind.STRAY_CHEF_CLIENT]
    for name in (node, client):
        healer.forget(healer.remains(name))
        assert kinds(lab, name) == []
        with pytest.raises(UsageError, match="nobody knows"):
            healer.remains(name)


@pytest.mark.parametrize("name", ["operator", "bootstrap", "fleet"])
def test_the_clients_that_everything_needs_are_not_forgotten(healer: Healer, name: str) -> None:
    with pytest.raises(UsageError, match="nobody knows"):
        healer.remains(name)


def test_a_worker_that_chef_has_lost_saves_itself_again(lab: Lab) -> None:
    worker = lab.machines(Role.SWARM_WORKER)[0]
    policy.connect(lab.deployment).delete_node(worker.id)
    (finding,) = found(lab, worker.id)
    assert finding.kind is Kind.MISSING_CHEF_NODE
    assert finding.heal == f"./invoke converge --node {worker.id}"
    require_all(converge(lab.deployment, lab.fleet, [worker]))
    assert kinds(lab, worker.id) == []


def test_a_worker_that_joins_anew_leaves_its_former_self(lab: Lab, healer: Healer) -> None:
    worker = lab.machines(Role.SWARM_WORKER)[0]
    with pytest.raises(UsageError, match="alive"):
        healer.remains(worker.id)
    lab.on(worker, "docker", "swarm", "leave")
    until(lambda: kinds(lab, worker.id) == [Kind.LOST_WORKER], 60)
    require_all(converge(lab.deployment, lab.fleet, [worker]))
    until(lambda: kinds(lab, worker.id) == [Kind.MEMBER_TWICE], 60)
    (finding,) = found(lab, worker.id)
    assert (finding.heal, finding.safe) == (f"./invoke fleet.forget {worker.id}", True)
    healer.forget(healer.remains(worker.id))
    assert kinds(lab, worker.id) == []
    assert worker.id in ready_workers(lab)


def test_a_machine_that_is_gone_is_forgotten_everywhere(lab: Lab, healer: Healer) -> None:
    worker = lab.machines(Role.SWARM_WORKER)[-1]
    policy.connect(lab.deployment).delete_client(worker.id)
    (finding,) = found(lab, worker.id)
    assert (finding.kind, finding.safe) == (Kind.MISSING_CHEF_CLIENT, False)
    assert finding.heal == f"./invoke fleet.drain {worker.id}"
    lab.fleet.terminate(worker.id)
    gone = [Kind.STRAY_MEMBER, Kind.STRAY_CHEF_NODE]
    assert kinds(lab, worker.id) == gone
    # What the Swarm still believes alive is left to a person.
    until(lambda: all(finding.safe for finding in found(lab, worker.id)), 60)
    assert kinds(lab, worker.id) == gone
    healer.forget(healer.remains(worker.id))
    assert kinds(lab, worker.id) == []
