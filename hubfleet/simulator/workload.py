"""Students of a day or a week: who comes when, for how long, and what goes wrong.

Background: Poisson arrivals from 7 to 23 h, most at 15 h (assumed); lengths as UC Berkeley
published for 225 107 sessions of its DataHub in autumn 2018, in buckets of an hour, uniform
inside a bucket.
Classes: arrivals normal around one minute after the start, never ten minutes before it or earlier;
students stay to the end and an exponential quarter of an hour, then their idle server is culled.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from hubfleet.controller.model import Window

EPOCH = 1803859200.0
"""Monday, 2027-03-01, 00:00 UTC: a simulated week begins here."""

HOUR = 3600.0
DAY = 86400.0

LENGTHS = (
    *((1, 29.5), (2, 54.9), (3, 69.2), (4, 77.8), (5, 83.4), (6, 87.4), (7, 90.1), (8, 92.1)),
    *((9, 93.6), (10, 94.8), (12, 96.4), (14, 97.6), (16, 98.5), (18, 99.1), (20, 100.0)),
)
"""Session length in hours, and the percentage of sessions that are not longer."""

WEEK = (0.92, 0.96, 1.0, 0.84, 0.73, 0.37, 0.42)
"""Users of a weekday by those of Wednesday, Monday first (Berkeley, spring 2023)."""

SESSIONS_PER_USER = 2.0
"""Starts of a user on a day on which they come (225 107 sessions, 937.7 users on 120 days)."""

CULL_S = 1800.0
"""An idle server of a class is stopped after so long: hub.idle_s."""

STAY_S = 900.0
EARLIEST_S = 600.0
DELAY_S = 60.0
SIGMA_S = 150.0


@dataclass(frozen=True, slots=True)
class Session:
    """One wish for a server. A class's server ends at `leave`, another `length` after its start."""

    user: str
    arrive: float
    length: float
    leave: float = 0.0
    course: str = ""
    listed: bool = False
    """Of the group whose servers start before the class."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Times are absolute."""

    boot_failures: float = 0.0
    """Share of workers that never come up."""
    no_capacity: tuple[tuple[float, float], ...] = ()
    stale: tuple[tuple[float, float], ...] = ()
    """Nothing new is seen of hub, Swarm and fleet; orders are carried out."""
    reclaims: tuple[tuple[float, float], ...] = ()
    """Spot notices: when, and for which share of the workers (0: for one)."""
    retry_s: float = 0.0
    """Waiting students click again so often, and lose their place in the line."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What happens from `begin` to `end`, and what the calendar says about it."""

    name: str
    title: str
    begin: float
    end: float
    sessions: tuple[Session, ...]
    windows: tuple[Window, ...] = ()
    faults: Faults = field(default_factory=Faults)
    absent: tuple[tuple[str, int], ...] = ()
    """Members of prestart groups who do not come, by class."""


def workload(name: str, seed: int) -> Workload:
    """Return one of the workloads, drawn with a seed. Raises KeyError for another name."""
    # W2P is W2 with the servers started ahead: the same students.
    return WORKLOADS[name][1](random.Random(f"{name[:2]}-{seed}"), seed)


def background(rng: random.Random, users: float, begin: float, days: int) -> list[Session]:
    """Return the sessions of students who come by themselves; `users` are those of a Wednesday."""
    found = []
    for day in range(days):
        midnight = begin + day * DAY
        weekday = round((midnight - EPOCH) / DAY) % 7
        for number in range(_poisson(rng, users * SESSIONS_PER_USER * WEEK[weekday])):
            # The inverse of the distribution with density sin(pi * (h - 7) / 16).
            hour = 7 + 16 * math.acos(1 - 2 * rng.random()) / math.pi
            who = f"b{day}-{number}"
            found.append(Session(who, midnight + hour * HOUR, _length(rng)))
    return found


def course(
    rng: random.Random, window: Window, sigma: float = SIGMA_S, attendance: float | None = None
) -> list[Session]:
    """Return the students of a class; 60 to 110 % of the announced number come."""
    share = rng.uniform(0.6, 1.1) if attendance is None else attendance
    found = []
    for number in range(round(window.seats * share)):
        arrive = max(window.start - EARLIEST_S, window.start + rng.gauss(DELAY_S, sigma))
        leave = max(arrive, window.end) + rng.expovariate(1 / STAY_S) + CULL_S
        listed = bool(window.group) and number < window.seats
        who = f"{window.name}-{number}"
        found.append(Session(who, arrive, leave - arrive, leave, window.name, listed))
    return found


def taught(
    rng: random.Random, windows: Iterable[Window], begin: float, days: int, users: float
) -> tuple[Session, ...]:
    """Return a background and the students of classes, by arrival."""
    sessions = background(rng, users, begin, days)
    for window in windows:
        sessions += course(rng, window)
    return tuple(sorted(sessions, key=lambda s: s.arrive))


def lesson(name: str, begin: float, hour: float, seats: int, length: float = 1.5) -> Window:
    """Return a class that starts `hour` hours after `begin`."""
    start = begin + hour * HOUR
    return Window(name, start, start + length * HOUR, seats)


