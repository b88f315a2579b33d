"""Ask the controller to end no worker while a command works on all of them.

A note in a directory of the hub node, with an end of its own: a command that was killed keeps the
fleet from shrinking for an hour at most. Workers are added all the same, and what the fleet itself
takes away goes.
"""

import json
import shlex
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hubfleet.controller.steady import DIRECTORY
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role, State

MOST_S = 3600
TIMEOUT_S = 20


@contextmanager
def steady(fleet: Fleet, why: str) -> Iterator[None]:
    """Have no worker ended for the block, or for an hour; without a hub there is nothing to ask."""
    hub = next((i for i in fleet.list() if i.role is Role.HUB and i.state is State.RUNNING), None)
    file = f"{DIRECTORY}/{uuid.uuid4().hex}.json"
    if hub is None or not _put(fleet, hub, file, why):
        yield
        return
    try:
        yield
    finally:
        _lift(fleet, hub, file)


def _put(fleet: Fleet, hub: Instance, file: str, why: str) -> bool:
    note = json.dumps({"why": why, "until": time.time() + MOST_S})
    script = f"mkdir -p {DIRECTORY} && printf %s {shlex.quote(note)} > {file}"
    return fleet.run(hub.id, ["sh", "-c", script], TIMEOUT_S).returncode == 0


def _lift(fleet: Fleet, hub: Instance, file: str) -> None:
    # The note ends by itself, and the command's own error says more.
    with suppress(HubfleetError):
        fleet.run(hub.id, ["rm", "-f", file], TIMEOUT_S)
