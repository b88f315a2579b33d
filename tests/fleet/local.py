"""The local back end under test: the real service in its real container, with real workers.

Timings are short, and most workers hang at boot, which costs nothing; else all is as in a
deployment.
"""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from hubfleet import identity, images
from hubfleet.clients import engine, engine_service
from hubfleet.clients.fleet_local import PORT, FleetService
from hubfleet.console import Console
from hubfleet.destroy import destroy
from hubfleet.errors import HubfleetError
from hubfleet.fleet import service_container
from hubfleet.fleet.base import Role
from hubfleet.fleet.local import LocalFleet
from hubfleet.fleet.scaling_local import LocalScaling
from hubfleet.fleet.service.files import state_dir, token_files
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports, make_private_dir
from tests.fleet.backend import Backend

ALL = 100

TIMINGS = {
    "--visibility-s": 2.0,
    "--heartbeat-s": 3.0,
    "--hook-most-s": 7.0,
    "--notice-s": 3.0,
    "--restart-s": 4.0,
}


class LocalBackend(Backend):
    """The service of a deployment that has nothing else."""

    name = "local"
    visibility_s = TIMINGS["--visibility-s"]
    heartbeat_s = TIMINGS["--heartbeat-s"]
    hook_most_s = TIMINGS["--hook-most-s"]
    settle_s = 30.0

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.settings = load(deployment.environment)
        self.most = self.settings.fleet.workers.max
        self.container = service_container.name_of(deployment)
        image = images.reference("node", deployment.root)
        self.fleet = LocalFleet(deployment, self.settings, image)
        """As a deploy uses it, past the service."""

    def start(self) -> None:
        """Start the service's container and wait for it."""
        make_private_dir(state_dir(self.deployment))
        spec = service_container.spec(self.deployment, self.settings)
        options = [word for name, value in TIMINGS.items() for word in (name, str(value))]
        engine_service.run_service(replace(spec, command=[*spec.command, *options]))
        self.connect()

    def restart(self) -> None:
        """Kill the service where it stands and start it again."""
        engine_service.kill(self.container)
        engine_service.start_service(self.container)
        self.connect()

    def connect(self) -> None:
        """Wait until the service answers; its port is another one after each start."""
        until = time.monotonic() + 30
        while True:
            try:
                self.operator = service_container.connect(self.deployment)
                self.operator.call("workers")
                break
            except HubfleetError:
                assert time.monotonic() < until, engine.logs(self.container)
                time.sleep(0.2)
        self.scaling = LocalScaling(self.service(self.token))

    @property
    def url(self) -> str:
        """Where this machine reaches the service."""
        return f"https://localhost:{engine_service.service_port(self.container, PORT)}"

    @property
    def token(self) -> str:
        """The controller's."""
        return token_files(self.deployment)[0].read_text()

    def service(self, token: str) -> FleetService:
        """Return a client with a token."""
        return FleetService(self.url, token, self.deployment.ca_crt)

    def put(self, body: str) -> None:
        """Have a message arrive."""
        self.operator.put(body)

    def unprotected(self) -> str:
        """Start a worker past the service, as a deploy does."""
        return self.fleet.launch(Role.SWARM_WORKER)[0].id

    def run_dry(self, pool: str, seconds: int) -> None:
        """Leave a pool without capacity."""
        self.operator.run_dry(pool, seconds)

    def dead_letters(self) -> Sequence[str]:
        """Return the bodies of the messages that nobody could handle."""
        return [str(each["body"]) for each in self.operator.dead_letters()]

    def clear(self) -> None:
        """End all workers at once, empty the queue, and take all faults back."""
        for machine in self.fleet.list():
            self.fleet.terminate(machine.id)
        self.until(self.scaling.workers, lambda workers: not workers)
        while self.waiting():
            for message in self.scaling.receive(1):
                self.scaling.acknowledge(message)
        self.run_dry("default", 0)
        self.operator.fail_boots(ALL)

    def waiting(self) -> int:
        """Return how many messages are in the queue, hidden ones among them."""
        file = state_dir(self.deployment) / "queue.json"
        return len(json.loads(file.read_text())["waiting"]) if file.exists() else 0

    def running(self) -> set[str]:
        """Return the ids of this deployment's machines that run, as the engine has them."""
        return {machine.id for machine in self.fleet.list() if machine.state == "running"}


@contextmanager
def local_backend() -> Iterator[LocalBackend]:
    """A service of its own, which is removed with all that it has made."""
    deployment = Deployment.create(f"fleet-{secrets.token_hex(3)}", "local", Ports.block(19000))
    backend = LocalBackend(deployment)
    try:
        identity.ensure(deployment, backend.settings)
        backend.start()
        yield backend
    finally:
        destroy(deployment, Console(), homes=True)
