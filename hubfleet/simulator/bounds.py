"""What no policy can beat, and what one that knows the future would pay. In node-seconds.

All take the sessions as they are wished for: served at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from hubfleet.simulator.workload import Workload

Span = tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """Node-seconds, worker starts and sizes that a policy is compared with."""

    lb0: float
    """Workers for the servers alive at each moment, if servers could move."""
    lb1: float
    """The same, with the boot of each start paid, bridged where that is cheaper."""
    greedy: float
    """Without moving, every end known: each server goes where it prolongs least."""
    greedy_starts: int
    static: float
    """Workers for the day's peak, all day."""
    static_workers: int


def bounds(load: Workload, seats: int, minimum: int, boot_s: float) -> Bounds:
    """Return the bounds of a workload."""
    spans = [
        (s.arrive, min(load.end, s.leave or s.arrive + s.length))
        for s in load.sessions
        if s.arrive < load.end
    ]
    profile = _profile(spans, load.begin, load.end)
    needed = [(b, e, max(minimum, math.ceil(n / seats))) for b, e, n in profile]
    peak = max(n for _, _, n in needed)
    greedy, starts = _greedy(spans, seats, boot_s)
    return Bounds(
        lb0=sum((e - b) * n for b, e, n in needed),
        lb1=sum(_level(needed, level, boot_s) for level in range(1, peak + 1)),
        greedy=greedy + _idle(spans, load, minimum),
        greedy_starts=starts,
        static=peak * (load.end - load.begin),
        static_workers=peak,
    )


def _profile(spans: Sequence[Span], begin: float, end: float) -> list[tuple[float, float, int]]:
    """Return the number of servers alive as steps."""
    changes = sorted([(b, 1) for b, _ in spans] + [(e, -1) for _, e in spans])
    steps, alive, since = [], 0, begin
    for moment, change in changes:
        if moment > since:
            steps.append((since, moment, alive))
            since = moment
        alive += change
    steps.append((since, end, alive))
    return steps


def _level(needed: Sequence[tuple[float, float, int]], level: int, boot_s: float) -> float:
    """Return the cost of the `level`-th worker: a gap shorter than a boot is bridged."""
    total, last = 0.0, -math.inf
    for begin, end, count in needed:
        if count < level:
            continue
        gap = begin - last
        total += end - begin + (min(gap, boot_s) if gap > 0 else 0.0)
        last = end
    return total


def _greedy(spans: Sequence[Span], seats: int, boot_s: float) -> tuple[float, int]:
    """Return node-seconds and starts of the clairvoyant greedy, boots included."""
    nodes: list[tuple[float, list[float]]] = []
    total, starts = 0.0, 0
    for begin, end in sorted(spans):
        living = []
        for stop, ends in nodes:
            if stop > begin:
                while ends and ends[0] <= begin:
                    heappop(ends)
                living.append((stop, ends))
        nodes = living
        best, cost = -1, end - begin + boot_s
        for index, (stop, ends) in enumerate(nodes):
            more = max(0.0, end - stop)
            # Of equals the fullest, so that others can empty.
            fuller = best >= 0 and more == cost and len(ends) > len(nodes[best][1])
            if len(ends) < seats and (more < cost or fuller):
                best, cost = index, more
        total += cost
        if best < 0:
            starts += 1
            nodes.append((end, [end]))
        else:
            stop, ends = nodes[best]
            heappush(ends, end)
            nodes[best] = (max(stop, end), ends)
    return total, starts


def _idle(spans: Sequence[Span], load: Workload, minimum: int) -> float:
    """Return what the minimum costs while the greedy would have no worker at all."""
    if not minimum:
        return 0.0
    empty = sum(e - b for b, e, n in _profile(spans, load.begin, load.end) if n == 0)
    return empty * minimum
