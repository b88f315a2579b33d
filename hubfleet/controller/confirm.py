"""Whether what a message says is so: the fleet has the last word. Pure.

Whoever can write to the queue must not be able to end a worker by it. A notice of the spot market
cannot be asked for, so it is believed of our own workers, of half of them at once at most.
"""

from enum import StrEnum

from hubfleet.controller.events import Event, Kind
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker

PATIENCE = 3
"""A message that the fleet does not confirm is read so often: its own lists lag behind."""

AGAIN_S = 10
"""Seconds until such a message is read again."""

FEW = 2
"""So many workers may always be under notice at once."""


class Verdict(StrEnum):
    """What becomes of a message."""

    ACT = "act"
    LATER = "later"
    DROP = "drop"


def verdict(
    event: Event, standing: Worker | None, receives: int, under_notice: int, workers: int
) -> tuple[Verdict, str]:
    """Return what to do with a message, and why not to act on it.

    `standing` is the worker as the fleet knows it now, None where it is gone; `under_notice` of the
    `workers` have a notice that only a message told of.
    """
    if standing is None:
        return Verdict.ACT, ""  # it is gone: what is left of it is removed, whatever was said
    if event.kind is Kind.REBALANCE:
        return Verdict.ACT, ""
    if event.kind is Kind.SPOT:
        if under_notice >= max(FEW, workers // 2):
            return _patient(receives, f"{under_notice} of {workers} workers are under notice")
        return Verdict.ACT, ""
    if standing.leaving or standing.state is not State.RUNNING:
        return Verdict.ACT, ""
    return _patient(receives, f"the fleet says that {event.instance_id} runs and stays")


def _patient(receives: int, why: str) -> tuple[Verdict, str]:
    return (Verdict.LATER if receives < PATIENCE else Verdict.DROP), why
