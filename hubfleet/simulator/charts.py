"""The charts of the reports: a day's seats, the waits, the cost."""

import math
from collections.abc import Mapping, Sequence

from hubfleet.simulator.study import OURS, POLICIES, Outcome, median
from hubfleet.simulator.svg import COLOURS, Axis, Bar, Line, Point, bars, chart

HOUR = 3600.0

MOST_POINTS = 700
"""More than the chart has columns shows nothing more."""


def seats_over_time(outcome: Outcome, begin: float, hours: tuple[float, float]) -> str:
    """Return the seats of one day: used, ready, ready or ordered. `begin` is its midnight."""
    low, high = hours
    inside = [
        ((t - begin) / HOUR, used, ready, booting, queued)
        for t, used, ready, booting, queued in outcome.series
        if low <= (t - begin) / HOUR <= high
    ]
    thin = _thinned(inside)
    most = max((ready + booting for _, _, ready, booting, _ in thin), default=1)
    lines = [
        Line("seats ordered or ready", [(t, r + b) for t, _, r, b, _ in thin], COLOURS[2], True),
        Line("seats ready", [(t, r) for t, _, r, _, _ in thin], COLOURS[4], True),
        Line("seats used", [(t, u) for t, u, _, _, _ in thin], COLOURS[0], True, True),
        Line("students waiting", [(t, q) for t, _, _, _, q in thin], COLOURS[1], True),
    ]
    ticks = [(float(h), f"{h % 24:d}:00") for h in range(math.ceil(low), int(high) + 1)]
    x = Axis(low, high, ticks[:: max(1, len(ticks) // 12)], "time of day")
    return chart(lines, x, _up_to(most, "seats"), "Seats used, ready and ordered over one day")


def wait_curve(groups: Mapping[str, Sequence[float]]) -> str:
    """Return which share of students waited at most so long; time in logarithmic steps."""
    lines = []
    for index, (label, waits) in enumerate(groups.items()):
        ordered = sorted(waits)
        points: list[Point] = [
            (_log(_quantile(ordered, share / 200)), share / 2) for share in range(201)
        ]
        lines.append(Line(label, points, COLOURS[index % len(COLOURS)]))
    ticks = ((1, "1 s"), (3, "3 s"), (10, "10 s"), (30, "30 s"), (60, "1 min"), (300, "5 min"))
    more = ((1800, "30 min"), (10800, "3 h"))
    x = Axis(0.0, _log(10800), [(_log(s), t) for s, t in (*ticks, *more)], "waited at most")
    y = Axis(0, 100, [(v, f"{v} %") for v in range(0, 101, 20)], "share of students")
    return chart(lines, x, y, "Share of students by their longest wait")


def cost_bars(outcomes: Sequence[Outcome], price: float = 0.0) -> str:
    """Return node-hours by policy, with what they are to be compared with, for one workload."""
    by_policy: dict[str, list[Outcome]] = {}
    for one in outcomes:
        by_policy.setdefault(one.policy, []).append(one)
    items = [_bar(POLICIES[name][0], name, chosen, price) for name, chosen in by_policy.items()]
    ours = by_policy[OURS]
    for label, values in (
        ("possible, every end known", [o.greedy for o in ours]),
        ("bound, if servers could move", [o.lb0 for o in ours]),
    ):
        found = median(v / HOUR for v in values)
        items.append(Bar(label, found.value, found.low, found.high, "", "#bbb"))
    return bars(items, "node-hours", "Node-hours by policy")


def _bar(label: str, name: str, chosen: Sequence[Outcome], price: float) -> Bar:
    found = median(o.node_seconds / HOUR for o in chosen)
    late = sum(s > 30 for o in chosen for s in o.of()) / sum(len(o.waits) for o in chosen)
    killed = sum(o.killed for o in chosen) / len(chosen)
    remark = f" = {price * found.value:.2f}" if price else ""
    if killed:
        remark += f", ends {killed:.0f} servers"
    if late >= 0.005:
        remark += f", {late:.0%} wait over 30 s"
    colour = COLOURS[0] if name == OURS else COLOURS[6]
    return Bar(label, found.value, found.low, found.high, remark, colour)


def _thinned(
    rows: Sequence[tuple[float, int, int, int, int]],
) -> list[tuple[float, int, int, int, int]]:
    """Return so few rows that each column of the chart has one, with the most of each value."""
    size = max(1, math.ceil(len(rows) / MOST_POINTS))
    found = []
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        _, used, ready, booting, queued = zip(*part, strict=True)
        found.append((part[0][0], max(used), max(ready), max(booting), max(queued)))
    return found


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _log(seconds: float) -> float:
    return math.log10(max(1.0, min(seconds, 10800.0)))


def _up_to(most: float, title: str) -> Axis:
    step = 10.0 ** math.floor(math.log10(max(1.0, most)))
    while most / step < 4 and step > 1:
        step /= 2
    top = step * (math.floor(most / step) + 1)
    ticks = [(step * n, f"{step * n:g}") for n in range(int(top / step) + 1)]
    return Axis(0.0, top, ticks, title)
