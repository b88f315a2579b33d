"""The one way out for a worker: pause, tell, move its servers, leave Swarm and Chef, complete.

Every step can be done twice, and a case needs no memory: whoever reads its message again, after a
crash at any step, ends where the first would have ended. A message is acknowledged last. Times are
POSIX seconds.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode
from hubfleet.controller.confirm import AGAIN_S, Verdict, verdict
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.messages import Poison, Skip, parse
from hubfleet.controller.observe import World
from hubfleet.controller.report import Notice
from hubfleet.controller.sweep import Sweeper
from hubfleet.errors import HubfleetError
from hubfleet.fleet.scaling import Hook, Message, ScalingFleet

LONG_POLL_S = 10
RETRY_S = 5.0

MOVE_S = 45.0
"""Servers move so long before the worker is gone: a start elsewhere takes seconds, a new worker
that was ordered with the notice is there by then."""

MOVED_S = 30.0
"""After so long a worker leaves though tasks are still seen on it: the Swarm has given up on it."""

BEAT_S = 20.0
"""A waiting hook is told to wait on so often; a fleet's time-out is a minute at least."""

POISON_S = 60
"""A message that cannot be read comes again after so long, until the queue puts it aside."""


class ChefSide(Protocol):
    """What is asked of the Chef server; what is deleted may be gone already."""

    def delete_client(self, name: str) -> bool:
        """Delete a client: from then on nothing on the machine can write to the server."""

    def delete_node(self, name: str) -> bool:
        """Delete a node object."""


@dataclass
class Case:
    """One worker on its way out."""

    instance_id: str
    kind: Kind
    since: float
    deadline: float
    hook: Hook | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    """By id, the newest delivery of each."""
    drained_at: float | None = None
    beaten_at: float = 0.0
    ended: bool = False
    """Its remains are removed; what is left is to complete and to acknowledge."""


