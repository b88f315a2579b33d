"""What the autoscaler sees, remembers and decides, as data.

Times are POSIX seconds, durations seconds. `decide` takes an Observation and a Memory and returns a
Decision with the next Memory; nothing here acts or asks a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hubfleet.settings_autoscaler import Autoscaler
from hubfleet.settings_model import ControllerView


class NodeState(StrEnum):
    """What a worker is to the autoscaler; the fleet's and the Swarm's words together."""

    BOOTING = "booting"
    """The fleet has it, the Swarm does not yet."""
    ACTIVE = "active"
    """In the Swarm, ready, and takes new servers."""
    PAUSED = "paused"
    """In the Swarm with availability pause: its servers stay, new ones go elsewhere."""
    HELD = "held"
    """Paused by somebody else, a rollout or an administrator: nothing is done to it."""
    RECLAIMING = "reclaiming"
    """Under notice, or lost: the reaper has it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One worker. `id` is the fleet's instance id."""

    id: str
    state: NodeState
    seats: int
    used: int
    """Servers on it in any state before gone (assigned and preparing tasks too), plus promised."""
    launched_at: float
    pool: str = "default"
    promised: int = 0
    """Those of `used` that the spawner has promised to it and the Swarm has not placed yet."""
    protected: bool = True
    """The fleet will not end it by itself."""
    at_risk: bool = False
    """The fleet advises to leave it (a rebalance recommendation): it empties, and is replaced."""

    @property
    def free(self) -> int:
        """Seats that nobody has."""
        return max(0, self.seats - self.used)


@dataclass(frozen=True, slots=True)
class Window:
    """One class on one day. `group` names the JupyterHub group started ahead, "" for none."""

    name: str
    start: float
    end: float
    seats: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Members of a prestart group."""

    name: str
    size: int
    missing: int
    """Members without a server, running or starting."""
    unused: int = 0
    """Servers that were started ahead and that nobody has opened."""


@dataclass(frozen=True, slots=True)
class LaunchFailure:
    """A pool that gave no worker when asked."""

    pool: str
    at: float


@dataclass(frozen=True, slots=True)
class Freshness:
    """When each source was last read with success."""

    hub: float
    swarm: float
    fleet: float


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a decision may rest on, as of `at`; the last good value of what is stale."""

    at: float
    nodes: tuple[Node, ...]
    queued: int
    """Servers that are asked for and promised to no worker; each student counts once."""
    arrivals: tuple[float, ...]
    """When servers were asked for, ascending, each once; at least the last two hours."""
    read: Freshness
    windows: tuple[Window, ...] = ()
    groups: tuple[Group, ...] = ()
    ready_times: tuple[float, ...] = ()
    """Measured times to ready, the latest last."""
    failures: tuple[LaunchFailure, ...] = ()
    steady: str = ""
    """Why the fleet must not shrink now, empty where it may: a command works on all workers."""


@dataclass(frozen=True, slots=True)
class PoolTrouble:
    """A pool that has failed `failures` times in a row, last at `at`, and rests until `until`."""

    failures: int
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision hands to the next.

    A controller that lost it starts with `Memory()` and looks at all sources before it decides:
    holds begin anew, and of the day's hours only those of living workers are known.
    """

    seen_at: float | None = None
    ordered_at: float | None = None
    """When workers were ordered last: who has not seen the fleet since does not know of them."""
    surplus_since: float | None = None
    paused_since: Mapping[str, float] = field(default_factory=dict)
    """When a worker was first seen paused."""
    timed_out: frozenset[str] = frozenset()
    """Workers whose boot took too long, counted against their pool."""
    pools: Mapping[str, PoolTrouble] = field(default_factory=dict)
    day: int = -1
    """Days since 1970 that `node_seconds` belong to."""
    node_seconds: float = 0.0
    prestart_credit: float = 0.0
    """Servers that may be started ahead now."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Order `count` workers from `pool`."""

    count: int
    pool: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Let a worker take no new servers; those on it stay."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused worker take servers again."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """End exactly this worker. The one who acts reads its tasks once more, and refuses if any."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Protect:
    """Have the fleet never end this worker by itself."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prestart:
    """Start servers for `count` members of a group that have none."""

    group: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Stop the servers of a group that were started ahead and that nobody has opened."""

    group: str
    count: int
    reason: str


Action = Launch | Pause | Resume | Terminate | Protect | Prestart | Release


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers behind a decision, for its log line, metrics and the students' wait pages."""

    used: int
    queued: int
    free: int
    """Free seats on workers that take servers."""
    coming: int
    """Seats of booting workers."""
    headroom: int
    announced: int
    """Part of the headroom: students of classes who have not come yet."""
    rate: float
    """Unannounced arrivals per second."""
    ready_s: float
    """Time to ready that was reckoned with."""
    wanted: int
    """Workers wanted in all, before the limits."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. The order of acting: publish `placement`, then `actions` as they stand."""

    actions: tuple[Action, ...]
    memory: Memory
    placement: tuple[str, ...]
    """Workers that servers may be promised to, in this order (First Fit); no other may get one."""
    figures: Figures
    notes: tuple[str, ...] = ()
    """Why something was not done: stale data, limits, pools without capacity."""


@dataclass(frozen=True)
class Rules:
    """The settings that decisions follow."""

    minimum: int
    maximum: int
    seats: int
    """Of one worker."""
    scaling: Autoscaler


def rules_of(settings: ControllerView) -> Rules:
    """Return the rules of an environment."""
    workers = settings.fleet.workers
    return Rules(workers.min, workers.max, workers.seats, settings.autoscaler)
