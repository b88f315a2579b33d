"""What the tasks of a Swarm service say about a student's server. Pure: answers in, words out.

States and their order: https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Task = Mapping[str, Any]

ORDER = (
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
)
"""States of a task on its way up. In all others (complete, shutdown, failed, rejected, remove,
orphaned) it has ended."""

FAILED = frozenset({"rejected", "failed", "complete"})
"""Ends that come from the worker, not from somebody who ended the task."""

_WORDS = {
    "new": "Your server is ordered",
    "allocated": "Your server is ordered",
    "pending": "Waiting for room on a worker",
    "assigned": "A worker has been chosen",
    "accepted": "A worker has been chosen",
    "preparing": "The worker prepares the image",
    "ready": "The worker is ready to start your server",
    "starting": "Your server's container starts",
    "running": "Your server's container runs; Jupyter starts in it",
}


@dataclass(frozen=True)
class Status:
    """One look at a server's newest task."""

    state: str
    error: str
    """The engine's own words, such as the reason of `pending` or `rejected`."""
    wanted: bool
    """Swarm wants the task to run, so it or its successor will."""
    node: str = ""
    """Id of the Swarm's member that it is on, empty while it is on none."""

    @property
    def rising(self) -> bool:
        """The task runs or is on its way."""
        return self.state in ORDER

    @property
    def alive(self) -> bool:
        """The server runs or will run again without anybody's doing."""
        return self.rising or self.wanted

    @property
    def failed(self) -> bool:
        """The task has ended by itself, or its worker has refused it."""
        return self.state in FAILED

    @property
    def waits_for_room(self) -> bool:
        """The scheduler has looked at all workers and found none with room."""
        return self.state == "pending" and bool(self.error)

    @property
    def percent(self) -> int:
        """Progress of the start, 0 to 90."""
        return 10 * (1 + ORDER.index(self.state)) if self.rising else 0

    @property
    def message(self) -> str:
        """What to tell the student."""
        words = _WORDS.get(self.state, f"Your server was {self.state}")
        return f"{words}: {self.error}" if self.error else words


def newest(tasks: Sequence[Task], service_id: str) -> Status | None:
    """Return the status of the newest task of a service, None where it has none.

    The engine's name filter matches prefixes (ann also finds anna), and its order is not defined:
    hence the comparison of ids and of times.
    """
    own = _in_order(tasks, service_id)
    return _status(own[-1]) if own else None


def first_failure(tasks: Sequence[Task], service_id: str) -> Status | None:
    """Return the status of the first task of a service that has failed, None where none has.

    Swarm makes a successor in the same moment, so the newest task hides the reason.
    """
    found = (_status(task) for task in _in_order(tasks, service_id))
    return next((status for status in found if status.failed), None)


def _in_order(tasks: Sequence[Task], service_id: str) -> list[Task]:
    own = [task for task in tasks if task["ServiceID"] == service_id]
    return sorted(own, key=lambda each: str(each["CreatedAt"]))


def _status(task: Task) -> Status:
    status = task["Status"]
    return Status(
        state=status["State"],
        error=status.get("Err", ""),
        wanted=task.get("DesiredState") in {"ready", "running"},
        node=task.get("NodeID", ""),
    )
