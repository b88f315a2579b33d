"""Node containers on this machine's Docker engine, standing in for machines.

Each is a systemd container with a Docker engine of its own, on the deployment's bridge network.
Only containers, bridge networks and volumes of the outer engine are used: a Swarm that it may
belong to is not touched.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_network

from hubfleet.backends import require_local
from hubfleet.clients import engine
from hubfleet.clients.engine import ContainerInfo, ContainerSpec
from hubfleet.clients.process import Completed
from hubfleet.errors import PreconditionError, UsageError, nearest
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.fleet.capabilities import grantable
from hubfleet.fleet.seed import MOUNT, new_instance_id, write_seed
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir

DEPLOYMENT_LABEL = "hubfleet.deployment"
ROLE_LABEL = "hubfleet.role"
INSTANCE_LABEL = "hubfleet.instance-id"

STATES = {
    "created": State.PENDING,
    "restarting": State.PENDING,
    "running": State.RUNNING,
    "paused": State.STOPPED,
    "exited": State.STOPPED,
    "removing": State.STOPPED,
    "dead": State.STOPPED,
}

CGROUP_V1_COMMAND = ["/lib/systemd/systemd", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
"""systemd 256 and later refuse cgroup v1 without this word."""

CGROUP_V2_COMMAND = [
    "/bin/sh",
    "-c",
    "mount -o remount,rw /sys/fs/cgroup && exec /lib/systemd/systemd",
]
"""Docker mounts the container's own cgroup tree read-only unless it is privileged."""


