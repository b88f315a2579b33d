"""Look at fleet, Swarm and hub, and make one Observation of it.

Each source is read by itself. One that does not answer keeps its last good value, with the time of
that success: whether it is too old is for the decision to say. Times are POSIX seconds.
"""

from bisect import insort
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from hubfleet.clients.hub_service import HubService, Server
from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode, SwarmService, SwarmTask
from hubfleet.controller.model import (
    Freshness,
    Group,
    LaunchFailure,
    Node,
    NodeState,
    Observation,
    Window,
)
from hubfleet.errors import HubfleetError
from hubfleet.fleet.scaling import Failure, ScalingFleet, Worker

LOOKBACK_S = 7200.0
"""Arrivals are kept for so long."""

LOST_S = 30.0
"""A worker that the Swarm calls down for so long is lost; a restart of its engine takes less."""

Read = TypeVar("Read")


@dataclass
class World:
    """The last good answer of each source, and when it came."""

    workers: Sequence[Worker] = ()
    failures: Sequence[Failure] = ()
    nodes: Sequence[SwarmNode] = ()
    tasks: Sequence[SwarmTask] = ()
    services: Sequence[SwarmService] = ()
    servers: Sequence[Server] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Say whether every source has answered once."""
        return self.read.keys() == {"fleet", "swarm", "hub"}

    def node_of(self, instance_id: str) -> SwarmNode | None:
        """Return the member of the Swarm that a worker is, the living one where there are two."""
        found = [n for n in self.nodes if n.hostname == instance_id and n.role == "worker"]
        return max(found, key=lambda n: n.state == "ready", default=None)

    def used(self, node_id: str) -> int:
        """Return how many servers hold a seat on a node."""
        return sum(task.node_id == node_id and task.holds for task in self.tasks)

    def stays(self, node_id: str) -> int:
        """Return how many servers hold a seat on a node and are not told to end there."""
        return sum(task.node_id == node_id and task.stays for task in self.tasks)

    def waiting(self) -> frozenset[str]:
        """Return the students who have asked for a server and have no seat; each counts once."""
        seated = {task.user for task in self.tasks if task.stays}
        asked = {task.user for task in self.tasks if task.waits}
        asked |= {server.user for server in self.servers if server.pending == "spawn"}
        return frozenset(asked - seated)

    def seated(self) -> frozenset[str]:
        """Return the students who have a server, ready or on its way."""
        return frozenset(s.user for s in self.servers if s.ready or s.pending == "spawn")

    def unopened(self, group: str) -> list[str]:
        """Return whose server was started ahead for a group and has not been used."""
        return [
            server.user
            for server in self.servers
            if server.options.get("prestart") == group and server.ready and not server.used
        ]


class Observer:
    """Keeps the World, and what can only be seen over time: arrivals, births, losses."""

    def __init__(
        self,
        fleet: ScalingFleet,
        swarm: SwarmManager,
        hub: HubService,
        log: Callable[[str, HubfleetError], None],
    ) -> None:
        self._fleet, self._swarm, self._hub, self._log = fleet, swarm, hub, log
        self.world = World()
        self.ready_times: list[float] = []
        self.refused: list[LaunchFailure] = []
        """Orders that were refused at once."""
        self._booting: set[str] = set()
        self._down_since: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._arrivals: list[float] = []

    def look(self, now: float) -> None:
        """Read all sources; what one of them does not say stays as it was."""
        world = self.world
        # At once: each of them is slow when a class comes, and that is when it matters.
        with ThreadPoolExecutor() as pool:
            fleet_read = pool.submit(self._read_fleet)
            swarm_read = pool.submit(self._read_swarm)
            hub_read = pool.submit(self._read_hub)
        if (found := self._read("fleet", now, fleet_read.result)) is not None:
            world.workers, world.failures = found
        if (swarm := self._read("swarm", now, swarm_read.result)) is not None:
            world.nodes, world.tasks, world.services = swarm
            self._note_losses(now)
            self._note_arrivals(now)
        if (hub := self._read("hub", now, hub_read.result)) is not None:
            world.servers, world.groups = hub
        self._note_births(now)

    def observation(
        self,
        now: float,
        windows: Sequence[Window],
        leaving: Container[str],
        seats: int,
        steady: str = "",
    ) -> Observation:
        """Return what the decision rests on. `leaving` are the reaper's workers."""
        world = self.world
        failures = [LaunchFailure(f.pool, f.at) for f in world.failures] + self.refused
        return Observation(
            at=now,
            nodes=tuple(self._node(w, now, leaving, seats) for w in world.workers),
            queued=len(world.waiting()),
            arrivals=tuple(self._arrivals),
            read=Freshness(**world.read),
            windows=tuple(windows),
            groups=self._groups(windows),
            ready_times=tuple(self.ready_times),
            failures=tuple(sorted(failures, key=lambda f: f.at)),
            steady=steady,
        )

    def state_of(self, worker: Worker, now: float, leaving: Container[str]) -> NodeState:
        """Return what a worker is to the autoscaler."""
        if worker.leaving or worker.id in leaving:
            return NodeState.RECLAIMING
        node = self.world.node_of(worker.id)
        if node is None:
            return NodeState.BOOTING
        if now - self._down_since.get(worker.id, now) >= LOST_S:
            return NodeState.RECLAIMING
        if node.availability == "active":
            return NodeState.ACTIVE
        return NodeState.PAUSED if node.ours or node.drained else NodeState.HELD

    def _node(
        self,
        worker: Worker,
        now: float,
        leaving: Container[str],
        seats: int,
    ) -> Node:
        node, state = self.world.node_of(worker.id), self.state_of(worker, now, leaving)
        # Who is moved from a worker that leaves has the new seat already, or waits for it.
        count = self.world.stays if state is NodeState.RECLAIMING else self.world.used
        return Node(
            id=worker.id,
            state=state,
            seats=node.seats if node and node.seats else seats,
            used=count(node.id) if node else 0,
            launched_at=worker.launched_at,
            pool=worker.pool,
            protected=worker.protected,
            at_risk=bool(node and node.drained),
        )

    def _groups(self, windows: Sequence[Window]) -> tuple[Group, ...]:
        world, seated = self.world, self.world.seated()
        return tuple(
            Group(
                name=name,
                size=len(world.groups[name]),
                missing=sum(user not in seated for user in world.groups[name]),
                unused=len(world.unopened(name)),
            )
            for name in sorted({w.group for w in windows if w.group in world.groups})
        )

    def _read(self, source: str, now: float, read: Callable[[], Read]) -> Read | None:
        try:
            found = read()
        except HubfleetError as error:
            self._log(source, error)
            return None
        self.world.read[source] = now
        return found

    def _read_fleet(self) -> tuple[Sequence[Worker], Sequence[Failure]]:
        return self._fleet.workers(), self._fleet.failures()

    def _read_swarm(
        self,
    ) -> tuple[Sequence[SwarmNode], Sequence[SwarmTask], Sequence[SwarmService]]:
        return self._swarm.nodes(), self._swarm.tasks(), self._swarm.services()

    def _read_hub(self) -> tuple[Sequence[Server], Mapping[str, Sequence[str]]]:
        return self._hub.servers(), self._hub.groups()

    def _note_births(self, now: float) -> None:
        """Measure the time to ready of those that were seen booting and are in the Swarm now."""
        if "swarm" not in self.world.read:
            return
        alive = {worker.id: worker for worker in self.world.workers}
        for instance_id in list(self._booting):
            if instance_id not in alive:
                self._booting.discard(instance_id)
            elif self.world.node_of(instance_id):
                self._booting.discard(instance_id)
                self.ready_times.append(now - alive[instance_id].launched_at)
        self._booting |= {i for i in alive if not self.world.node_of(i)}

    def _note_losses(self, now: float) -> None:
        down = {n.hostname for n in self.world.nodes if n.state != "ready" and n.role == "worker"}
        up = {n.hostname for n in self.world.nodes if n.state == "ready"}
        self._down_since = {host: self._down_since.get(host, now) for host in sorted(down - up)}

    def _note_arrivals(self, now: float) -> None:
        """Keep when each server was asked for; a server that is started again is a new wish."""
        for service in self.world.services:
            if service.id not in self._asked:
                self._asked[service.id] = service.created_at
                insort(self._arrivals, service.created_at)
        begin = now - LOOKBACK_S
        alive = {service.id for service in self.world.services}
        self._asked = {i: at for i, at in self._asked.items() if i in alive or at >= begin}
        while self._arrivals and self._arrivals[0] < begin:
            self._arrivals.pop(0)
