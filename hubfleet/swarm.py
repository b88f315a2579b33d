"""What the hub's Docker engine, the Swarm's manager, says of its nodes and services."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.errors import CommandError
from hubfleet.fleet.base import Fleet, Instance

TIMEOUT_S = 20
STACK_PREFIX = "hubfleet_"
"""Services of the stack itself; every other service is a student's server."""


@dataclass(frozen=True)
class SwarmNode:
    """A line of `docker node ls`."""

    id: str
    hostname: str
    status: str
    availability: str
    manager: bool

    @property
    def ready(self) -> bool:
        """Say whether it can take servers."""
        return self.status == "Ready" and self.availability == "Active"


def nodes(fleet: Fleet, hub: Instance) -> list[SwarmNode]:
    """Return the members of the Swarm; raise CommandError where the hub's engine is no manager."""
    return [
        SwarmNode(
            id=str(line["ID"]),
            hostname=str(line["Hostname"]),
            status=str(line["Status"]),
            availability=str(line["Availability"]),
            manager=bool(line["ManagerStatus"]),
        )
        for line in _lines(fleet, hub, ["docker", "node", "ls", "--format", "{{json .}}"])
    ]


def services(fleet: Fleet, hub: Instance) -> dict[str, str]:
    """Return the Swarm's services and how many of their replicas run, such as `1/1`."""
    lines = _lines(fleet, hub, ["docker", "service", "ls", "--format", "{{json .}}"])
    return {str(line["Name"]): str(line["Replicas"]) for line in lines}


def servers(fleet: Fleet, hub: Instance, host: str) -> int:
    """Return how many students' servers run, or are to run, on a member."""
    argv = ["docker", "node", "ps", host, "--filter", "desired-state=running"]
    names = _run(fleet, hub, [*argv, "--format", "{{.Name}}"]).split()
    return sum(not name.startswith(STACK_PREFIX) for name in names)


def set_availability(fleet: Fleet, hub: Instance, host: str, availability: str) -> None:
    """Open a member to new servers (`active`) or close it (`pause`); those that run stay."""
    _run(fleet, hub, ["docker", "node", "update", "--availability", availability, host])


def complaint(members: Sequence[SwarmNode], wanted: Sequence[str]) -> str:
    """Return which host names of `wanted` are no ready members, paused or not; empty if none."""
    ready = {member.hostname for member in members if member.status == "Ready"}
    missing = [name for name in wanted if name not in ready]
    return f"not ready in the Swarm: {', '.join(missing)}" if missing else ""


def forget(fleet: Fleet, hub: Instance, alive: Sequence[str]) -> list[str]:
    """Remove members that are down and whose machines are gone; return their host names."""
    gone = [
        member
        for member in nodes(fleet, hub)
        if member.hostname not in alive and member.status == "Down" and not member.manager
    ]
    for member in gone:
        remove(fleet, hub, member)
    return [member.hostname for member in gone]


def pause(fleet: Fleet, hub: Instance, member: SwarmNode) -> None:
    """Let a member take no new servers; those that run there run on."""
    _run(fleet, hub, ["docker", "node", "update", "--availability", "pause", member.id])


def remove(fleet: Fleet, hub: Instance, member: SwarmNode) -> None:
    """Take a member out of the Swarm, whether or not it still runs: its certificate is refused."""
    _run(fleet, hub, ["docker", "node", "rm", "--force", member.id])


def rotate_join_token(fleet: Fleet, hub: Instance) -> None:
    """Make the token for workers anew; members stay. The hub hands it on when it converges."""
    _run(fleet, hub, ["docker", "swarm", "join-token", "--rotate", "--quiet", "worker"])


def _lines(fleet: Fleet, hub: Instance, argv: Sequence[str]) -> list[dict[str, Any]]:
    output = _run(fleet, hub, argv)
    return [json.loads(line) for line in output.splitlines() if line.strip()]


def _run(fleet: Fleet, hub: Instance, argv: Sequence[str]) -> str:
    done = fleet.run(hub.id, argv, TIMEOUT_S)
    if done.returncode != 0:
        raise CommandError(
            f"`{' '.join(argv)}` failed on {hub.role} {hub.id}", "", done.stderr or done.stdout
        )
    return done.stdout
