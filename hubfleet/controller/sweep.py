"""What no message told: remains of workers that are gone, and workers that have died on their feet.

A sweep is slow and small on purpose. It believes nothing that was not so for a while, opens few
cases at a time, and none where the fleet's own answer looks wrong. Times are POSIX seconds.
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

MOST = 2
"""Cases that one sweep opens at most."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")


class ChefList(Protocol):
    """What a sweep asks of the Chef server."""

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> Sequence[Mapping[str, object]]:
        """Return the rows that match."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A worker that should not be what it is."""

    instance_id: str
    kind: Kind
    """GONE: its remains; HEALTH: the fleet has it, and the Swarm has lost it."""


def suspects(world: World, chef_nodes: Iterable[str], busy: Iterable[str]) -> list[Suspect]:
    """Return what disagrees now, without those that are being dealt with. Pure.

    An empty list of workers beside a Swarm that has some is no answer to act on.
    """
    alive = {worker.id for worker in world.workers}
    members = {n.hostname: n for n in world.nodes if n.role == "worker"}
    if not alive and any(node.state == "ready" for node in members.values()):
        return []
    dealt = set(busy)
    remains = sorted((set(members) | set(chef_nodes)) - alive - dealt)
    found = [Suspect(name, Kind.GONE) for name in remains if INSTANCE_ID.fullmatch(name)]
    lost = (
        name
        for name in sorted(set(members) & alive - dealt)
        if (node := world.node_of(name)) is not None and node.state != "ready"
    )
    return found + [Suspect(name, Kind.HEALTH) for name in lost]


class Sweeper:
    """Looks every EVERY_S, and opens cases for what has disagreed for SETTLED_S."""

    def __init__(self, chef: ChefList, away: Callable[[str, HubfleetError], None]) -> None:
        self._chef, self._away = chef, away
        self._looked_at = 0.0
        self._since: dict[Suspect, float] = {}

    def look(self, world: World, busy: Iterable[str], now: float) -> list[Event]:
        """Return the cases to open now."""
        if now - self._looked_at < EVERY_S or now - world.read.get("fleet", 0.0) > EVERY_S:
            return []
        self._looked_at = now
        try:
            rows = self._chef.search("node", "policy_name:swarm_worker", {"name": ["name"]})
        except HubfleetError as error:
            self._away("chef", error)
            rows = []
        found = suspects(world, (str(row["name"]) for row in rows), busy)
        self._since = {each: self._since.get(each, now) for each in found}
        ripe = [each for each in found if now - self._since[each] >= SETTLED_S]
        return [Event(each.kind, each.instance_id, now) for each in ripe[:MOST]]
