"""What the fleet service asks of the engine beside `engine`, and the container that it runs in."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from docker.errors import NotFound
from docker.types import LogConfig

from hubfleet.clients.docker import client, refusals
from hubfleet.errors import PreconditionError

SOCKET = "/var/run/docker.sock"
"""Where a container finds the engine."""


@dataclass(frozen=True)
class Glance:
    """A container as the engine lists it, which costs one request for all of them."""

    name: str
    labels: Mapping[str, str]
    status: str
    """created, running, paused, restarting, removing, exited or dead."""
    created_at: float
    """POSIX seconds."""
    address: str
    """IPv4 address in the network that was asked for; the one asked for where it has none now."""


@dataclass(frozen=True)
class ServiceSpec:
    """A container with a program of ours in it, and the engine's socket."""

    name: str
    image: str
    command: Sequence[str]
    network: str
    address: str
    aliases: Sequence[str]
    labels: Mapping[str, str]
    binds: Mapping[str, str]
    """Host path to `container path:mode`."""
    environment: Mapping[str, str]
    port: int
    """Port that it serves; published on the loopback under a number that the engine chooses."""


def glance(label: str, network: str) -> list[Glance]:
    """Return the containers with a label (`key=value`), running or not, oldest first."""
    with refusals("list containers"):
        found = client().api.containers(all=True, filters={"label": label})
    return sorted((_glance(each, network) for each in found), key=lambda each: each.created_at)


def kill(name: str) -> None:
    """End a container as a power cut would; it does not start again."""
    with refusals(f"kill container {name}"):
        client().containers.get(name).kill()


def run_service(spec: ServiceSpec) -> None:
    """Create and start a service's container as the user who calls, without any capability."""
    socket = socket_path()
    with refusals(f"start container {spec.name}"):
        api = client().api
        endpoint = api.create_endpoint_config(aliases=[*spec.aliases], ipv4_address=spec.address)
        made = api.create_container(
            spec.image,
            [*spec.command],
            name=spec.name,
            labels=dict(spec.labels),
            environment=dict(spec.environment),
            user=f"{os.getuid()}:{os.getgid()}",
            working_dir="/",
            ports=[spec.port],
            networking_config=cast(Any, {"EndpointsConfig": {spec.network: endpoint}}),
            host_config=api.create_host_config(
                network_mode=spec.network,
                binds=[f"{socket}:{SOCKET}"]
                + [f"{host}:{target}" for host, target in spec.binds.items()],
                cap_drop=["ALL"],
                group_add=[os.stat(socket).st_gid],
                security_opt=["no-new-privileges"],
                read_only=True,
                init=True,
                pids_limit=256,
                mem_limit="256m",
                port_bindings={spec.port: ("127.0.0.1", None)},
                restart_policy={"Name": "unless-stopped"},
                log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
            ),
        )
        api.start(made["Id"])


def start_service(name: str) -> None:
    """Start a service's container where it does not run."""
    with refusals(f"start container {name}"):
        client().containers.get(name).start()


def labels_of(name: str) -> dict[str, str] | None:
    """Return the labels of a container, None where there is none of that name."""
    with refusals(f"inspect container {name}"):
        try:
            return dict(client().containers.get(name).labels)
        except NotFound:
            return None


def service_port(name: str, port: int) -> int | None:
    """Return the loopback's port that leads to a service's; None while it does not run."""
    with refusals(f"inspect container {name}"):
        try:
            ports = client().containers.get(name).ports
        except NotFound:
            return None
        bindings = ports.get(f"{port}/tcp") or []
    return int(bindings[0]["HostPort"]) if bindings else None


def socket_path() -> str:
    """Return the engine's socket on this machine.

    Raises PreconditionError where the engine is spoken to in another way: its socket can then not
    be given to a container.
    """
    host = os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"
    scheme, _, path = host.partition("://")
    if scheme != "unix":
        raise PreconditionError(
            f"DOCKER_HOST is {host}; the local fleet needs the engine of this machine",
            "unset DOCKER_HOST, or name a socket: unix:///path",
        )
    return path


def _glance(raw: Mapping[str, Any], network: str) -> Glance:
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    joined = networks.get(network) or {}
    wanted = (joined.get("IPAMConfig") or {}).get("IPv4Address")
    return Glance(
        name=str(raw["Names"][0]).lstrip("/") if raw.get("Names") else "",
        labels=dict(raw.get("Labels") or {}),
        status=str(raw["State"]),
        created_at=float(raw["Created"]),
        address=str(wanted or joined.get("IPAddress") or ""),
    )