WEDNESDAY = EPOCH + 2 * DAY


def _two_classes() -> tuple[Window, ...]:
    return (lesson("chem", WEDNESDAY, 10, 120), lesson("bio", WEDNESDAY, 14, 120))


def _day(
    name: str, rng: random.Random, windows: tuple[Window, ...], faults: Faults | None = None
) -> Workload:
    sessions = taught(rng, windows, WEDNESDAY, 1, 60)
    end, title = WEDNESDAY + DAY, WORKLOADS[name][0]
    return Workload(name, title, WEDNESDAY, end, sessions, windows, faults or Faults())


def _quiet(rng: random.Random, _seed: int) -> Workload:
    sessions = taught(rng, (), EPOCH, 7, 60)
    return Workload("W1", WORKLOADS["W1"][0], EPOCH, EPOCH + 7 * DAY, sessions)


def _announced(rng: random.Random, _seed: int) -> Workload:
    return _day("W2", rng, _two_classes())


def _prestarted(rng: random.Random, _seed: int) -> Workload:
    windows = tuple(replace(w, group=w.name) for w in _two_classes())
    day = _day("W2P", rng, windows)
    absent = []
    for window in windows:
        came = sum(s.course == window.name and s.listed for s in day.sessions)
        absent.append((window.name, window.seats - came))
    return replace(day, absent=tuple(absent))


def _unannounced(rng: random.Random, _seed: int) -> Workload:
    return replace(_day("W3", rng, _two_classes()), windows=())


def _exam(rng: random.Random, _seed: int) -> Workload:
    window = lesson("exam", WEDNESDAY, 9, 200, 2)
    sessions = background(rng, 60, WEDNESDAY, 1) + course(rng, window, 60, 1.0)
    ordered = tuple(sorted(sessions, key=lambda s: s.arrive))
    end, title = WEDNESDAY + DAY, WORKLOADS["W4"][0]
    return Workload("W4", title, WEDNESDAY, end, ordered, (window,), Faults(retry_s=5))


def _back_to_back(rng: random.Random, _seed: int) -> Workload:
    hours = (9, 10.5, 12, 14, 15.5)
    return _day("W5", rng, tuple(lesson(f"lab{h:g}", WEDNESDAY, h, 60) for h in hours))


def _semester(rng: random.Random, _seed: int) -> Workload:
    sessions = taught(rng, (), EPOCH, 7, 300)
    return Workload("W6", WORKLOADS["W6"][0], EPOCH, EPOCH + 7 * DAY, sessions)


def _reclaimed(rng: random.Random, _seed: int) -> Workload:
    times = ((10.75, 0.0), (14.75, 0.5))
    notices = tuple((WEDNESDAY + hour * HOUR, share) for hour, share in times)
    return _day("W7", rng, _two_classes(), Faults(reclaims=notices))


def _misled(rng: random.Random, seed: int) -> Workload:
    """A quarter of an hour late, as early, cancelled, or the second class missing, by seed."""
    first, second = _two_classes()
    late = replace(first, start=first.start + 900, end=first.end + 900)
    early = replace(first, start=first.start - 900, end=first.end - 900)
    ghost = lesson("ghost", WEDNESDAY, 12, 120)
    told = ((late, second), (early, second), (first, ghost, second), (first,))[seed % 4]
    return replace(_day("W8", rng, (first, second)), windows=told)


def _broken(rng: random.Random, _seed: int) -> Workload:
    at = WEDNESDAY + 9.8 * HOUR
    stale = (WEDNESDAY + 12 * HOUR, WEDNESDAY + 12.25 * HOUR)
    faults = Faults(boot_failures=0.05, no_capacity=((at, at + 600),), stale=(stale,))
    return _day("W9", rng, _two_classes(), faults)


WORKLOADS: dict[str, tuple[str, Callable[[random.Random, int], Workload]]] = {
    "W1": ("quiet week, 60 users a day", _quiet),
    "W2": ("two announced classes of 120", _announced),
    "W2P": ("the same, servers started ahead", _prestarted),
    "W3": ("the same two, announced by nobody", _unannounced),
    "W4": ("announced exam of 200, all in a minute, impatient", _exam),
    "W5": ("five classes of 60 back to back", _back_to_back),
    "W6": ("semester week, 300 users a day", _semester),
    "W7": ("two classes, spot reclaims", _reclaimed),
    "W8": ("the calendar is wrong", _misled),
    "W9": ("boot failures, no capacity, no data", _broken),
}
"""Titles and makers by name."""


def _length(rng: random.Random) -> float:
    share, low, below = rng.random() * 100, 0.0, 0.0
    for hours, upto in LENGTHS:
        if share <= upto:
            inside = (share - below) / (upto - below)
            return max(60.0, (low + inside * (hours - low)) * HOUR)
        low, below = float(hours), upto
    return LENGTHS[-1][0] * HOUR


def _poisson(rng: random.Random, mean: float) -> int:
    """Return a Poisson number by adding exponential gaps; exact, and fast enough for thousands."""
    count, total = 0, rng.expovariate(1.0)
    while total < mean:
        count, total = count + 1, total + rng.expovariate(1.0)
    return count
