"""What the simulated world is made of: its constants, workers, servers, accounts."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hubfleet.controller.model import NodeState
from hubfleet.simulator.workload import Session

if TYPE_CHECKING:
    from hubfleet.simulator.world import World

START_S = 3.0
"""From the promise of a seat to the server's answer."""

OPEN_S = 0.4
"""From the click to the page of a server that runs already (assumed)."""

NOTICE_S = 120.0
"""A spot notice comes so long before the end."""

SHORTEST_BILL_S = 60.0


@dataclass(frozen=True)
class Setting:
    """What the world is like, whatever the policy."""

    seats: int = 12
    ready_p95_s: float = 90.0
    minimum: int = 1
    maximum: int = 40
    starts_at_once: int = 20
    """Servers that start at the same time; the others stand in line."""


@dataclass(eq=False)
class Worker:
    """One worker. `servers` are those running, starting or promised."""

    id: str
    seats: int
    ordered_at: float
    state: NodeState = NodeState.BOOTING
    ready_at: float = math.inf
    servers: "set[Server]" = field(default_factory=set)

    @property
    def free(self) -> int:
        """Seats that nobody has."""
        return max(0, self.seats - len(self.servers))


@dataclass(eq=False)
class Server:
    """One student's server, from the wish on."""

    session: Session
    asked: float
    worker: Worker | None = None
    process: Any = None
    unused: bool = False
    """Started ahead, and not opened yet."""
    started: bool = False
    leave: float = 0.0
    """When it ends; 0 until it has started once."""


@dataclass
class Accounts:
    """What happened."""

    waits: list[tuple[str, float]] = field(default_factory=list)
    """Kind ("background", "class", "listed") and seconds."""
    killed: int = 0
    """Servers that a decision of the policy ended."""
    reclaimed: int = 0
    """Servers that ended with a spot reclaim."""
    node_seconds: float = 0.0
    launches: int = 0
    densest: int = 0
    """Most servers on one worker."""
    retries: int = 0
    unserved: int = 0
    series: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    """Time, servers, seats ready, seats booting, students waiting."""


class Policy(Protocol):
    """What decides about workers."""

    heartbeat: float
    """Seconds between two looks."""
    reacts: bool
    """Also looks when something has happened."""

    def begin(self, world: "World") -> None:
        """Order what is there when the day begins."""

    def step(self, world: "World") -> None:
        """Look, and give orders."""

    def choose(self, world: "World") -> Worker | None:
        """Return the worker that the next student gets a seat on."""
