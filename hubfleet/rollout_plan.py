"""Which node goes first, and which follow together: decisions of a rollout, without any effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubfleet.errors import UsageError
from hubfleet.fleet.base import Instance, Role
from hubfleet.holds import Hold

ORDER = (Role.SWARM_WORKER, Role.HUB, Role.CHEF_SERVER)
"""Workers first: there are several, and one can fail without the others. The Chef server last: all
others need it."""

QUARTER = 4
"""A batch is by default this part of the nodes that follow the canary."""


@dataclass(frozen=True)
class Node:
    """A running machine as a rollout sees it."""

    instance: Instance
    revision: str
    """Of its last converge; empty where it has none."""
    ok: bool
    """Whether that converge succeeded."""
    servers: int = 0
    """Students' servers on it."""
    hold: Hold | None = None

    @property
    def words(self) -> str:
        """Its role and id."""
        return f"{self.instance.role} {self.instance.id}"


@dataclass(frozen=True)
class Plan:
    """The order in which nodes converge; each batch at once."""

    canary: Node | None
    batches: Sequence[Sequence[Node]]

    @property
    def nodes(self) -> list[Node]:
        """All nodes that converge."""
        first = [self.canary] if self.canary else []
        return [*first, *(node for batch in self.batches for node in batch)]

    def words(self) -> list[str]:
        """Return the plan as lines for the user."""
        lines = [f"first, alone: {self.canary.words}"] if self.canary else []
        return lines + [f"then: {', '.join(node.words for node in b)}" for b in self.batches]


def outdated(nodes: Sequence[Node], wanted: Mapping[str, str]) -> list[Node]:
    """Return the nodes of `wanted` policies that have not converged well at the wanted revision."""
    return [
        node
        for node in nodes
        if (revision := wanted.get(node.instance.role)) is not None
        and (node.revision != revision or not node.ok)
    ]


def make_plan(todo: Sequence[Node], size: int | None = None) -> Plan:
    """Order the nodes that converge; `size`: nodes of one batch, at least 1.

    The canary is the worker with the fewest servers: the fewest students notice what goes wrong.
    Where no worker has anything to do, it is the hub: there is no other to try it on.
    """
    if size is not None and size < 1:
        raise UsageError("a batch has at least one node")
    ordered = sorted(
        todo, key=lambda n: (ORDER.index(n.instance.role), n.servers, n.instance.launched_at)
    )
    if not ordered:
        return Plan(None, [])
    canary, *rest = ordered
    count = size or max(1, len(rest) // QUARTER)
    batches: list[list[Node]] = []
    for role in ORDER:
        same = [node for node in rest if node.instance.role is role]
        batches += [same[start : start + count] for start in range(0, len(same), count)]
    return Plan(canary, batches)
