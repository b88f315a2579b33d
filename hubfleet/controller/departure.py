"""One worker on its way out, and what is to be done next about it. Pure.

Nothing here asks what was done before: what is there decides. So a case that begins anew, after the
controller was killed, goes on where the first one stood. Times are POSIX seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from hubfleet.clients.swarm_manager import SwarmNode
from hubfleet.controller.events import Event, Kind
from hubfleet.fleet.scaling import Hook, Message, Worker

MOVE_S = 45.0
"""Servers move so long before the worker is gone: a start elsewhere takes seconds, a new worker
that was ordered with the notice is there by then."""

MOVED_S = 30.0
"""After so long a worker leaves though tasks are still seen on it: the Swarm has given up on it."""

RETRY_MOST_S = 15.0
"""What fails is tried again after 2, 4, 8 seconds, and then every so many."""


class Step(StrEnum):
    """What is to be done about a worker's node, or about the worker."""

    PAUSE = "pause"
    """It takes no more servers; its students are told, and have time."""
    DRAIN = "drain"
    """Its servers move."""
    REMOVE = "remove"
    """Nothing runs on it any more: it leaves the Swarm."""
    TERMINATE = "terminate"
    """The fleet is asked to end it."""
    COMPLETE = "complete"
    """The fleet's hooks are completed, and the messages acknowledged."""


@dataclass
class Case:
    """One worker on its way out."""

    instance_id: str
    kind: Kind
    since: float
    deadline: float
    hooks: set[Hook] = field(default_factory=set)
    """All that messages name, for one of them may be forged."""
    messages: dict[str, Message] = field(default_factory=dict)
    """By id, the newest delivery of each."""
    drained_at: float | None = None
    beaten_at: float = 0.0
    ended: bool = False
    """Its remains are removed; what is left is to complete and to acknowledge."""
    failures: int = 0
    """So often in a row a step has failed."""
    retry_at: float = 0.0

    def join(self, event: Event, now: float) -> None:
        """Take in another message about the worker."""
        if event.kind is Kind.GONE:
            self.kind, self.deadline, self.retry_at = Kind.GONE, now, now
        elif event.kind is Kind.SPOT and event.deadline is not None:
            # Messages overtake each other; the machine ends at the earlier time.
            self.deadline = min(self.deadline, event.deadline)
        if event.hook:
            self.hooks.add(event.hook)

    def failed(self, now: float) -> None:
        """Note that a step has failed, and when to try again."""
        self.failures = min(self.failures + 1, 10)
        self.retry_at = now + min(RETRY_MOST_S, 2.0**self.failures)

    def recovered(self, nodes: list[SwarmNode], standing: Worker | None) -> bool:
        """Say whether what only a sweep has found is not so any more, and nothing is undone yet."""
        found_by_us = self.kind is Kind.HEALTH and not self.messages and not self.hooks
        stays = standing is not None and not standing.leaving
        return found_by_us and stays and any(node.state == "ready" for node in nodes)


def case_of(event: Event, now: float) -> Case:
    """Return the case that an event begins."""
    deadline = event.deadline if event.deadline is not None else now
    case = Case(event.instance_id, event.kind, now, deadline)
    case.join(event, now)
    return case


def node_step(case: Case, node: SwarmNode, held: int, now: float) -> Step:
    """Return what is next for a node of the Swarm on which `held` servers have seats."""
    if case.kind is Kind.GONE or node.state != "ready":
        # Nobody runs there any more: the Swarm starts the servers elsewhere when it leaves.
        return Step.REMOVE
    if held and now < case.deadline - MOVE_S:
        return Step.PAUSE
    if node.availability != "drain" or case.drained_at is None:
        # What it holds is looked at again after that: a server may just have been placed on it.
        return Step.DRAIN
    return Step.REMOVE if not held or now - case.drained_at >= MOVED_S else Step.DRAIN


def last_step(case: Case, ask: Callable[[str], Worker | None]) -> Step:
    """Return what is next for a worker whose remains are removed; `ask` the fleet, if need be."""
    if case.hooks or case.kind is Kind.GONE:
        return Step.COMPLETE
    standing = ask(case.instance_id)
    if standing is None or standing.leaving:
        return Step.COMPLETE
    # This keeps it from being replaced, and brings the hook that this case then completes.
    return Step.TERMINATE
