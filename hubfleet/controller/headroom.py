"""How many free seats are wanted: for classes that are announced, and for whom nobody announced.

The two are added: arrivals that a class explains are taken out of the arrival rate, so nobody is
counted twice.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubfleet.controller.model import Group, Observation, Rules, Window
from hubfleet.settings_autoscaler import ClassTimes

ENOUGH = 5
"""Measured times to ready from which on they alone count."""

LATEST = 50
"""Measured times to ready that are looked at: older ones are of older images."""

QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class Headroom:
    """Free seats wanted now, and, for ending workers, at any time within the hold."""

    now: int
    later: int
    announced: int
    rate: float
    ready_s: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """Arrivals that each open class explains, and the times of those that none does."""

    explained: dict[Window, int]
    unannounced: tuple[float, ...]


def ready_time(measured: Sequence[float], prior_s: float) -> float:
    """Return the 95th percentile of the measured times to ready, with the prior for the first few.

    Until ENOUGH workers were measured a short time may be luck, a long one is believed.
    """
    latest = sorted(measured[-LATEST:])
    if len(latest) < ENOUGH:
        return max((prior_s, *latest))
    return latest[math.ceil(QUANTILE * len(latest)) - 1]


def headroom(seen: Observation, rules: Rules, now: float) -> Headroom:
    """Return the free seats wanted. Pure."""
    scaling = rules.scaling
    ready_s = ready_time(seen.ready_times, scaling.ready.prior_s)
    ahead = now + ready_s + scaling.ready.margin_s
    until = ahead + scaling.hold_s
    groups = {group.name: group for group in seen.groups}
    times = scaling.classes
    open_windows = [
        w for w in seen.windows if _opens(w, times) <= until and now <= _shuts(w, times)
    ]
    found = attribute(seen, open_windows, groups, times, now)
    announced = remaining(open_windows, groups, found, times, ahead)
    later = max(announced, remaining(open_windows, groups, found, times, until))
    rate, expected = _unannounced(found.unannounced, rules, ready_s, now)
    idle = not (seen.queued or any(node.used for node in seen.nodes))
    last = seen.arrivals[-1] if seen.arrivals else -math.inf
    floor = 0 if idle and now - last > scaling.headroom.quiet_s else scaling.headroom.seats
    base = max(floor, expected)
    return Headroom(base + announced, base + later, announced, rate, ready_s)


def attribute(
    seen: Observation,
    windows: Iterable[Window],
    groups: dict[str, Group],
    times: ClassTimes,
    now: float,
) -> Attribution:
    """Say which arrivals are students of which class: the earliest open one that is not full."""
    ordered = sorted(windows, key=lambda w: (w.start, w.name))
    since = min([now - 7200, *(_opens(w, times) for w in ordered)])
    recent = seen.arrivals[bisect_left(seen.arrivals, since) :]
    if not ordered:
        return Attribution({}, recent)
    explained = dict.fromkeys(ordered, 0)
    room = {w: expected_seats(w, groups, times) for w in ordered}
    rest = []
    for moment in recent:
        for window in ordered:
            fits = _opens(window, times) <= moment <= _shuts(window, times)
            if fits and explained[window] < room[window]:
                explained[window] += 1
                break
        else:
            rest.append(moment)
    for window in ordered:
        if group := groups.get(window.group):
            # A member whose server was up before needs no second seat.
            explained[window] = max(explained[window], group.size - group.missing)
    return Attribution(explained, tuple(rest))


def expected_seats(window: Window, groups: dict[str, Group], times: ClassTimes) -> int:
    """Return how many seats a class will take; its prestart group is a part of it."""
    group = groups.get(window.group)
    seats = max(window.seats, group.size if group else 0)
    return math.ceil(round(seats * (1 + times.extra), 6))


def remaining(
    windows: Iterable[Window],
    groups: dict[str, Group],
    found: Attribution,
    times: ClassTimes,
    moment: float,
) -> int:
    """Return the seats that must be free at `moment` for students who have not come yet.

    They grow from `first_s` to `early_s` before the start: the first students need the first seats.
    Different classes add up.
    """
    total = 0
    for window in windows:
        wanted = math.ceil(_share(window, times, moment) * expected_seats(window, groups, times))
        group = groups.get(window.group)
        if group and moment >= window.start - times.prestart_s:
            wanted = max(wanted, group.size)
        total += max(0, wanted - found.explained.get(window, 0))
    return total


def _opens(window: Window, times: ClassTimes) -> float:
    lead = times.first_s
    if window.group:
        lead = max(lead, times.prestart_s)
    return window.start - lead


def _shuts(window: Window, times: ClassTimes) -> float:
    return min(window.end, window.start + times.late_s)


def _share(window: Window, times: ClassTimes, moment: float) -> float:
    """Return the part of a class's seats that must be ready at `moment`, 0 to 1."""
    into = moment - (window.start - times.first_s)
    span = times.first_s - times.early_s
    if into < 0:
        return 0.0
    return 1.0 if into >= span else into / span


def _unannounced(
    arrivals: Sequence[float], rules: Rules, ready_s: float, now: float
) -> tuple[float, int]:
    """Return the rate of unannounced arrivals and the seats that cover it for a time to ready.

    Arrivals are taken as Poisson: mean plus z standard deviations. The rate is the greater of that
    over the long window and that over one time to ready, which sees a burst at once.
    """
    scaling = rules.scaling.headroom
    rate = 0.0
    for span in (float(scaling.rate_window_s), ready_s):
        rate = max(rate, (len(arrivals) - bisect_left(arrivals, now - span)) / span)
    mean = rate * ready_s
    return rate, math.ceil(round(mean + scaling.z * math.sqrt(mean), 6))
