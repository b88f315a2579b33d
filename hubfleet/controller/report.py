"""What the controller publishes for the hub: workers that come, seats, notices. One JSON file.

The hub shows it to students who wait and to those whose worker is under notice. Times are POSIX
seconds, durations seconds.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

STALE_S = 60.0
"""A report older than this says nothing: the controller is away."""


class Phase(StrEnum):
    """The phases of a worker's birth, in their order."""

    ORDERED = "ordered"
    """The fleet has the order, no machine runs yet."""
    BOOTING = "booting"
    CONVERGING = "converging"
    """chef-client has begun its first run."""
    PULLING = "pulling"
    """It brings the notebook image to the worker."""
    JOINING = "joining"
    """The image is there; the worker joins the Swarm."""
    READY = "ready"


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker. `state` is a NodeState's value."""

    id: str
    state: str
    phase: Phase
    seats: int
    used: int
    ordered_at: float
    member: str = ""
    """Its id as a member of the Swarm, empty while it is none."""
    ready_at: float | None = None
    """When it is expected to take students; None for one that does, or that is overdue."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Why the servers of a worker must move, and when they stop at the latest."""

    worker: str
    kind: str
    """`spot`, `maintenance`, `health` or `termination`."""
    at: float
    """When the notice was given."""
    deadline: float
    """When its servers move at the latest."""


@dataclass(frozen=True, slots=True)
class FleetReport:
    """The fleet at one moment."""

    at: float
    workers: tuple[WorkerReport, ...] = ()
    maximum: int = 0
    """Workers that there may be at most."""
    queued: int = 0
    """Servers that wait for a seat."""
    ready_s: float = 0.0
    """Measured time to ready of a worker."""
    placement: tuple[str, ...] = ()
    """Workers that take servers, the one to fill first in front."""
    notices: tuple[Notice, ...] = ()
    blocked: str = ""
    """Why no more workers are ordered though they are wanted, as a sentence; else empty."""


def write(report: FleetReport, file: Path) -> None:
    """Replace the file in one step, so that nobody reads half of it."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(asdict(report), sort_keys=True))
    os.replace(draft, file)


def read(file: Path, now: float) -> FleetReport | None:
    """Return the report, None where there is none, it cannot be read, or it is stale."""
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        workers = (
            WorkerReport(**{**each, "phase": Phase(each["phase"])}) for each in found.pop("workers")
        )
        notices = tuple(Notice(**each) for each in found.pop("notices"))
        placement = tuple(found.pop("placement"))
        report = FleetReport(workers=tuple(workers), notices=notices, placement=placement, **found)
        return report if now - report.at <= STALE_S else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
