"""The policy under test: the production decision, fed with what the world shows."""

from dataclasses import replace

from hubfleet.controller.decide import decide
from hubfleet.controller.headroom import ENOUGH
from hubfleet.controller.model import (
    Freshness,
    Group,
    Launch,
    LaunchFailure,
    Memory,
    Node,
    NodeState,
    Observation,
    Pause,
    Prestart,
    Release,
    Resume,
    Rules,
    Terminate,
)
from hubfleet.simulator.entities import Worker
from hubfleet.simulator.world import World

LOOKBACK_S = 7200.0


class Production:
    """Calls `decide` and carries out its actions as the controller does."""

    heartbeat = 30.0
    reacts = True

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.memory = Memory()
        self.placement: tuple[str, ...] = ()
        self.seen: Observation | None = None
        self.orders = 0
        """Decisions that held an action."""

    def begin(self, world: World) -> None:
        """Begin the day with the minimum."""
        world.launch(self.rules.minimum, ready=True)
        self.placement = tuple(world.workers)

    def step(self, world: World) -> None:
        """Observe, decide, act."""
        seen = self._observe(world)
        decision = decide(seen, self.memory, self.rules, world.now)
        self.memory, self.placement = decision.memory, decision.placement
        self.orders += bool(decision.actions)
        for action in decision.actions:
            match action:
                case Launch(count):
                    world.launch(count)
                case Pause(node):
                    self._worker(world, node, NodeState.ACTIVE, NodeState.PAUSED)
                case Resume(node):
                    self._worker(world, node, NodeState.PAUSED, NodeState.ACTIVE)
                case Terminate(node):
                    worker = world.workers.get(node)
                    # The one who acts reads once more: a server that got there meanwhile stays.
                    if worker and not worker.servers:
                        world.terminate(worker)
                case Prestart(group, count):
                    world.prestart(group, count)
                case Release(group):
                    world.release(group)

    def choose(self, world: World) -> Worker | None:
        """Return the first worker of the published placement with a free seat."""
        for node in self.placement:
            worker = world.workers.get(node)
            if worker and worker.state is NodeState.ACTIVE and worker.free:
                return worker
        return None

    def _worker(self, world: World, node: str, have: NodeState, new: NodeState) -> None:
        worker = world.workers.get(node)
        if worker and worker.state is have:
            worker.state = new
            world.note()

    def _observe(self, world: World) -> Observation:
        stale = [b for b, e in world.load.faults.stale if b <= world.now < e]
        if stale and self.seen:
            return replace(self.seen, read=Freshness(stale[0], stale[0], stale[0]))
        nodes = tuple(
            Node(w.id, w.state, w.seats, len(w.servers), w.ordered_at)
            for w in world.workers.values()
        )
        begin = world.now - LOOKBACK_S
        while world.arrivals and world.arrivals[0] < begin:
            world.arrivals.pop(0)
        near = [w for w in world.load.windows if abs(w.start - world.now) < LOOKBACK_S]
        self.seen = Observation(
            at=world.now,
            nodes=nodes,
            queued=len(world.queue),
            arrivals=tuple(world.arrivals),
            read=Freshness(world.now, world.now, world.now),
            windows=tuple(near),
            groups=tuple(self._group(world, w.group, w.seats) for w in near if w.group),
            ready_times=tuple(world.ready_times[-10 * ENOUGH :]),
            failures=tuple(LaunchFailure("default", at) for at in world.failures[-1:]),
        )
        return self.seen

    def _group(self, world: World, name: str, size: int) -> Group:
        have = sum(server.session.course == name for server in world.ahead.values())
        return Group(name, size, max(0, size - have), len(world.unused(name)))