class LocalFleet(Fleet):
    """The node containers of one deployment, from image `image`.

    Raises PreconditionError where the deployment's environment is on AWS.
    """

    def __init__(self, deployment: Deployment, settings: Settings, image: str) -> None:
        require_local(deployment.environment, settings)
        self.deployment = deployment
        self.settings = settings
        self.image = image

    @property
    def label(self) -> str:
        """The label of everything that belongs to the deployment."""
        return f"{DEPLOYMENT_LABEL}={self.deployment.name}"

    def list(self) -> Instances:
        """Return all machines, by role, then in the order of their launch."""
        found = [
            _instance(container, self.deployment.network)
            for container in engine.list_containers(self.label)
            if INSTANCE_LABEL in container.labels
        ]
        return sorted(found, key=lambda instance: [*Role].index(instance.role))

    def launch(self, role: Role, count: int = 1) -> Instances:
        """Start `count` node containers, which then bootstrap themselves."""
        labels = {DEPLOYMENT_LABEL: self.deployment.name}
        inner = inner_subnets(self.settings)
        subnet = engine.ensure_network(self.deployment.network, labels, inner)
        addresses = free_addresses(subnet, {instance.address for instance in self.list()})
        version = engine.info().cgroup_version
        ids = [new_instance_id() for _ in range(count)]
        for instance_id in ids:
            write_seed(self.deployment, self.settings, role, instance_id)
            spec = self.spec(role, instance_id, next(addresses), version, grantable())
            engine.create_container(spec)
        return [instance for instance in self.list() if instance.id in ids]

    def start(self, instance_id: str) -> None:
        """Start a stopped node container again."""
        engine.start_container(self._name(instance_id))

    def terminate(self, instance_id: str) -> None:
        """Remove a node container with its engine's data and its seed."""
        name = self._name(instance_id)
        engine.remove_container(name)
        engine.remove_volume(f"{name}-docker")
        seed = self.deployment.node_dir(instance_id)
        # The fleet service may be removing it, too.
        with suppress(FileNotFoundError):
            for path in seed.iterdir():
                path.unlink(missing_ok=True)
            seed.rmdir()

    def console_output(self, instance_id: str) -> str:
        """Return what the node has written to its console since it was started last."""
        return engine.logs(self._name(instance_id))

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program on a running node for at most `timeout` seconds (then code 124)."""
        return engine.execute(self._name(instance_id), argv, timeout)

    def spec(
        self,
        role: Role,
        instance_id: str,
        address: str,
        cgroup_version: int,
        capabilities: Sequence[str],
    ) -> ContainerSpec:
        """Return the container of a node; `capabilities` are all that the engine can give."""
        name = self._name(instance_id)
        legacy = cgroup_version == 1
        return ContainerSpec(
            name=name,
            image=self.image,
            command=CGROUP_V1_COMMAND if legacy else CGROUP_V2_COMMAND,
            hostname=instance_id,
            network=self.deployment.network,
            address=address,
            aliases=self._aliases(role),
            labels={
                DEPLOYMENT_LABEL: self.deployment.name,
                ROLE_LABEL: role.value,
                INSTANCE_LABEL: instance_id,
            },
            cap_add=[*capabilities],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            system_paths_unconfined=True,
            device_cgroup_rules=["a *:* rwm"],
            cgroupns="host" if legacy else "private",
            tmpfs={"/run": "mode=755", "/tmp": "exec"},
            binds=self._binds(role, instance_id)
            | ({"/sys/fs/cgroup": "/sys/fs/cgroup:rw"} if legacy else {}),
            volumes=self._volumes(role, name),
            ports=self._ports(role),
            environment={"container": "docker"},
        )

    def _aliases(self, role: Role) -> Sequence[str]:
        zone = self.settings.fleet.zone
        names = {Role.HUB: ["hub"], Role.CHEF_SERVER: ["chef", "registry"]}.get(role, [])
        return [f"{name}.{zone}" for name in names]

    def _binds(self, role: Role, instance_id: str) -> dict[str, str]:
        store = SecretStore(self.deployment.secrets_dir)
        inside = self.settings.secrets.path
        binds = {
            str(self.deployment.node_dir(instance_id)): f"{MOUNT}:rw",
            str(store.ensure_role(role)): f"{inside}/{role.value}:ro",
        }
        if role is Role.HUB:
            worker = Role.SWARM_WORKER
            binds[str(store.ensure_role(worker))] = f"{inside}/{worker.value}:rw"
        if role in {Role.HUB, Role.SWARM_WORKER}:
            make_private_dir(self.deployment.homes_dir)
            binds[str(self.deployment.homes_dir)] = f"{self.settings.storage.homes}:rw"
        return binds

    def _volumes(self, role: Role, name: str) -> dict[str, str]:
        """Name the engine's data after the node; Chef's and the registry's after the deployment.

        The latter outlive a node: its successor still knows the other nodes' keys.
        """
        volumes = {f"{name}-docker": "/var/lib/docker"}
        if role is Role.CHEF_SERVER:
            network = self.deployment.network
            if directory := self._chef_data():
                volumes[f"{network}-chef"] = directory
            volumes[f"{network}-registry"] = self.settings.registry.data_dir
        return volumes

    def _ports(self, role: Role) -> dict[str, tuple[str, int]]:
        address = self.settings.fleet.local.bind_address
        ports = self.deployment.ports
        if role is Role.HUB:
            return {"443/tcp": (address, ports.https)}
        if role is Role.CHEF_SERVER:
            server = self.settings.chef_server
            chef = server.install.port if server.mode == "install" else 443
            writing = f"{self.settings.registry.push_port}/tcp"
            return {f"{chef}/tcp": (address, ports.chef), writing: (address, ports.registry)}
        return {}

    def _chef_data(self) -> str:
        """Return where the Chef server keeps its data on its machine; empty for an external one."""
        server = self.settings.chef_server
        where = {"embedded": server.data_dir, "install": server.install.data_dir}
        return where.get(server.mode, "")

    def _name(self, instance_id: str) -> str:
        return f"{self.deployment.network}-{instance_id}"


def inner_subnets(settings: Settings) -> Sequence[str]:
    """Return the subnets (CIDR) that a node's own engine uses: none may be the node's network."""
    swarm, networks = settings.swarm, settings.swarm.networks
    overlays = [networks.notebooks.subnet, networks.control.subnet]
    return [settings.docker.address_pool.base, swarm.default_addr_pool, *overlays]


def free_addresses(subnet: str, taken: Container[str]) -> Iterator[str]:
    """Yield the addresses of a subnet (CIDR) that nobody has; the first is the gateway's.

    Raises PreconditionError where there are no more.
    """
    for address in list(ip_network(subnet).hosts())[1:]:
        if str(address) not in taken:
            yield str(address)
    raise PreconditionError(f"all addresses of {subnet} are taken", "run fewer workers")


def find(instances: Sequence[Instance], instance_id: str) -> Instance:
    """Return the instance of an id; raise UsageError, with the nearest one, where there is none."""
    for instance in instances:
        if instance_id in {instance.id, instance.name}:
            return instance
    known = [instance.id for instance in instances]
    raise UsageError(
        f"no machine is named {instance_id!r}{nearest(instance_id, known)}",
        "list them: ./invoke fleet.list",
    )


def _instance(container: ContainerInfo, network: str) -> Instance:
    return Instance(
        id=container.labels[INSTANCE_LABEL],
        role=Role(container.labels[ROLE_LABEL]),
        state=STATES.get(container.status, State.STOPPED),
        address=container.addresses.get(network, ""),
        launched_at=container.created_at,
        name=container.name,
    )
