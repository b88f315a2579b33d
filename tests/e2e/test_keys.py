"""Keys of a running deployment: a stolen one, new ones, a revoked one."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hubfleet import policy, revocation, rotation
from hubfleet.ca_rotation import CaRotation, Phase
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.console import Console
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Instance, Role
from hubfleet.pki import certificates_in
from hubfleet.secrets import SecretStore
from hubfleet.stages import Deploy
from tests.e2e.conftest import Lab


@pytest.fixture
def stolen(lab: Lab, tmp_path: Path) -> Chef:
    """The Chef server as seen by whoever has copied the first worker's key."""
    worker = lab.machines(Role.SWARM_WORKER)[0]
    return thief(lab, worker, tmp_path)


def thief(lab: Lab, worker: Instance, directory: Path) -> Chef:
    key = directory / "stolen.pem"
    key.write_text(lab.on(worker, "cat", "/etc/chef/client.pem"))
    return Chef(lab.deployment.chef_server_url, key, lab.deployment.ca_crt, worker.id)


@dataclass
class Converges:
    """chef-client on every node, again and again."""

    runs: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def converging(lab: Lab) -> Iterator[Converges]:
    """Run chef-client on all nodes in turn until the block is left."""
    found, stop = Converges(), threading.Event()

    def loop() -> None:
        while not stop.is_set():
            for machine in lab.fleet.list():
                done = lab.fleet.run(machine.id, ["chef-client"], 300)
                found.runs += 1
                if done.returncode != 0:
                    found.failures.append(f"{machine.id}: {done.stdout[-1500:]}")

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def refused(chef: Chef, method: str, path: str) -> int:
    """Return the status with which a call is refused."""
    with pytest.raises(ChefServerError) as error:
        chef.wire.call(method, path, {} if method in {"POST", "PUT"} else None)
    return error.value.status


def test_a_machine_keeps_no_key_that_makes_clients(lab: Lab) -> None:
    for machine in lab.fleet.list():
        found = lab.on(machine, "sh", "-c", "find / -xdev -name 'bootstrap*.pem'")
        assert found == ""
        assert not (lab.deployment.node_dir(machine.id) / "bootstrap.pem").exists()


def test_a_stolen_key_is_that_worker_and_nothing_more(lab: Lab, stolen: Chef) -> None:
    other = lab.machines(Role.SWARM_WORKER)[1].id
    assert stolen.node(stolen.client)["policy_name"] == "swarm_worker"
    assert refused(stolen, "POST", "/clients") == 403
    assert refused(stolen, "PUT", f"/nodes/{other}") == 403
    assert refused(stolen, "DELETE", f"/nodes/{other}") == 403
    assert refused(stolen, "GET", f"/clients/{other}") == 403
    assert refused(stolen, "GET", "/data") == 403
    assert refused(stolen, "PUT", "/policy_groups/local/policies/hub") == 403


def test_nodes_change_their_keys_while_they_converge(lab: Lab, stolen: Chef) -> None:
    with converging(lab) as converges:
        rotation.require_rotated(rotation.rotate_nodes(lab.fleet, lab.fleet.list()))
        assert refused(stolen, "GET", "/nodes") == 401
        while converges.runs < len(lab.fleet.list()) + 1:
            time.sleep(0.5)
    assert converges.failures == []


CONTROLLERS_KEY = "docker exec $(docker ps -qf name=hubfleet_fleet) cat /run/secrets/fleet_key"


@pytest.mark.parametrize("client", rotation.CLIENTS)
def test_the_first_clients_change_their_keys(lab: Lab, tmp_path: Path, client: str) -> None:
    controllers = SecretStore(lab.deployment.secrets_dir).path(Role.HUB, "fleet_key")
    files = {"operator": lab.deployment.operator_key, "bootstrap": lab.deployment.bootstrap_key}
    files["fleet"] = controllers
    old = tmp_path / "old.pem"
    old.write_bytes(files[client].read_bytes())
    rotation.rotate_client(lab.deployment, lab.fleet, client)
    assert files[client].read_bytes() != old.read_bytes()
    before = Chef(lab.deployment.chef_server_url, old, lab.deployment.ca_crt, client)
    assert refused(before, "GET", "/nodes") == 401
    chef = policy.connect(lab.deployment)
    assert list(chef.client_keys(client)) == ["default"]
    # Neither a converge nor a restart of the service brings the old key back.
    server = lab.machines(Role.CHEF_SERVER)[0]
    lab.on(server, "systemctl", "restart", "hubfleet-chef-api")
    assert list(policy.connect(lab.deployment).client_keys(client)) == ["default"]
    assert refused(before, "GET", "/nodes") == 401
    assert lab.on(lab.hub, "sh", "-c", CONTROLLERS_KEY).strip() == controllers.read_text().strip()


def test_the_authority_is_replaced_while_nodes_converge(lab: Lab, tmp_path: Path) -> None:
    old = tmp_path / "old.crt"
    old.write_bytes(lab.deployment.ca_crt.read_bytes())
    console = Console()
    first = CaRotation(lab.deployment, lab.settings, lab.fleet, console)
    with converging(lab) as converges:
        # Cut off in the middle: another run goes on where this one was.
        for _title, step in first.steps()[:2]:
            step()
        assert first.phase.value == Phase.FORGET
        policy.connect(lab.deployment).nodes()
        CaRotation(lab.deployment, lab.settings, lab.fleet, console).run()
    assert converges.failures == []
    assert first.phase.value == Phase.NONE
    assert len(certificates_in(lab.deployment.ca_crt)) == 1
    with pytest.raises(PreconditionError, match="our CA has not signed"):
        Chef(lab.deployment.chef_server_url, lab.deployment.operator_key, old).nodes()
    trusted = lab.deployment.ca_crt.read_text()
    for machine in lab.fleet.list():
        assert lab.on(machine, "cat", "/etc/chef/trusted_certs/hubfleet-ca.crt") == trusted
    context = ssl.create_default_context(cafile=str(lab.deployment.ca_crt))
    assert context.cert_store_stats()["x509_ca"] == 1


def test_a_revoked_worker_is_refused_and_replaced(lab: Lab, tmp_path: Path) -> None:
    worker, other = lab.machines(Role.SWARM_WORKER)
    stolen = thief(lab, worker, tmp_path)
    console = Console()
    revocation.revoke(lab.deployment, lab.fleet, console, worker.id, terminate=False)
    for method, path in (("GET", "/nodes"), ("GET", f"/nodes/{worker.id}"), ("POST", "/nodes")):
        assert refused(stolen, method, path) == 401
    assert lab.fleet.run(worker.id, ["chef-client"], 300).returncode != 0
    assert worker.id not in policy.connect(lab.deployment).nodes()
    lab.on(other, "chef-client")
    lab.on(lab.hub, "chef-client")
    Deploy(lab.deployment, lab.settings, console).run()
    assert worker.id not in {machine.id for machine in lab.fleet.list()}
    # The controller may have been quicker than the deploy, and ends what is too much.
    assert len(lab.machines(Role.SWARM_WORKER)) >= lab.settings.fleet.workers.min
