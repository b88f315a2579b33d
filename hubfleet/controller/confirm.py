"""Whether what a message says is so: the fleet has the last word. Pure. Times are POSIX seconds.

Whoever can write to the queue must not be able to end a worker by it. A notice of the spot market
and the advice to leave a worker cannot be asked for, so they are believed of our own workers, of
half of them at most within a while. The others' servers start elsewhere when their worker is gone.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from hubfleet.controller.events import Event, Kind
from hubfleet.controller.messages import HOOK_S
from hubfleet.controller.observe import World
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker

PATIENCE = 3
"""A message that the fleet does not confirm is read so often: its own lists lag behind."""

AGAIN_S = 10
"""Seconds until such a message is read again."""

FEW = 2
"""So many workers may always be under notice."""

WINDOW_S = 300.0
"""So long a notice counts; by then a new worker is ready, whatever became of the old one."""


class Verdict(StrEnum):
    """What becomes of a message."""

    ACT = "act"
    MARK = "mark"
    """The worker is to be emptied as its students leave."""
    LATER = "later"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the worker that a message names."""

    standing: Worker | None
    """As the fleet knows it now, None where it is gone."""
    other: bool
    """It is a machine of another role."""
    listed: bool
    """The fleet's list has it among those that stay."""
    member: bool
    """It is in the Swarm."""
    under_notice: int
    """So many other workers have a notice, or a mark, that only a message told of."""
    workers: int


def facts_of(
    event: Event, standing: Worker | None, world: World, noticed: Collection[str]
) -> Facts:
    """Return what is known of an event's worker; `noticed` are those under notice of its kind."""
    name = event.instance_id
    return Facts(
        standing=standing,
        other=any(node.hostname == name and node.role != "worker" for node in world.nodes),
        listed=any(worker.id == name and not worker.leaving for worker in world.workers),
        member=world.node_of(name) is not None,
        under_notice=len(set(noticed) - {name}),
        workers=len(world.workers),
    )


def verdict(event: Event, facts: Facts, receives: int) -> tuple[Verdict, str]:
    """Return what to do with a message, and why not to act on it."""
    standing, name = facts.standing, event.instance_id
    if facts.other:
        return Verdict.DROP, f"{name} is no worker"
    if standing is None:
        # Its remains are removed, whatever was said; but not by one answer against another.
        if facts.listed:
            return _patient(receives, f"the fleet lists {name} and does not know it")
        return Verdict.ACT, ""
    if event.kind in {Kind.SPOT, Kind.REBALANCE} and not standing.leaving:
        if facts.under_notice >= max(FEW, facts.workers // 2):
            told = f"{facts.under_notice} of {facts.workers} workers are under notice"
            return _patient(receives, told)
        if event.kind is Kind.SPOT:
            return Verdict.ACT, ""
        if not facts.member:
            return _patient(receives, f"{name} is not in the Swarm yet")
        return Verdict.MARK, ""
    if standing.leaving or standing.state is State.STOPPED:
        return Verdict.ACT, ""
    return _patient(receives, f"the fleet says that {name} stays")


def confirmed(event: Event, standing: Worker | None) -> Event:
    """Return an event as the fleet has confirmed it.

    What is gone has no time left, whatever the message promised. What still runs has some, though
    the message says that it is dead.
    """
    if standing is None or standing.state is State.STOPPED:
        return replace(event, kind=Kind.GONE, deadline=None)
    if event.kind in {Kind.GONE, Kind.REBALANCE}:
        event = replace(event, kind=Kind.TERMINATION)
    return event if event.deadline else replace(event, deadline=event.at + HOOK_S)


def _patient(receives: int, why: str) -> tuple[Verdict, str]:
    return (Verdict.LATER if receives < PATIENCE else Verdict.DROP), why
