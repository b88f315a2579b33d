"""Containers, networks and volumes of the Docker engine: what a local fleet is made of.

Never touches a Swarm that the engine itself may belong to: bridge networks and plain containers
only.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, cast

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool, LogConfig, Mount

from hubfleet.clients import exec_stream
from hubfleet.clients.docker import client, refusals
from hubfleet.clients.process import Completed

KILL_AFTER_S = 10
"""Seconds between SIGTERM and SIGKILL for a program that outlives its timeout in a container."""

TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[@-_]|\r")
"""What a console holds for a terminal alone: escape sequences (ECMA-48) and carriage returns."""


@dataclass(frozen=True)
class EngineInfo:
    """What the engine says about itself."""

    version: str
    cgroup_version: int
    root_dir: Path
    swarm_active: bool
    memory_bytes: int
    cpus: int


@dataclass(frozen=True)
class ContainerSpec:
    """A container to be created; the fields are those of `docker run`."""

    name: str
    image: str
    command: list[str]
    hostname: str
    network: str
    address: str
    """IPv4 address; fixed, since a member of a Swarm must keep its address over restarts."""
    aliases: Sequence[str]
    labels: dict[str, str]
    cap_add: list[str]
    security_opt: list[str]
    system_paths_unconfined: bool
    """Whether the container sees all of /proc and /sys, writable."""
    device_cgroup_rules: list[str]
    cgroupns: Literal["host", "private"]
    tmpfs: dict[str, str]
    binds: dict[str, str]
    """Host path to `container path:mode`."""
    volumes: dict[str, str]
    """Volume name to container path; volumes are made with the container's labels."""
    ports: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Container port such as `443/tcp` to (address, port) of the host."""
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGRTMIN+3"
    restart: Literal["no", "unless-stopped"] = "unless-stopped"


@dataclass(frozen=True)
class ContainerInfo:
    """A container as the engine reports it."""

    name: str
    labels: dict[str, str]
    status: str
    """created, running, paused, restarting, removing, exited or dead."""
    created_at: datetime
    started_at: datetime
    addresses: dict[str, str]
    """Network name to IPv4 address."""


def info() -> EngineInfo:
    """Return what the engine says about itself."""
    with refusals("describe itself"):
        raw = client().info()
    return EngineInfo(
        version=str(raw["ServerVersion"]),
        cgroup_version=int(raw.get("CgroupVersion", 1)),
        root_dir=Path(raw["DockerRootDir"]),
        swarm_active=raw.get("Swarm", {}).get("LocalNodeState", "inactive") != "inactive",
        memory_bytes=int(raw["MemTotal"]),
        cpus=int(raw["NCPU"]),
    )


def ensure_network(name: str, labels: Mapping[str, str], avoid: Sequence[str]) -> str:
    """Return the subnet (CIDR) of a bridge network, made where it is missing.

    Fixed addresses need a subnet that was asked for. The engine knows which is free: networks made
    without one are asked, until one overlaps nothing in `avoid`, and make room for it.
    """
    with refusals(f"create network {name}"):
        networks = client().networks
        found = networks.list(names=[f"^{name}$"])
        if found:
            return _subnet(found[0])
        for rest in networks.list(names=[f"^{name}-probe-"]):
            rest.remove()
        probes: list[Network] = []
        while not probes or overlaps(_subnet(probes[-1]), avoid):
            probe = f"{name}-probe-{len(probes)}"
            probes.append(networks.create(probe, driver="bridge", labels=dict(labels)))
            probes[-1].reload()
        subnet = _subnet(probes[-1])
        for made in probes:
            made.remove()
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
        networks.create(name, driver="bridge", labels=dict(labels), ipam=ipam)
    return subnet


def overlaps(subnet: str, others: Sequence[str]) -> bool:
    """Say whether a subnet (CIDR) has an address in common with one of the others."""
    return any(ip_network(subnet).overlaps(ip_network(other)) for other in others)


def _subnet(network: Network) -> str:
    return str(network.attrs["IPAM"]["Config"][0]["Subnet"])


def remove_networks(label: str) -> list[str]:
    """Remove the networks with a label (`key=value`); return their names."""
    with refusals(f"remove the networks of {label}"):
        found = client().networks.list(filters={"label": label})
        for network in found:
            network.remove()
    return [str(network.name) for network in found]


def remove_volumes(label: str) -> list[str]:
    """Remove the volumes with a label (`key=value`); return their names."""
    with refusals(f"remove the volumes of {label}"):
        found = client().volumes.list(filters={"label": label})
        for volume in found:
            volume.remove(force=True)
    return [str(volume.name) for volume in found]


def list_containers(label: str) -> list[ContainerInfo]:
    """Return the containers with a label (`key=value`), running or not, oldest first."""
    with refusals("list containers"):
        # `ignore_removed`: one that vanishes between listing and inspecting is no error.
        found = client().containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return sorted((_describe(container) for container in found), key=lambda c: c.created_at)


def create_container(spec: ContainerSpec) -> None:
    """Create and start a container, with its volumes."""
    with refusals(f"start container {spec.name}"):
        for volume in spec.volumes:
            client().volumes.create(volume, labels=spec.labels)
        api = client().api
        endpoint = api.create_endpoint_config(aliases=list(spec.aliases), ipv4_address=spec.address)
        made = api.create_container(
            spec.image,
            spec.command,
            name=spec.name,
            hostname=spec.hostname,
            labels=spec.labels,
            environment=spec.environment,
            stop_signal=spec.stop_signal,
            tty=True,  # without one there is no /dev/console, and nothing a node says is kept
            ports=[tuple(port.split("/")) for port in spec.ports],
            networking_config=cast(Any, {"EndpointsConfig": {spec.network: endpoint}}),
            host_config=_host_config(spec),
        )
        api.start(made["Id"])


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    config: dict[str, Any] = client().api.create_host_config(
        network_mode=spec.network,
        cap_add=spec.cap_add,
        security_opt=spec.security_opt,
        device_cgroup_rules=spec.device_cgroup_rules,
        cgroupns=spec.cgroupns,
        tmpfs=spec.tmpfs,
        binds=[f"{host}:{target}" for host, target in spec.binds.items()],
        mounts=[Mount(target, name, type="volume") for name, target in spec.volumes.items()],
        port_bindings=cast(Any, spec.ports),
        restart_policy={"Name": spec.restart},
        log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
    )
    if spec.system_paths_unconfined:
        # `docker run --security-opt systempaths=unconfined` sends this; the SDK has no word for it.
        config |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return config


def start_container(name: str) -> None:
    """Start a stopped container."""
    with refusals(f"start container {name}"):
        client().containers.get(name).start()


def remove_container(name: str) -> None:
    """Kill and remove a container; none of that name is no error."""
    with refusals(f"remove container {name}"), suppress(NotFound):
        container = client().containers.get(name)
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if "already in progress" not in str(error.explanation):
                raise
            # Somebody else is at it, as the fleet service may be: gone is gone.
            container.wait(condition="removed")


def remove_volume(name: str) -> None:
    """Remove a volume; none of that name is no error."""
    with refusals(f"remove volume {name}"), suppress(NotFound):
        client().volumes.get(name).remove(force=True)


def logs(name: str) -> str:
    """Return what a container has printed since it was started last; nothing once it is going."""
    with refusals(f"read the output of container {name}"):
        container = client().containers.get(name)
        started = _time(container.attrs["State"]["StartedAt"])
        try:
            raw: bytes = container.logs(since=started.timestamp() if started.year > 1 else None)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            # Dead or marked for removal: somebody has just ended it.
            return ""
    return TERMINAL.sub("", raw.decode(errors="replace"))


def execute(name: str, argv: Sequence[str], timeout: float) -> Completed:
    """Run a program in a container; after `timeout` seconds it is killed and the code is 124."""
    guarded = ["timeout", f"--kill-after={KILL_AFTER_S}", f"{timeout:g}", *argv]
    with refusals(f"run {argv[0]!r} in container {name}"):
        api = client().api
        exec_id = api.exec_create(name, guarded)["Id"]
        printed = exec_stream.start(api, exec_id)
        code = api.exec_inspect(exec_id)["ExitCode"]
    output, errors = (part.decode(errors="replace") for part in printed)
    return Completed(-1 if code is None else int(code), output, errors)


def published_ports(label: str) -> set[int]:
    """Return the host ports that the containers with a label (`key=value`) hold."""
    with refusals("list containers"):
        found = client().containers.list(filters={"label": label}, ignore_removed=True)
        return {
            int(binding["HostPort"])
            for container in found
            for bindings in container.ports.values()
            for binding in bindings or ()
        }


def _describe(container: Container) -> ContainerInfo:
    attrs: dict[str, Any] = container.attrs
    networks = attrs["NetworkSettings"]["Networks"] or {}
    return ContainerInfo(
        name=str(container.name),
        labels=dict(container.labels),
        status=str(attrs["State"]["Status"]),
        created_at=_time(attrs["Created"]),
        started_at=_time(attrs["State"]["StartedAt"]),
        addresses={name: _address(network) for name, network in networks.items()},
    )


def _address(network: dict[str, Any]) -> str:
    """Return the address asked for, which a stopped container keeps, else the one it has."""
    wanted = (network.get("IPAMConfig") or {}).get("IPv4Address")
    return str(wanted or network["IPAddress"])


def _time(text: str) -> datetime:
    """Return a time that the engine reports: RFC 3339 with up to nine digits of a second."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
