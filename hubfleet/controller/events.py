"""Why a worker is about to leave: one event type for all that a fleet says."""

from dataclasses import dataclass
from enum import StrEnum

from hubfleet.fleet.scaling import Hook


class Kind(StrEnum):
    """What a message is about."""

    TERMINATION = "termination"
    """Its termination waits for the lifecycle hook."""
    SPOT = "spot"
    """The spot market takes it back, in two minutes."""
    REBALANCE = "rebalance"
    """It may soon be taken back: empty it when it suits."""
    GONE = "gone"
    """It is ended, or being ended, and nothing waits for us."""
    HEALTH = "health"
    """The fleet replaces it because its health check failed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One worker's leave. Times are POSIX seconds."""

    kind: Kind
    instance_id: str
    at: float
    """When the fleet said it."""
    deadline: float | None = None
    """When the worker is gone at the latest; None where nothing hurries."""
    hook: Hook | None = None
    """What to complete when the worker has been emptied."""
