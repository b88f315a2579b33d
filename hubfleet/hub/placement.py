"""Which worker a new server goes to: the first that is open and has a free seat.

The Swarm spreads: a few students would keep every worker from ending. So a new service names a
worker, and the controller takes the name out of it as soon as the scheduler has seen it, which
moves nothing; from then on the Swarm may start the server anywhere when its worker is lost.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hubfleet.controller import report
from hubfleet.controller.report import FleetReport
from hubfleet.hub.shared import Shared

FRESH_S = 15.0
"""An older report is no ground to name a worker: nobody may be there to take the name out."""


def first_fit(found: FleetReport, promised: Mapping[str, int]) -> str:
    """Return the first worker of the placement with a free seat, empty where there is none. Pure.

    `promised` counts the servers that went to a worker and are not in the report yet.
    """
    free = {w.id: w.seats - w.used - promised.get(w.id, 0) for w in found.workers}
    return next((name for name in found.placement if free.get(name, 0) > 0), "")


class Placement(Shared):
    """Chooses for all starts of this hub, and remembers what the report cannot know yet."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock
        self._promises: list[tuple[float, str]] = []

    def choose(self) -> str:
        """Return the instance id of a worker, empty where the Swarm is to choose."""
        now = self._clock()
        found = report.read(self._file, now)
        if found is None or now - found.at > FRESH_S:
            return ""
        self._promises = [(at, name) for at, name in self._promises if at > found.at]
        promised: dict[str, int] = {}
        for _, name in self._promises:
            promised[name] = promised.get(name, 0) + 1
        chosen = first_fit(found, promised)
        if chosen:
            self._promises.append((now, chosen))
        return chosen
