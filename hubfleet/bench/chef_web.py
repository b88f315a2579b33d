"""The embedded API behind one web server after the other, under the same load."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hubfleet.bench import chef
from hubfleet.bench.chef_load import Load
from hubfleet.bench.chef_servers import HUB, WORKER, embedded, node_of
from hubfleet.bench.report import Figure
from hubfleet.console import Console

SERVERS = ("puma-1", "puma-2", "puma-4", "puma-8", "puma-16", "webrick")
"""As chef_web.rb names them: Puma by its threads. Several processes are none of the choices: the
server's lock and its memory of writes belong to one."""

ROUNDS = 2
"""Each server's better one counts: what else the machine does disturbs, and never helps."""

SERVICE_MS = 3.0
"""CPU time of a call: 290 calls a second of this are most of a core."""

FLEET = chef.Fleet(nodes=100, clients=0, seconds=20.0)
"""Three times as many calls a second as the target asks for, so that the servers differ."""


def compare(console: Console) -> list[Figure]:
    """Measure and return three figures of each web server; nothing stays behind.

    Raises PreconditionError where a policy's lock is stale, CommandError where a server does not
    start.
    """
    console.plan(2 * ROUNDS * len(SERVERS))
    loads: dict[str, list[Load]] = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory(prefix="hubfleet-bench-", dir=chef.SCRATCH) as scratch:
        node: dict[str, Any] | None = None
        for number in range(ROUNDS):
            for name in SERVERS:
                directory = Path(scratch) / f"{name}-{number}"
                with embedded(directory, name) as site:
                    with console.stage(f"{name}: policies, clients and their keys"):
                        site.publish((HUB, WORKER), directory)
                        node = node or node_of(site, site.client("first", directory / "first"))
                        members = FLEET.members(site)
                    loads[name].append(chef.run(console, FLEET, site, members, node, directory))
    return [figure for name, rounds in loads.items() for figure in figures(name, rounds)]


def figures(name: str, rounds: Sequence[Load]) -> list[Figure]:
    """Return the figures of a web server from its rounds. Pure."""
    p95_ms = min(load.percentile_ms(0.95) for load in rounds)
    failures = sum(len(load.problems) for load in rounds)
    return [
        Figure.at_most(f"chef.{name}.failures", failures, "", 0),
        Figure.at_most(f"chef.{name}.p95_ms", p95_ms, "ms", chef.P95_MS),
        Figure.at_most(
            f"chef.{name}.service_ms", min(load.service_ms for load in rounds), "ms", SERVICE_MS
        ),
    ]
