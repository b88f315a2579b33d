"""The Swarm's nodes, students' servers and tasks, as the controller sees them, from outside of it.

The controller asks the manager's socket; here the hub node's `docker inspect` prints the same JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

from hubfleet.clients.swarm_manager import (
    USER_LABEL,
    SwarmNode,
    SwarmService,
    SwarmTask,
    read_node,
    read_service,
    read_task,
)
from hubfleet.errors import CommandError
from hubfleet.fleet.base import Fleet, Instance

TIMEOUT_S = 30

ATTEMPTS = 3
"""What was listed may be gone when it is inspected."""

_NODES = """
ids=$(docker node ls -q) || exit
docker node inspect $ids
"""

_SERVICES = f"""
ids=$(docker service ls -q --filter label={USER_LABEL}) || exit
test -z "$ids" || docker service inspect $ids
"""

_TASKS = f"""
names=$(docker service ls -q --filter label={USER_LABEL}) || exit
test -z "$names" || ids=$(docker service ps -q --no-trunc $names) || exit
test -z "$ids" || docker inspect --type task $ids
"""


def members(fleet: Fleet, hub: Instance) -> list[SwarmNode]:
    """Return the members of the Swarm that have said who they are.

    Raises CommandError where the engine refuses.
    """
    return [read_node(each) for each in _read(fleet, hub, _NODES) if _described(each)]


def services(fleet: Fleet, hub: Instance) -> list[SwarmService]:
    """Return the students' servers. Raises CommandError where the engine refuses."""
    return [read_service(each) for each in _read(fleet, hub, _SERVICES)]


def tasks(fleet: Fleet, hub: Instance) -> list[SwarmTask]:
    """Return the tasks of students' servers. Raises CommandError where the engine refuses."""
    return [read_task(each) for each in _read(fleet, hub, _TASKS)]


def _described(node: Mapping[str, Any]) -> bool:
    """Say whether a node is more than just joining."""
    return bool(node["Description"].get("Hostname"))


def _read(fleet: Fleet, hub: Instance, script: str) -> list[Mapping[str, Any]]:
    for _ in range(ATTEMPTS):
        done = fleet.run(hub.id, ["sh", "-c", script], TIMEOUT_S)
        if done.returncode == 0:
            break
    else:
        raise CommandError(
            f"the Swarm's manager, {hub.role} {hub.id}, does not tell what it has",
            "",
            done.stderr or done.stdout,
        )
    return list(json.loads(done.stdout or "[]"))
