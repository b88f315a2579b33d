"""Makes an account's instances real: each is a node container that boots with its user-data."""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hubfleet.clients import engine
from hubfleet.clients.engine import ContainerSpec
from hubfleet.errors import CommandError
from hubfleet.fleet.base import Role
from hubfleet.fleet.capabilities import grantable
from hubfleet.fleet.local import LocalFleet, free_addresses, inner_subnets
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.registry import HELPER, Repositories, place

TURN_S = 1.0
UP_S = 60.0
"""A container's systemd answers within that."""

VARIABLES = "/etc/hubfleet/aws.env"
"""Where a machine is told of the account; on AWS there is no such file."""

VOLUMES = "/var/lib/volumes"
VOLUME_BYTES = 512 * 1024**2

ATTACH = r"""set -eu
# Device nodes that udev makes on a machine.
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
for i in $(seq 0 63); do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done
device=$(losetup --find --show "$1")
mkdir -p /dev/disk/by-id
ln -s "$device" "/dev/disk/by-id/$2"
"""

DETACH = "for link in /dev/disk/by-id/*; do losetup --detach $(readlink $link); done"
"""What is mounted stays until the machine is gone, and is let go then."""

FACTS = re.compile(r"<<'FACTS'\n(.*)\nFACTS", re.DOTALL)


class Machines(LocalFleet):
    """Node containers with the ids of instances, and nothing but what EC2 gives a machine."""

    repositories: Repositories
    """Where machines take images from; set before one boots."""
    authorities: Path
    """Certificates that machines trust like those of the authorities that everybody trusts."""

    def __init__(self, deployment: Deployment, settings: Settings, image: str) -> None:
        # Not the local fleet's own, which takes no environment on AWS.
        self.deployment, self.settings, self.image = deployment, settings, image

    def start_bare(self, role: Role, instance_id: str, variables: dict[str, str]) -> None:
        """Start a machine that nobody has told what it is to be."""
        subnet = engine.ensure_network(self.deployment.network, {}, inner_subnets(self.settings))
        taken = {machine.address for machine in self.list()} | {place(subnet)}
        address = next(free_addresses(subnet, taken))
        version = engine.info().cgroup_version
        engine.create_container(self.spec(role, instance_id, address, version, grantable()))
        self.await_systemd(instance_id)
        self.write(instance_id, VARIABLES, "".join(f"{k}={v}\n" for k, v in variables.items()))
        trust = f"/etc/docker/certs.d/{self.repositories.host}/ca.crt"
        self.write(instance_id, trust, self.repositories.ca_crt.read_text())
        self.write(instance_id, "/usr/local/bin/docker-credential-ecr-login", HELPER, "0755")
        trusted = "/usr/local/share/ca-certificates/authority.crt"
        self.write(instance_id, trusted, self.authorities.read_text())
        self.do(instance_id, "update-ca-certificates")

    def boot(self, role: Role, instance_id: str, user_data: str, variables: dict[str, str]) -> None:
        """Start a machine and hand it its user-data, as cloud-init does on AWS."""
        self.start_bare(role, instance_id, variables)
        found = FACTS.search(user_data)
        assert found
        if state := json.loads(found[1])["state"]:
            volume = state["volume"]
            device = f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
            self.do(instance_id, "sh", "-c", ATTACH, "sh", f"{VOLUMES}/{volume}.img", device)
        self.do(instance_id, "sh", "-c", user_data)

    def write(self, instance_id: str, path: str, text: str, mode: str = "0644") -> None:
        """Put a file on a machine."""
        write = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1" && chmod "$3" "$1"'
        self.do(instance_id, "sh", "-c", write, "sh", path, text, mode)

    def do(self, instance_id: str, *argv: str, timeout: float = 30) -> str:
        """Run a program that must succeed; return what it prints."""
        done = self.run(instance_id, argv, timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def await_systemd(self, instance_id: str) -> None:
        """Wait until units can be started."""
        until = time.monotonic() + UP_S
        while self.run(instance_id, ["systemctl", "list-units", "--no-legend"], 10).returncode:
            assert time.monotonic() < until, self.console_output(instance_id)
            time.sleep(0.2)

    def terminate(self, instance_id: str) -> None:
        """Remove a machine; its volumes are free again."""
        with suppress(CommandError):  # one that never came up has none
            self.run(instance_id, ["sh", "-c", DETACH], 30)
        super().terminate(instance_id)

    def add_volume(self, volume: str) -> None:
        """Make a volume, empty, where there is none."""
        make_private_dir(self.volumes)
        with (self.volumes / f"{volume}.img").open("ab") as file:
            file.truncate(VOLUME_BYTES)

    @property
    def volumes(self) -> Path:
        """The volumes of the account, one file each."""
        return self.deployment.dir / "volumes"

    def _aliases(self, role: Role) -> Sequence[str]:
        found = super()._aliases(role)
        return [*found, self.settings.fleet.aws.host] if role is Role.HUB else found

    def spec(
        self,
        role: Role,
        instance_id: str,
        address: str,
        cgroup_version: int,
        capabilities: Sequence[str],
    ) -> ContainerSpec:
        """Return the container: named as EC2 names machines, without seed, secrets and data."""
        made = super().spec(role, instance_id, address, cgroup_version, capabilities)
        homes, cgroups = str(self.deployment.homes_dir), "/sys/fs/cgroup"
        binds = {host: at for host, at in made.binds.items() if host in {homes, cgroups}}
        make_private_dir(self.volumes)
        binds[str(self.volumes)] = f"{VOLUMES}:rw"
        engine_data = {name: at for name, at in made.volumes.items() if at == "/var/lib/docker"}
        assert len(engine_data) == 1
        hostname = f"ip-{address.replace('.', '-')}"
        # The Chef server's machine of AWS has no registry that anybody writes to.
        ports = {name: at for name, at in made.ports.items() if name == "443/tcp"}
        return replace(made, hostname=hostname, binds=binds, volumes=engine_data, ports=ports)


class Driver:
    """Boots what the account launches, and takes away what it has ended."""

    def __init__(self, cloud: Cloud, machines: Machines) -> None:
        self.cloud, self.machines = cloud, machines
        self.made: set[str] = set()
        self.problem: BaseException | None = None
        self._over = threading.Event()

    def turn(self) -> None:
        """Bring the containers in line with the account."""
        wanted = self.cloud.instances()
        for volume in self.cloud.volumes():
            self.machines.add_volume(volume)
        for instance_id in wanted.keys() - self.made:
            self.made.add(instance_id)
            user_data = self.cloud.user_data_of(instance_id)
            self.machines.boot(wanted[instance_id], instance_id, user_data, self.cloud.variables)
        for instance_id in self.made - wanted.keys():
            self.machines.terminate(instance_id)
            self.made.discard(instance_id)

    def check(self) -> None:
        """Raise what has gone wrong."""
        if self.problem:
            raise self.problem

    def forever(self) -> None:
        """Work until the end; what goes wrong is kept for the test."""
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
