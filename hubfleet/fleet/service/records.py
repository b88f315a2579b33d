"""What the group remembers of its workers, and when one of them is to end; times in POSIX seconds.

Pure: the clock and the engine are the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from hubfleet.fleet.scaling import Failure, Worker
from hubfleet.fleet.service.machines import Machine

CREATED_S = 60.0
"""A container that was made and did not start for so long never will."""

KEPT_S = 3600.0
"""Failures are told for so long."""


@dataclass(frozen=True)
class Timings:
    """Seconds, as an Auto Scaling group and the spot market have them."""

    heartbeat_s: float = 60.0
    """A lifecycle hook waits for so long after its begin and after each heartbeat."""
    hook_most_s: float = 900.0
    """No hook waits longer than that, whatever the heartbeats."""
    notice_s: float = 120.0
    """Between a spot notice and the end: the EC2 user guide, spot interruption notices."""
    visibility_s: float = 30.0
    """A message that was delivered and not deleted comes again."""
    gone_s: float = 1.0
    """A worker that was seen to run and has stopped for so long is dead."""
    restart_s: float = 30.0
    """The same for one that did not run since the service began: the engine may just start it."""


class Record(BaseModel):
    """One worker."""

    launched_at: float
    running_at: float | None = None
    pool: str = "default"
    protected: bool = False
    token: str = ""
    """Of the lifecycle hook that its termination waits for."""
    hook_until: float | None = None
    hook_most: float | None = None
    spot_until: float | None = None
    ending: bool = False
    """Its machine is being removed; nothing stops that any more."""

    def worker(self, machine: Machine) -> Worker:
        """Return what the fleet says of it."""
        return Worker(
            id=machine.id,
            state=machine.state,
            launched_at=self.launched_at,
            running_at=self.running_at,
            address=machine.address,
            pool=self.pool,
            protected=self.protected,
            leaving=self.ending or self.hook_until is not None,
        )

    def over(self, now: float) -> str:
        """Return why the worker's time is over; empty while it is not."""
        if self.hook_until is not None and now >= self.hook_until:
            return "its lifecycle hook ran out"
        if self.spot_until is not None and now >= self.spot_until:
            return "the spot market took it back"
        return ""

    def beat(self, now: float, timings: Timings) -> None:
        """Have the hook wait on, up to its limit."""
        if self.hook_most is not None:
            self.hook_until = min(now + timings.heartbeat_s, self.hook_most)


class Refusal(BaseModel):
    """An order that was not filled."""

    pool: str
    at: float
    reason: str


class GroupState(BaseModel):
    """Everything that the group keeps in its file."""

    workers: dict[str, Record] = {}
    failures: list[Refusal] = []
    dry: dict[str, float] = {}
    """Until when a pool has no capacity."""
    hang: int = 0
    """So many of the next workers fail to boot."""

    def fail(self, pool: str, now: float, reason: str) -> None:
        """Note an order that was not filled, and forget old ones."""
        kept = [each for each in self.failures if now - each.at < KEPT_S]
        self.failures = [*kept, Refusal(pool=pool, at=now, reason=reason)]

    def recent(self, now: float) -> list[Failure]:
        """Return the orders of the last hour that were not filled, the oldest first."""
        return [Failure(f.pool, f.at, f.reason) for f in self.failures if now - f.at < KEPT_S]


class Pulse:
    """Tells workers that have died from those that the engine is about to start again."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._ran: set[str] = set()
        self._stopped: dict[str, float] = {}

    def dead(self, machines: Mapping[str, Machine], now: float) -> list[str]:
        """Return the workers that have died by themselves; to be called again and again."""
        lifeless = {"exited", "dead", "created"}
        down = {m.id: m for m in machines.values() if m.status in lifeless}
        self._stopped = {id_: self._stopped.get(id_, now) for id_ in down}
        self._ran = {id_ for id_ in self._ran | (machines.keys() - down.keys()) if id_ in machines}
        return [
            id_ for id_, since in self._stopped.items() if now - since >= self._patience(down[id_])
        ]

    def _patience(self, machine: Machine) -> float:
        if machine.status == "created":
            return CREATED_S
        return self._timings.gone_s if machine.id in self._ran else self._timings.restart_s
