"""The Swarm's nodes, students' servers and tasks, as the controller sees them, from outside of it.

The controller asks the manager's socket; here the hub node's `docker inspect` prints the same JSON.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

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

Read = TypeVar("Read")


def members(fleet: Fleet, hub: Instance) -> list[SwarmNode]:
    """Return the members of the Swarm. Raises CommandError where the engine refuses."""
    return _read(fleet, hub, _NODES, read_node)


def services(fleet: Fleet, hub: Instance) -> list[SwarmService]:
    """Return the students' servers. Raises CommandError where the engine refuses."""
    return _read(fleet, hub, _SERVICES, read_service)


def tasks(fleet: Fleet, hub: Instance) -> list[SwarmTask]:
    """Return the tasks of students' servers. Raises CommandError where the engine refuses."""
    return _read(fleet, hub, _TASKS, read_task)


def _read(
    fleet: Fleet, hub: Instance, script: str, read: Callable[[Mapping[str, Any]], Read]
) -> list[Read]:
    done = fleet.run(hub.id, ["sh", "-c", script], TIMEOUT_S)
    if done.returncode != 0:
        raise CommandError(
            f"the Swarm's manager, {hub.role} {hub.id}, does not tell what it has",
            "",
            done.stderr or done.stdout,
        )
    return [read(each) for each in json.loads(done.stdout or "[]")]
