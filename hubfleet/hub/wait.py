"""What a student reads who waits for a seat: place in line, what the next worker does, how long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hubfleet.controller.report import FleetReport, Phase, WorkerReport
from hubfleet.hub.shared import Shared

DOING = {
    Phase.ORDERED: "it is ordered",
    Phase.BOOTING: "it starts up",
    Phase.CONVERGING: "it is being set up",
    Phase.PULLING: "it fetches the notebook image",
    Phase.JOINING: "it joins the others",
    Phase.READY: "it is about to take students",
}

LOOKS_PER_S = 20.0
"""So often all who wait look whether they have a seat: a class that waits must not keep the manager
from placing it."""

ROUND_S = 5
"""Estimates are told in steps of so many seconds: a number that runs down promises too much."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A student's wait for a seat: the sentence, and whether it makes sense to go on waiting."""

    sentence: str
    hopeful: bool
    """Seats are on their way: the start's time does not run."""


class WaitingRoom(Shared):
    """Starts that wait for a seat, in the order in which they began to."""

    def __init__(self) -> None:
        self._waiting: list[object] = []

    def enter(self, who: object) -> None:
        """Begin to wait; who waits already keeps the place."""
        if who not in self._waiting:
            self._waiting.append(who)

    def leave(self, who: object) -> None:
        """Wait no more."""
        if who in self._waiting:
            self._waiting.remove(who)

    def place(self, who: object) -> tuple[int, int]:
        """Return the place of one who waits, 1 for the first, and how many wait in all."""
        return self._waiting.index(who) + 1, len(self._waiting)

    def pause(self, who: object) -> float:
        """Return how many seconds later one who waits looks again; 0 for one who does not wait."""
        return len(self._waiting) / LOOKS_PER_S if who in self._waiting else 0.0


def wait(report: FleetReport | None, place: int, waiting: int, now: float) -> Wait:
    """Return what to tell the one at `place` of `waiting`. Pure; times are POSIX seconds."""
    line = f"You are number {place} of {waiting} in line." if waiting > 1 else "You are next."
    if report is None:
        return Wait(f"All seats are taken, and no worker is added at the moment. {line}", False)
    coming = sorted(_coming(report), key=lambda w: (w.ready_at or math.inf, w.ordered_at))
    mine = _mine(coming, place)
    if mine is not None:
        return Wait(
            f"All seats are taken. A new worker is on its way: {_news(mine, now)}. {line}", True
        )
    if report.blocked:
        return Wait(
            f"All seats are taken. No worker can be added now: {report.blocked}. {line}",
            bool(coming),
        )
    if len(report.workers) >= report.maximum:
        words = f"All seats are taken; {report.maximum} workers are the most there may be"
        return Wait(
            f"{words}. A seat is yours as soon as somebody stops a server. {line}", bool(coming)
        )
    return Wait(f"All seats are taken. A new worker is being ordered. {line}", True)


def too_late(report: FleetReport | None, waited_s: int) -> str:
    """Return why a start has ended for want of a seat, and what the student can do. Pure."""
    words = f"No seat became free in {waited_s} s"
    if report is None:
        return f"{words}, and no worker is added at the moment; please tell your administrator."
    seats = sum(worker.seats for worker in report.workers)
    if report.blocked:
        return f"{words}: {report.blocked}. Please tell your administrator."
    return (
        f"{words}: all {seats} seats of the {report.maximum} workers that there may be are taken."
        " Try again when somebody has stopped a server (File, Hub Control Panel, Stop), or ask your"
        " administrator to raise fleet.workers.max."
    )


def _coming(report: FleetReport) -> Sequence[WorkerReport]:
    return [worker for worker in report.workers if worker.state == "booting"]


def _mine(coming: Sequence[WorkerReport], place: int) -> WorkerReport | None:
    """Return the worker on its way that has the seat for this place; None where none has."""
    for worker in coming:
        if place <= worker.seats:
            return worker
        place -= worker.seats
    return None


def _news(worker: WorkerReport, now: float) -> str:
    doing = DOING[worker.phase]
    if worker.ready_at is None or worker.ready_at <= now:
        return f"{doing}, which takes longer than usual"
    left = math.ceil((worker.ready_at - now) / ROUND_S) * ROUND_S
    return f"{doing}, about {left} s to go"
