"""The controller's loop: observe, decide, act, publish; and nobody else at the same time.

It wakes at every event of the Swarm and of the fleet's queue, at the latest after HEARTBEAT_S, and
never more often than every PAUSE_S. Times are POSIX seconds.
"""

import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hubfleet.controller import report, steady
from hubfleet.controller.act import Actor
from hubfleet.controller.decide import decide
from hubfleet.controller.model import Memory, Rules, Window
from hubfleet.controller.observe import Observer, World
from hubfleet.controller.publish import Births, Journal, Metrics, report_of
from hubfleet.controller.report import Notice
from hubfleet.fleet.scaling import Worker

HEARTBEAT_S = 5.0
PAUSE_S = 1.0


class Leaving(Protocol):
    """The reaper, as the loop sees it."""

    @property
    def leaving(self) -> Container[str]:
        """Workers that it is taking out."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each thing has happened to them."""

    def turn(self, world: World, now: float) -> None:
        """Take every case one step further."""

    def notices(self) -> tuple[Notice, ...]:
        """Return what students of these workers are to be told."""


class Nursery(Protocol):
    """What knows how far the births of workers are."""

    def look(self, coming: Mapping[str, Worker], now: float) -> Births:
        """Return phase and expected readiness of each worker that is not ready yet."""


class Loop:
    """One controller."""

    def __init__(
        self,
        observer: Observer,
        actor: Actor,
        reaper: Leaving,
        nursery: Nursery,
        rules: Rules,
        windows: Callable[[float], Sequence[Window]],
        journal: Journal,
        metrics: Metrics,
        report_file: Path,
    ) -> None:
        self._observer, self._actor, self._reaper = observer, actor, reaper
        self._nursery, self._rules, self._windows = nursery, rules, windows
        self._journal, self._metrics, self._file = journal, metrics, report_file
        self._memory = Memory()
        self._wake = threading.Event()
        self._stop = threading.Event()

    def wake(self) -> None:
        """Have the next turn begin soon; may be called from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` after the turn in progress."""
        self._stop.set()
        self._wake.set()

    def run(self, clock: Callable[[], float]) -> None:
        """Turn until `stop` is called."""
        while not self._stop.is_set():
            self.turn(clock())
            self._wake.wait(HEARTBEAT_S)
            self._wake.clear()
            self._stop.wait(PAUSE_S)

    def turn(self, now: float) -> None:
        """Observe, decide, act and publish once; before every source has answered, only look."""
        began = time.monotonic()
        self._observer.look(now)
        world, rules = self._observer.world, self._rules
        if not world.complete:
            report.write(report.FleetReport(at=now, maximum=rules.maximum), self._file)
            return
        self._reaper.turn(world, now)
        seen = self._observer.observation(
            now,
            self._windows(now),
            self._reaper.leaving,
            rules.seats,
            steady.reason(self._file.parent / "steady", now),
        )
        decision = decide(seen, self._memory, rules, now)
        frozen = steady.frozen(self._file.parent / "steady")
        outcomes = self._actor.carry_out(() if frozen else decision.actions)
        took = time.monotonic() - began
        self._actor.unpin()
        self._memory = decision.memory
        coming = {w.id: w for w in world.workers if world.node_of(w.id) is None}
        births = self._nursery.look(coming, now)
        members = {node.hostname: node.id for node in world.nodes}
        notices = self._reaper.notices()
        published = report_of(seen, decision, rules, births, notices, members)
        report.write(published, self._file)
        self._journal.decision(seen, decision, outcomes, took)
        self._metrics.update(seen, decision, outcomes)
        self._metrics.departures(self._reaper.counts)
