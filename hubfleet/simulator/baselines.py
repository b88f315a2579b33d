"""What others do, as their sources and manuals say, in the same world as ours.

Each gets the same time to ready; where a rule is not published the kinder reading is taken.
"""

import math

from hubfleet.controller.model import NodeState
from hubfleet.simulator.bounds import bounds
from hubfleet.simulator.entities import Worker
from hubfleet.simulator.world import World


class _Base:
    """Common ground: begin with the minimum, fill the fullest worker first."""

    heartbeat = 10.0
    reacts = False

    def begin(self, world: World) -> None:
        """Order the minimum."""
        world.launch(world.setting.minimum, ready=True)

    def choose(self, world: World) -> Worker | None:
        """Return the fullest worker with a free seat (Kubernetes' MostAllocated)."""
        open_workers = [w for w in active(world) if w.free]
        return max(open_workers, key=lambda w: (len(w.servers), w.id), default=None)


def active(world: World) -> list[Worker]:
    """Return the workers that take servers."""
    return [w for w in world.workers.values() if w.state is NodeState.ACTIVE]


def booting(world: World) -> list[Worker]:
    """Return the workers that are ordered and not there yet."""
    return [w for w in world.workers.values() if w.state is NodeState.BOOTING]


class CpuTarget(_Base):
    """B1, an Auto Scaling group on its own: target tracking, average CPU 40 %.

    Out when above the target for three minutes, to ceil(n * cpu / target); in by one when below
    70 % of it for fifteen, the victim random (the last criterion of the default policy). At most
    five workers, a common configuration. Swarm spreads; without reservations none is ever full.
    """

    heartbeat = 60.0
    target, vcpus, maximum = 0.40, 2.0, 5

    def __init__(self, reservations: bool, cpu_of_server: float = 0.10) -> None:
        self.reservations, self.cpu = reservations, cpu_of_server
        self.above = self.below = 0

    def step(self, world: World) -> None:
        """Take one datapoint, and act on the alarms."""
        workers = active(world)
        if not workers:
            return
        used = sum(min(self.vcpus, len(w.servers) * self.cpu) for w in workers)
        cpu = used / (self.vcpus * len(workers))
        self.above = self.above + 1 if cpu > self.target else 0
        self.below = self.below + 1 if cpu < 0.7 * self.target else 0
        count = len(world.workers)
        if self.above >= 3 and not booting(world):
            wanted = min(self.maximum, math.ceil(len(workers) * cpu / self.target))
            world.launch(max(0, wanted - count))
        elif self.below >= 15 and count > max(1, world.setting.minimum) and not booting(world):
            world.terminate(world.rng.choice(workers))
            self.below = 0

    def choose(self, world: World) -> Worker | None:
        """Return the least loaded worker, as Swarm does."""
        workers = [w for w in active(world) if w.free or not self.reservations]
        return min(workers, key=lambda w: (len(w.servers), w.id), default=None)


class Placeholders(_Base):
    """B2, zero-to-jupyterhub: placeholders that students displace, and the cluster autoscaler.

    A scan every 10 s; placeholders that find no room order workers, whole ones count as one each
    with `whole`; a worker without students for 10 min goes, not within 10 min of an addition.
    """

    def __init__(self, seats: int, whole: bool = False) -> None:
        self.seats, self.whole = seats, whole
        self.empty: dict[str, float] = {}
        self.added = -math.inf

    def step(self, world: World) -> None:
        """Scan once."""
        self._grow(world, self._short(world))
        self._shrink(world)

    def _short(self, world: World) -> int:
        size = world.setting.seats
        coming = sum(w.seats for w in booting(world))
        if self.whole:
            empty = sum(not w.servers for w in active(world)) + len(booting(world))
            queue = math.ceil(max(0, len(world.queue) - coming) / size)
            return max(0, math.ceil(self.seats / size) - empty, queue)
        free = sum(w.free for w in active(world)) + coming - len(world.queue)
        return math.ceil(max(0, self.seats - free) / size)

    def _grow(self, world: World, count: int) -> None:
        if count:
            world.launch(count)
            self.added = world.now

    def _shrink(self, world: World) -> None:
        size = world.setting.seats
        for worker in active(world):
            if worker.servers:
                self.empty.pop(worker.id, None)
                continue
            since = self.empty.setdefault(worker.id, world.now)
            free = sum(w.free for w in active(world))
            spare = free - size - len(world.queue) >= self.seats
            rested = world.now - max(since, self.added) >= 600
            if spare and rested and len(world.workers) > world.setting.minimum:
                world.terminate(worker)


class CalendarNodes(Placeholders):
    """B3, Berkeley's node placeholders: so many workers per event, less those nearly free.

    Looks every 60 s; events are entered from a quarter of an hour before the class to a quarter of
    an hour into it. A worker with more than a fifth free counts as a placeholder. Below that the
    cluster autoscaler works as ever, without placeholders of its own.
    """

    lead_s = 900.0

    def __init__(self) -> None:
        super().__init__(0)
        self.looked = -math.inf

    def step(self, world: World) -> None:
        """Look at the calendar once a minute, and scan."""
        size = world.setting.seats
        wanted = max(
            (
                math.ceil(w.seats / size)
                for w in world.load.windows
                if w.start - self.lead_s <= world.now < w.start + 900
            ),
            default=0,
        )
        self.seats = wanted * size
        if world.now - self.looked >= 60:
            self.looked = world.now
            near = sum(w.free / size > 0.2 for w in active(world)) + len(booting(world))
            self._grow(world, max(0, wanted - near))
        coming = sum(w.seats for w in booting(world))
        self._grow(world, math.ceil(max(0, len(world.queue) - coming) / size))
        self._shrink(world)


class Static(_Base):
    """B4: as many workers as the day's peak takes, all day; knows the peak beforehand."""

    def begin(self, world: World) -> None:
        """Order the peak."""
        setting = world.setting
        known = bounds(world.load, setting.seats, setting.minimum, 0)
        world.launch(known.static_workers, ready=True)

    def step(self, world: World) -> None:
        """Do nothing."""


class Pending(_Base):
    """B5, a script that is in use elsewhere.

    It looks every minute, adds one worker when somebody has waited for three minutes, and removes
    those that were empty for thirty.
    """

    heartbeat = 60.0

    def __init__(self) -> None:
        self.empty: dict[str, float] = {}

    def step(self, world: World) -> None:
        """Look once."""
        if any(world.now - s.asked > 180 for s in world.queue) and not booting(world):
            world.launch(1)
        for worker in active(world):
            if worker.servers:
                self.empty.pop(worker.id, None)
                continue
            since = self.empty.setdefault(worker.id, world.now)
            many = len(world.workers) > world.setting.minimum
            if many and world.now - since >= 1800 and not world.queue:
                world.terminate(worker)
