"""A fleet that converges within a minute, on the embedded Chef server and on plain chef-zero."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hubfleet.bench import chef_load, chef_memory
from hubfleet.bench.chef_load import Arrival, Load
from hubfleet.bench.chef_memory import Memory
from hubfleet.bench.chef_plan import Member, arrivals, names
from hubfleet.bench.chef_servers import HUB, WORKER, Site, chef_zero, embedded, node_of
from hubfleet.bench.report import Figure
from hubfleet.console import Console

NODES = 100
CLIENTS = 10
SECONDS = 60.0
"""Over which the nodes' starts are spread."""

P95_MS = 250.0
RATIO = 1.5
RESIDENT_MB = 256.0
GROWTH_MB = 32.0
PROBLEMS = 10
"""That are shown, of each load."""

SCRATCH = "/var/tmp"
"""On a disk, as a server's data are: /tmp may be memory, where syncing costs nothing."""


@dataclass(frozen=True)
class Fleet:
    """Who comes: replayed nodes, of which the first is a hub, and real chef-clients."""

    nodes: int = NODES
    clients: int = CLIENTS
    seconds: float = SECONDS

    def members(self, site: Site) -> list[Member]:
        """Return the replayed nodes, whose clients are made."""
        hub, worker = site.policy(HUB), site.policy(WORKER)
        return [
            Member(site.signer(name), worker if number else hub)
            for number, name in enumerate(names(self.nodes))
        ]

    def real(self, site: Site, directory: Path) -> list[Arrival]:
        """Return the real chef-clients, evenly spread: they are not to meet on this machine."""
        return [
            Arrival(
                self.seconds * number / self.clients,
                site.client(f"real-{number}", directory / f"real-{number}"),
            )
            for number in range(self.clients)
        ]


def bench(console: Console, fleet: Fleet, saves: int) -> list[Figure]:
    """Measure and return the figures; nothing stays behind.

    Raises PreconditionError where a policy's lock is stale, CommandError where a server does not
    start or refuses a policy, HubfleetError where a node save is refused.
    """
    console.plan(5)
    with tempfile.TemporaryDirectory(prefix="hubfleet-bench-", dir=SCRATCH) as scratch:
        ours, zero = Path(scratch) / "embedded", Path(scratch) / "chef-zero"
        with embedded(ours) as site:
            with console.stage("embedded server: policies, clients and their keys"):
                site.publish((HUB, WORKER), ours)
                node = node_of(site, site.client("first", ours / "first"))
                members = fleet.members(site)
            found = run(console, fleet, site, members, node, ours)
            with console.stage(f"{saves} node saves"):
                memory = chef_memory.measure(site, members, node, saves)
        with chef_zero(zero) as site:
            with console.stage("chef-zero: policies"):
                site.publish((HUB, WORKER), zero)
                members = fleet.members(site)
            stock = run(console, fleet, site, members, node, zero)
    return figures(found, stock, memory)


def figures(ours: Load, stock: Load, memory: Memory) -> list[Figure]:
    """Return the figures of a load on the embedded server and on chef-zero. Pure."""
    return [
        Figure.at_most("chef.failures", len(ours.problems), "", 0, len(stock.problems)),
        Figure.at_most("chef.calls", len(ours.samples), "", ours.planned, len(stock.samples)),
        Figure.at_most(
            "chef.p95_ms", ours.percentile_ms(0.95), "ms", P95_MS, stock.percentile_ms(0.95)
        ),
        Figure.at_most("chef.ratio_zero", ours.service_ms / stock.service_ms, "", RATIO),
        Figure.at_most("chef.resident_mb", memory.end_mb, "MiB", RESIDENT_MB),
        Figure.at_most("chef.growth_mb", memory.growth_mb, "MiB", GROWTH_MB),
    ]


def run(
    console: Console,
    fleet: Fleet,
    site: Site,
    members: Sequence[Member],
    node: dict[str, Any],
    directory: Path,
) -> Load:
    """Run the load, and say what it was."""
    waits = arrivals([member.signer.name for member in members], fleet.seconds)
    start = datetime.now(UTC)
    coming = fleet.real(site, directory) + [
        Arrival(wait, member.converge(node, start + timedelta(seconds=wait)))
        for member, wait in zip(members, waits.values(), strict=True)
    ]
    with console.stage(f"{len(members)} nodes and {fleet.clients} chef-clients"):
        load = chef_load.run(site.server, coming)
    console.say(load.words)
    for problem in load.problems[:PROBLEMS]:
        console.warn(problem)
    return load
