"""The one way out for a worker: pause, tell, move its servers, leave Swarm and Chef, complete.

Every step can be done twice, and a case needs no memory: whoever reads its message again, after a
crash at any step, ends where the first would have ended. A message is acknowledged last. What is to
be done is decided in `confirm`, `departure` and `sweep`. Times are POSIX seconds.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode
from hubfleet.controller.confirm import AGAIN_S, WINDOW_S, Verdict, confirmed, facts_of, verdict
from hubfleet.controller.departure import MOVE_S, Case, Step, case_of, last_step, node_step
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.messages import Poison, Skip, parse
from hubfleet.controller.observe import World
from hubfleet.controller.report import Notice
from hubfleet.controller.sweep import Sweeper
from hubfleet.errors import HubfleetError
from hubfleet.fleet.scaling import Message, ScalingFleet

LONG_POLL_S = 10
RETRY_S = 5.0

BEAT_S = 20.0
"""A waiting hook is told to wait on so often; a fleet's time-out is a minute at least."""

HOLD_S = 30
"""With each beat the messages stay hidden for so long. Else a long case would use up their
deliveries, and they would be dead letters when the controller is started again."""

POISON_S = 60
"""A message that cannot be read comes again after so long, until the queue puts it aside."""

MOST_READ = 100
"""So many messages are read in one turn; a flood must not keep the loop from its other work."""

POLICY = "swarm_worker"


class ChefSide(Protocol):
    """What is asked of the Chef server; what is deleted may be gone already."""

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> Sequence[Mapping[str, object]]:
        """Return the rows that match."""

    def delete_client(self, name: str) -> bool:
        """Delete a client: from then on nothing on the machine can write to the server."""

    def delete_node(self, name: str) -> bool:
        """Delete a node object."""


