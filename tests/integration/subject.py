"""The node under test, and what a test asks of it."""

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests

from hubfleet.clients import docker, engine
from hubfleet.clients.engine import ContainerInfo
from hubfleet.fleet.base import Role
from hubfleet.fleet.local import DEPLOYMENT_LABEL, ROLE_LABEL
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment

TIMEOUT_S = 30
"""Seconds for one answer."""

COMMAND_TIMEOUT_S = 300
"""Seconds for a program on a node."""

REPORT = "/var/lib/hubfleet/last-converge.json"

KITCHEN_NODES = "/var/tmp/kitchen/nodes"
"""Where chef-client, in Kitchen's local mode, saves the node object."""


@dataclass(frozen=True)
class Subject:
    """One node, in Kitchen or deployed, by its container."""

    container: str
    host: Any
    """Testinfra's host."""
    role: Role
    environment: str
    kitchen: bool

    @cached_property
    def info(self) -> ContainerInfo:
        """What the engine says of the node."""
        return next(i for i in self._machines("") if i.name == self.container)

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment that the node belongs to."""
        labels = docker.client().containers.get(self.container).labels
        return Deployment(labels[DEPLOYMENT_LABEL], self.environment)

    @cached_property
    def settings(self) -> Settings:
        """What the roles and the environment say."""
        return load(self.environment, view=self.role)

    @property
    def id(self) -> str:
        """The node's instance id."""
        return str(self.run("hostname").strip())

    @property
    def address(self) -> str:
        """The node's address on the deployment's network."""
        return self.info.addresses[self.deployment.network]

    def run(self, *argv: str) -> str:
        """Run a program on the node; it must succeed."""
        done = self.try_run(*argv)
        assert done.rc == 0, f"{shlex.join(argv)}: {done.rc}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def try_run(self, *argv: str) -> Any:
        """Run a program on the node; return Testinfra's result."""
        return self.host.run(shlex.join(["timeout", str(COMMAND_TIMEOUT_S), *argv]))

    def restart_engine(self) -> None:
        """Restart the node's Docker engine.

        systemd refuses the fourth start within a minute, and a quick machine comes to that when
        the converge before the test has restarted the engine, too.
        """
        self.run("systemctl", "reset-failed", "docker.service", "docker.socket")
        self.run("systemctl", "restart", "docker.service")

    def lines(self, *argv: str) -> list[dict[str, Any]]:
        """Run a program that prints one JSON object a line."""
        return [json.loads(line) for line in self.run(*argv).splitlines() if line]

    def json(self, path: str) -> Any:
        """Return a JSON file of the node."""
        return json.loads(self.run("cat", path))

    def unit(self, name: str, *properties: str) -> dict[str, str]:
        """Return properties of a systemd unit."""
        shown = self.run("systemctl", "show", name, f"--property={','.join(properties)}")
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def secret(self, role: str, name: str) -> str:
        """Return a secret of the deployment, from the operator's side."""
        found = SecretStore(self.deployment.secrets_dir).read(role, name)
        assert found is not None, f"the deployment has no secret {role}/{name}"
        return found.reveal()

    def image(self, name: str) -> str:
        """Return the full reference of an image on nodes."""
        image = getattr(self.settings.images, name)
        return f"registry.{self.settings.fleet.zone}/{image.repository}:{image.tag}"

    def url(self, port: int = 443) -> str:
        """Return where a port of the node is published on this machine."""
        bindings = docker.client().containers.get(self.container).ports[f"{port}/tcp"]
        assert bindings, f"port {port} is not published"
        return f"https://localhost:{bindings[0]['HostPort']}"

    def request(
        self, method: str, path: str, port: int = 443, name: str = "", **options: Any
    ) -> requests.Response:
        """Send a request over verified TLS; `name` is the virtual host."""
        headers = {**({"Host": name} if name else {}), **options.pop("headers", {})}
        with requests.Session() as session:
            # Proxies and CA bundles of the environment have no part in this connection.
            session.trust_env = False
            options.setdefault("verify", str(self.deployment.ca_crt))
            options.setdefault("allow_redirects", False)
            return session.request(
                method, self.url(port) + path, headers=headers, timeout=TIMEOUT_S, **options
            )

    def peer(self, role: Role) -> str:
        """Return the container of the deployment's one machine of another role."""
        return self._machines(role)[0].name

    def on_peer(self, role: Role, *argv: str) -> str:
        """Run a program on the deployment's one machine of a role; it must succeed."""
        done = engine.execute(self.peer(role), argv, COMMAND_TIMEOUT_S)
        assert done.returncode == 0, f"{shlex.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _machines(self, role: str) -> list[ContainerInfo]:
        found = engine.list_containers(f"{DEPLOYMENT_LABEL}={self.deployment.name}")
        return [info for info in found if not role or info.labels.get(ROLE_LABEL) == role]


def eventually(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until `holds` is true; fail, saying `what` did not happen, when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds:g} s: {what}"
        time.sleep(0.5)
