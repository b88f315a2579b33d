"""Carry out a decision: the only place that orders, pauses, resumes and ends workers.

An action that fails is logged and left: the next look at the world shows whether it is still
wanted. Times are POSIX seconds.
"""

from collections.abc import Callable
from contextlib import suppress

from hubfleet.clients.hub_service import HubService
from hubfleet.clients.swarm_manager import SwarmManager
from hubfleet.controller.model import (
    Action,
    Launch,
    LaunchFailure,
    Pause,
    Prestart,
    Protect,
    Release,
    Resume,
    Terminate,
)
from hubfleet.controller.observe import Observer
from hubfleet.errors import HubfleetError
from hubfleet.fleet.scaling import NoCapacity, ScalingFleet

UNPIN_S = 1.0
"""So long a turn unpins: a class that has just started must not hold up the next order."""

Outcome = tuple[Action, str]
"""An action, and why it was not carried out; empty where it was."""


class Refused(HubfleetError):
    """An action that the world as it is now forbids."""


class Actor:
    """Carries out actions on the real fleet, Swarm and hub."""

    def __init__(
        self,
        fleet: ScalingFleet,
        swarm: SwarmManager,
        hub: HubService,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._fleet, self._swarm, self._hub = fleet, swarm, hub
        self._observer, self._clock = observer, clock

    def carry_out(self, actions: tuple[Action, ...]) -> list[Outcome]:
        """Do all actions in their order; return each with why it could not be done."""
        outcomes: list[Outcome] = []
        for action in actions:
            try:
                self._do(action)
                outcomes.append((action, ""))
            except HubfleetError as error:
                outcomes.append((action, error.message))
        return outcomes

    def unpin(self) -> None:
        """Let servers that the scheduler has seen run anywhere from now on.

        One whose worker was full when its turn came waits, and finds another place by this: such
        ones first. The others can wait for the next turn.
        """
        world = self._observer.world
        waits = {t.service_id for t in world.tasks if t.waits and t.error}
        seen = waits | {t.service_id for t in world.tasks if t.holds}
        pinned = [s for s in world.services if s.pinned and s.id in seen]
        until = self._clock() + UNPIN_S
        for service in sorted(pinned, key=lambda s: s.id not in waits):
            with suppress(HubfleetError):  # changed meanwhile: the next turn does it
                self._swarm.unpin(service.id)
            if self._clock() >= until:
                return

    def _do(self, action: Action) -> None:
        match action:
            case Launch(count, pool):
                self._launch(count, pool)
            case Pause(node):
                self._swarm.set_availability(self._node_id(node), "pause")
            case Resume(node):
                self._swarm.set_availability(self._node_id(node), "active")
            case Terminate(node):
                self._terminate(node)
            case Protect(node):
                self._fleet.protect(node)
            case Prestart(group, count):
                self._prestart(group, count)
            case Release(group, count):
                for user in self._observer.world.unopened(group)[:count]:
                    self._hub.stop(user)

    def _launch(self, count: int, pool: str) -> None:
        try:
            self._fleet.launch(count, pool)
        except NoCapacity:
            self._observer.refused = [
                *self._observer.refused[-20:],
                LaunchFailure(pool, self._clock()),
            ]
            raise

    def _terminate(self, instance_id: str) -> None:
        """End a worker that is empty now; the reaper takes it out of Swarm and Chef."""
        # Read anew, and the nodes before the tasks: a paused node gets no further task, so what is
        # empty after it was seen paused stays empty.
        nodes = [n for n in self._swarm.nodes() if n.hostname == instance_id]
        tasks = self._swarm.tasks()
        for node in nodes:
            held = sum(task.node_id == node.id and task.holds for task in tasks)
            if held:
                raise Refused(f"{instance_id} is not ended: {held} servers are on it")
            if node.availability == "active" and node.state == "ready":
                raise Refused(f"{instance_id} is not ended: it takes servers")
        self._fleet.terminate(instance_id)

    def _prestart(self, group: str, count: int) -> None:
        world = self._observer.world
        missing = [u for u in world.groups.get(group, ()) if u not in world.seated()]
        for user in missing[:count]:
            self._hub.start(user, prestart=group)

    def _node_id(self, instance_id: str) -> str:
        node = self._observer.world.node_of(instance_id)
        if node is None:
            raise Refused(f"{instance_id} is not in the Swarm any more")
        return node.id