class Reaper:
    """All cases of a fleet. `turn` is called again and again, by one thread."""

    def __init__(
        self,
        fleet: ScalingFleet,
        swarm: SwarmManager,
        chef: ChefSide,
        sweeper: Sweeper,
        group: str,
        log: Callable[..., None],
    ) -> None:
        self._fleet, self._swarm, self._chef, self._sweeper = fleet, swarm, chef, sweeper
        self._group, self._log = group, log
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._noticed: dict[Kind, dict[str, float]] = {Kind.SPOT: {}, Kind.REBALANCE: {}}
        """Workers that only a message told of, and when."""
        self.cases: dict[str, Case] = {}
        self.counts: dict[str, int] = {}
        """What was told, by event; for metrics."""

    @property
    def leaving(self) -> Mapping[str, Case]:
        """Return the workers that are on their way out, by instance id."""
        return self.cases

    def listen(self, wake: Callable[[], None], away: Callable[[str, HubfleetError], None]) -> None:
        """Receive messages for ever, in a thread of its own; call `wake` when some have come."""
        threading.Thread(target=self._receive, args=[wake, away], daemon=True, name="queue").start()

    def take(self, messages: Sequence[Message]) -> None:
        """Hand over messages to the next turn."""
        for message in messages:
            self._inbox.put(message)

    def turn(self, world: World, now: float) -> None:
        """Read what has come, and take every case as far as it goes now."""
        for kind, told in self._noticed.items():
            self._noticed[kind] = {i: at for i, at in told.items() if now - at < WINDOW_S}
        for _ in range(min(self._inbox.qsize(), MOST_READ)):
            message = self._inbox.get()
            try:
                self._read(message, world, now)
            except HubfleetError as error:
                self._tell("unread_message", now, message=message.id, reason=error.message)
        self._sweep(world, now)
        for case in list(self.cases.values()):
            self._hold(case, now)
            if now < case.retry_at:
                continue
            try:
                self._advance(case, world, now)
                case.failures = 0
            except HubfleetError as error:
                case.failed(now)
                self._tell("retry", now, worker=case.instance_id, reason=error.message)

    def open(self, event: Event, now: float) -> Case:
        """Begin a case, or join the one there is."""
        case = self.cases.get(event.instance_id)
        if case is not None:
            case.join(event, now)
            return case
        case = self.cases[event.instance_id] = case_of(event, now)
        self._tell("leaving", now, worker=case.instance_id, kind=case.kind, deadline=case.deadline)
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
        noticed = self._noticed.get(event.kind, {})
        facts = facts_of(event, standing, world, noticed)
        found, why = verdict(event, facts, message.receives)
        if found in {Verdict.ACT, Verdict.MARK} and standing and not standing.leaving:
            noticed.setdefault(event.instance_id, now)
        if found is Verdict.ACT:
            self.open(confirmed(event, standing), now).messages[message.id] = message
        elif found is Verdict.LATER:
            self._fleet.hide(message, AGAIN_S)
        else:
            if found is Verdict.MARK:
                self._mark(event.instance_id, world, now)
            else:
                self._tell("not_confirmed", now, message=message.id, reason=why)
            self._fleet.acknowledge(message)

    def _mark(self, instance_id: str, world: World, now: float) -> None:
        """Have a worker emptied as its students leave; the decision does it, and replaces it.

        The mark is the Swarm's, so it outlives this process.
        """
        if node := world.node_of(instance_id):
            self._swarm.mark_for_drain(node.id, "the fleet advises to leave it")
            self._tell("marked", now, worker=instance_id)

    def _sweep(self, world: World, now: float) -> None:
        """Open cases for what no message told, where the fleet confirms it."""
        found = self._sweeper.look(world, self.cases, now)
        if found.held:
            self._tell("sweep_held", now, workers=found.held, reason=found.why)
        for event in found.events:
            try:
                standing = self._fleet.standing(event.instance_id)
            except HubfleetError as error:
                self._tell("retry", now, worker=event.instance_id, reason=error.message)
                continue
            if event.kind is Kind.GONE and standing is not None:
                reason = "the fleet does not list it, and knows it"
                self._tell("not_confirmed", now, worker=event.instance_id, reason=reason)
            else:
                self.open(event, now)

    def _hold(self, case: Case, now: float) -> None:
        """Have hooks and messages wait on; that they cannot be told keeps nothing from going on."""
        if now - case.beaten_at < BEAT_S:
            return
        case.beaten_at = now
        try:
            for hook in case.hooks:
                self._fleet.heartbeat(hook)
            for message in case.messages.values():
                self._fleet.hide(message, HOLD_S)
        except HubfleetError as error:
            self._tell("no_heartbeat", now, worker=case.instance_id, reason=error.message)

    def _advance(self, case: Case, world: World, now: float) -> None:
        """Take one case as far as it goes; each step looks at what is, not at what was done."""
        name = case.instance_id
        if not case.ended:
            nodes = [n for n in world.nodes if n.hostname == name and n.role == "worker"]
            if case.kind is Kind.HEALTH and case.recovered(nodes, self._fleet.standing(name)):
                del self.cases[name]
                self._tell("recovered", now, worker=name)
                return
            if not all([self._emptied(case, node, world, now) for node in nodes]):
                return
            for node in nodes:
                self._swarm.remove_node(node.id)
            self._forget(name, now)
            case.ended = True
            self._tell("forgotten", now, worker=name, seconds=now - case.since)
        if last_step(case, self._fleet.standing) is Step.TERMINATE:
            self._fleet.terminate(name)
            return
        self._complete(case)
        for message in case.messages.values():
            self._fleet.acknowledge(message)
        del self.cases[name]
        self._tell("gone", now, worker=name, seconds=now - case.since)

    def _emptied(self, case: Case, node: SwarmNode, world: World, now: float) -> bool:
        """Do what is next for a node, and say whether it may leave the Swarm."""
        held = world.used(node.id)
        step = node_step(case, node, held, now)
        self._swarm.set_availability(node.id, "pause" if step is Step.PAUSE else "drain")
        if step is Step.DRAIN and case.drained_at is None:
            case.drained_at = now
            self._tell("drained", now, worker=case.instance_id, servers=held)
        return step is Step.REMOVE

    def _forget(self, instance_id: str, now: float) -> None:
        """Delete what the Chef server knows; the client first, so that nothing writes it anew."""
        keys = {"group": ["policy_group"], "policy": ["policy_name"]}
        rows = self._chef.search("node", f"name:{instance_id}", keys)
        ours = {"group": self._group, "policy": POLICY}
        if any(row != ours for row in rows):
            # A machine of another role, or of another deployment, has ended, or somebody says so.
            self._tell("not_a_worker", now, worker=instance_id)
            return
        self._chef.delete_client(instance_id)
        self._chef.delete_node(instance_id)

    def _complete(self, case: Case) -> None:
        """Complete all hooks; one that fails is no obstacle where the machine is gone."""
        failure: HubfleetError | None = None
        for hook in case.hooks:
            try:
                self._fleet.complete(hook)
            except HubfleetError as error:
                failure = error
        if failure and self._fleet.standing(case.instance_id) is not None:
            raise failure

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
