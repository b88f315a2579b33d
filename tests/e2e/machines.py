"""Makes an account's instances real: each is a node container that boots with its user-data."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from hubfleet.clients import engine
from hubfleet.clients.engine import ContainerSpec
from hubfleet.fleet.base import Role
from hubfleet.fleet.capabilities import grantable
from hubfleet.fleet.local import LocalFleet, free_addresses, inner_subnets
from hubfleet.fleet.seed import MOUNT
from tests.e2e.cloud import Cloud

TURN_S = 1.0
UP_S = 60.0
"""A container's systemd answers within that."""

ENVIRONMENT = "/etc/hubfleet/aws.env"
"""Where the machine's seed finds the account; on AWS there is no such file."""


class Machines(LocalFleet):
    """Node containers with the ids of instances, and nothing of a seed: user-data leads to that."""

    def boot(self, instance_id: str, user_data: str, variables: dict[str, str]) -> None:
        """Start a machine and hand it its user-data, as cloud-init does on AWS."""
        subnet = engine.ensure_network(self.deployment.network, {}, inner_subnets(self.settings))
        address = next(free_addresses(subnet, {machine.address for machine in self.list()}))
        version = engine.info().cgroup_version
        engine.create_container(
            self.spec(Role.SWARM_WORKER, instance_id, address, version, grantable())
        )
        self.await_systemd(instance_id)
        lines = "".join(f"{key}={value}\n" for key, value in variables.items())
        write = ["sh", "-c", f'mkdir -p /etc/hubfleet && printf %s "$1" > {ENVIRONMENT}', "sh"]
        for argv in ([*write, lines], ["sh", "-c", user_data]):
            done = self.run(instance_id, argv, 30)
            assert done.returncode == 0, done.stdout + done.stderr

    def await_systemd(self, instance_id: str) -> None:
        """Wait until units can be started."""
        until = time.monotonic() + UP_S
        while self.run(instance_id, ["systemctl", "list-units", "--no-legend"], 10).returncode:
            assert time.monotonic() < until, self.console_output(instance_id)
            time.sleep(0.2)

    def spec(
        self,
        role: Role,
        instance_id: str,
        address: str,
        cgroup_version: int,
        capabilities: Sequence[str],
    ) -> ContainerSpec:
        """Return the container: named as EC2 names machines, and without the local fleet's seed."""
        made = super().spec(role, instance_id, address, cgroup_version, capabilities)
        binds = {host: at for host, at in made.binds.items() if not at.startswith(f"{MOUNT}:")}
        return replace(made, hostname=f"ip-{address.replace('.', '-')}", binds=binds)


class Driver:
    """Boots what the group launches, and takes away what it has ended."""

    def __init__(self, cloud: Cloud, machines: Machines, adopted: set[str]) -> None:
        self.cloud, self.machines, self.adopted = cloud, machines, adopted
        self.made: set[str] = set()
        self.problem: BaseException | None = None
        self._over = threading.Event()

    def turn(self) -> None:
        """Bring the containers in line with the group."""
        members = set(self.cloud.members) - self.adopted
        for instance_id in members - self.made:
            self.made.add(instance_id)
            address = self.cloud.front.address
            self.machines.boot(
                instance_id,
                self.cloud.user_data_of(instance_id),
                {"AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_SERVICE_ENDPOINT": address},
            )
        for instance_id in self.made - members:
            self.machines.terminate(instance_id)
            self.made.discard(instance_id)

    def forever(self) -> None:
        """Work until `stop`; what goes wrong is kept for the test."""
        try:
            while not self._over.wait(TURN_S):
                self.turn()
        except BaseException as error:
            self.problem = error

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work in a thread of its own during the block; afterwards no machine is left."""
        thread = threading.Thread(target=self.forever)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            for instance_id in self.made:
                self.machines.terminate(instance_id)
