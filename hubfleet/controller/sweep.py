"""What no message told: remains of workers that are gone, and workers that have died on their feet.

A sweep is slow and small on purpose. It believes nothing that was not so for a while, opens few
cases at a time, and none where the answers look wrong. Times are POSIX seconds.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hubfleet.controller.events import Event, Kind
from hubfleet.controller.observe import World
from hubfleet.errors import HubfleetError

EVERY_S = 30.0

SETTLED_S = 90.0
"""What disagrees for so long is no race between two looks."""

CLIENT_S = 3600.0
"""The same for a Chef client without a node: so long no machine takes to its first converge."""

MOST = 2
"""Cases that one sweep opens at most; lost workers at once that are not too many to believe."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")


class ChefList(Protocol):
    """What a sweep asks of the Chef server."""

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> Sequence[Mapping[str, object]]:
        """Return the rows that match."""

    def nodes(self) -> Sequence[str]:
        """Return the names of all nodes."""

    def clients(self) -> Sequence[str]:
        """Return the names of all clients."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A worker that should not be what it is."""

    instance_id: str
    kind: Kind
    """GONE: its remains; HEALTH: the fleet has it, and the Swarm has lost it."""
    settled_s: float = SETTLED_S
    """It is believed when it was so for so long."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep has found: cases to open, and workers that are left alone for now."""

    events: Sequence[Event] = ()
    held: Sequence[str] = ()
    why: str = ""


def suspects(
    world: World, chef_nodes: Iterable[str], chef_clients: Iterable[str], busy: Iterable[str]
) -> list[Suspect]:
    """Return what disagrees now, without those that are being dealt with. Pure.

    `chef_nodes` are the workers', `chef_clients` those without a node. Beside an empty list of
    workers everything would be a remain: that is no answer to act on.
    """
    alive = {worker.id for worker in world.workers}
    if not alive:
        return []
    members = {n.hostname for n in world.nodes if n.role == "worker"}
    taken = alive | set(busy) | {n.hostname for n in world.nodes if n.role != "worker"}
    remains = (members | set(chef_nodes)) - taken
    found = [Suspect(name, Kind.GONE) for name in sorted(remains)]
    strays = sorted(set(chef_clients) - remains - taken)
    found += [Suspect(name, Kind.GONE, CLIENT_S) for name in strays]
    lost = (
        name
        for name in sorted(members & alive - set(busy))
        if (node := world.node_of(name)) is not None and node.state != "ready"
    )
    found += [Suspect(name, Kind.HEALTH) for name in lost]
    return [each for each in found if INSTANCE_ID.fullmatch(each.instance_id)]


def believed(ripe: Sequence[Suspect], workers: int, now: float) -> Found:
    """Return which of those that are old enough become cases now. Pure.

    Where the Swarm has lost more than half of the workers at once it is the manager that is cut
    off, and the students' servers run on.
    """
    lost = [each.instance_id for each in ripe if each.kind is Kind.HEALTH]
    why = f"a sweep opens {MOST} cases at most"
    chosen = list(ripe)
    if len(lost) > max(MOST, workers // 2):
        why = f"the Swarm has lost {len(lost)} of {workers} workers at once: that is its manager"
        chosen = [each for each in ripe if each.kind is not Kind.HEALTH]
    events = [Event(each.kind, each.instance_id, now) for each in chosen[:MOST]]
    opened = {event.instance_id for event in events}
    held = [each.instance_id for each in ripe if each.instance_id not in opened]
    return Found(events, held, why if held else "")


class Sweeper:
    """Looks every EVERY_S, and opens cases for what has disagreed for a while."""

    def __init__(
        self, chef: ChefList, group: str, away: Callable[[str, HubfleetError], None]
    ) -> None:
        self._chef, self._away = chef, away
        # Another group's workers are another deployment's.
        self._query = f"policy_group:{group} AND policy_name:swarm_worker"
        self._looked_at = 0.0
        self._since: dict[Suspect, float] = {}

    def look(self, world: World, busy: Iterable[str], now: float) -> Found:
        """Return the cases to open now; none where fleet or Swarm have just not answered."""
        fresh = all(world.read.get(source, 0.0) >= now for source in ("fleet", "swarm"))
        if now - self._looked_at < EVERY_S or not fresh:
            return Found()
        self._looked_at = now
        nodes, clients = self._chef_side()
        found = suspects(world, nodes, clients, busy)
        self._since = {each: self._since.get(each, now) for each in found}
        ripe = [each for each in found if now - self._since[each] >= each.settled_s]
        return believed(ripe, len(world.workers), now)

    def _chef_side(self) -> tuple[list[str], set[str]]:
        """Return the workers' nodes, and the clients that have none; neither where it is away."""
        try:
            rows = self._chef.search("node", self._query, {"name": ["name"]})
            # The clients first: one whose node is saved in between is no stray.
            clients = set(self._chef.clients())
            return [str(row["name"]) for row in rows], clients - set(self._chef.nodes())
        except HubfleetError as error:
            self._away("chef", error)
            return [], set()