class Reaper:
    """All cases of a fleet. `turn` is called again and again, by one thread."""

    def __init__(
        self,
        fleet: ScalingFleet,
        swarm: SwarmManager,
        chef: ChefSide,
        sweeper: Sweeper,
        log: Callable[..., None],
    ) -> None:
        self._fleet, self._swarm, self._chef, self._sweeper = fleet, swarm, chef, sweeper
        self._log = log
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.cases: dict[str, Case] = {}
        self.counts: dict[str, int] = {}

    @property
    def leaving(self) -> Mapping[str, Case]:
        """Return the workers that are on their way out, by instance id."""
        return self.cases

    def listen(self, wake: Callable[[], None], away: Callable[[str, HubfleetError], None]) -> None:
        """Receive messages for ever, in a thread of its own; call `wake` when some have come."""
        threading.Thread(target=self._receive, args=[wake, away], daemon=True).start()

    def take(self, messages: Sequence[Message]) -> None:
        """Hand over messages to the next turn."""
        for message in messages:
            self._inbox.put(message)

    def turn(self, world: World, now: float) -> None:
        """Read what has come, and take every case as far as it goes now."""
        while not self._inbox.empty():
            message = self._inbox.get()
            try:
                self._read(message, world, now)
            except HubfleetError as error:
                self._tell("unread_message", now, message=message.id, reason=error.message)
        for event in self._sweeper.look(world, self.cases, now):
            self.open(event, now)
        for case in list(self.cases.values()):
            try:
                self._advance(case, world, now)
            except HubfleetError as error:
                # The next turn tries again; a message that is not acknowledged outlives even us.
                self._tell("retry", now, worker=case.instance_id, reason=error.message)

    def open(self, event: Event, now: float) -> Case:
        """Begin a case, or join the one there is."""
        deadline = event.deadline if event.deadline is not None else now
        case = self.cases.get(event.instance_id)
        if case is None:
            case = Case(event.instance_id, event.kind, now, deadline)
            self.cases[event.instance_id] = case
            self._tell("leaving", now, worker=case.instance_id, kind=case.kind, deadline=deadline)
        elif event.kind is Kind.GONE:
            case.kind, case.deadline = Kind.GONE, now
        case.hook = event.hook or case.hook
        return case

    def notices(self) -> tuple[Notice, ...]:
        """Return what the students of these workers are to be told."""
        return tuple(
            Notice(case.instance_id, case.kind.value, case.since, case.deadline - MOVE_S)
            for case in self.cases.values()
            if case.kind is not Kind.GONE
        )

    def _read(self, message: Message, world: World, now: float) -> None:
        try:
            event = parse(message.body, now)
        except Poison as error:
            self._tell("poison", now, message=message.id, reason=error.message)
            self._fleet.hide(message, POISON_S)
            return
        if isinstance(event, Skip):
            self._tell("skipped", now, message=message.id, reason=event.reason)
            self._fleet.acknowledge(message)
            return
        standing = self._fleet.standing(event.instance_id)
        noticed = sum(c.kind is Kind.SPOT for i, c in self.cases.items() if i != event.instance_id)
        found, why = verdict(event, standing, message.receives, noticed, len(world.workers))
        if found is Verdict.ACT and event.kind is Kind.REBALANCE:
            # The mark is the Swarm's, so it outlives this process; the decision empties the worker.
            if node := world.node_of(event.instance_id):
                self._swarm.mark_for_drain(node.id, "the fleet advises to leave it")
            self._fleet.acknowledge(message)
        elif found is Verdict.ACT:
            gone = Event(Kind.GONE, event.instance_id, event.at, now, event.hook)
            case = self.open(event if standing else gone, now)
            case.messages[message.id] = message
        elif found is Verdict.LATER:
            self._fleet.hide(message, AGAIN_S)
        else:
            self._tell("not_confirmed", now, message=message.id, reason=why)
            self._fleet.acknowledge(message)

    def _advance(self, case: Case, world: World, now: float) -> None:
        """Take one case as far as it goes; each step looks at what is, not at what was done."""
        if case.hook and now - case.beaten_at >= BEAT_S:
            self._fleet.heartbeat(case.hook)
            case.beaten_at = now
        if not case.ended:
            nodes = [n for n in world.nodes if n.hostname == case.instance_id]
            if not all([self._emptied(case, node, world, now) for node in nodes]):
                return
            for node in nodes:
                self._swarm.remove_node(node.id)
            self._forget(case.instance_id)
            case.ended = True
            self._tell("forgotten", now, worker=case.instance_id, seconds=now - case.since)
        standing = self._fleet.standing(case.instance_id)
        if case.hook:
            self._fleet.complete(case.hook)
        elif standing and not standing.leaving and case.kind is not Kind.GONE:
            # No hook yet: the fleet is asked to end it, which keeps it from being replaced, and
            # sends the hook that this case then completes.
            self._fleet.terminate(case.instance_id)
            return
        for message in case.messages.values():
            self._fleet.acknowledge(message)
        del self.cases[case.instance_id]
        self._tell("gone", now, worker=case.instance_id, seconds=now - case.since)

    def _emptied(self, case: Case, node: SwarmNode, world: World, now: float) -> bool:
        """Pause a node, move its servers when it is time, and say whether it may leave."""
        held = world.used(node.id)
        if case.kind is Kind.GONE or node.state != "ready":
            # Nobody runs there any more: the Swarm starts the servers elsewhere when it leaves.
            self._swarm.set_availability(node.id, "drain")
            return True
        if held and now < case.deadline - MOVE_S:
            self._swarm.set_availability(node.id, "pause")
            return False
        self._swarm.set_availability(node.id, "drain")
        if case.drained_at is None:
            case.drained_at = now
            self._tell("drained", now, worker=case.instance_id, servers=held)
        return not held or now - case.drained_at >= MOVED_S

    def _forget(self, instance_id: str) -> None:
        """Delete what the Chef server knows; the client first, so that nothing writes it anew."""
        self._chef.delete_client(instance_id)
        self._chef.delete_node(instance_id)

    def _receive(
        self, wake: Callable[[], None], away: Callable[[str, HubfleetError], None]
    ) -> None:
        while True:
            try:
                found = self._fleet.receive(LONG_POLL_S)
            except HubfleetError as error:
                away("queue", error)
                time.sleep(RETRY_S)
                continue
            if found:
                self.take(found)
                wake()

    def _tell(self, event: str, now: float, **fields: object) -> None:
        self.counts[event] = self.counts.get(event, 0) + 1
        self._log(event, now, **fields)
