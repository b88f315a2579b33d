"""How much memory the server takes, and whether it takes ever more: node saves without end."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hubfleet.bench.chef_load import address_of
from hubfleet.bench.chef_plan import Member
from hubfleet.bench.chef_servers import Site
from hubfleet.clients.chef_load import Sender
from hubfleet.errors import HubfleetError

SAVES = 10_000
SENDERS = 4
"""Saves at a time: enough to keep the server busy without a break."""

WARM_SHARE = 0.1
"""Of all saves, those after which growth is measured: before, Ruby's heap is still filling."""


@dataclass(frozen=True)
class Memory:
    """MiB that the server occupied after the first saves, and after all."""

    warm_mb: float
    end_mb: float
    saves: int

    @property
    def growth_mb(self) -> float:
        """What the saves between added."""
        return self.end_mb - self.warm_mb


def measure(
    site: Site, members: Sequence[Member], node: dict[str, Any], saves: int = SAVES
) -> Memory:
    """Save the members' nodes, which are there, in turn, each time with other content.

    Raises HubfleetError where a save is refused.
    """
    warm = int(saves * WARM_SHARE)
    numbers = count(2)
    _save(site, members, node, numbers, warm)
    warm_mb = site.server.resident_mb()
    _save(site, members, node, numbers, saves - warm)
    return Memory(warm_mb, site.server.resident_mb(), saves)


def _save(
    site: Site, members: Sequence[Member], node: dict[str, Any], numbers: Iterator[int], saves: int
) -> None:
    address = address_of(site.server.url)
    left = iter(range(saves))
    guard = threading.Lock()
    problems: list[str] = []

    def work() -> None:
        with Sender(address) as sender:
            while not problems:
                with guard:
                    if next(left, None) is None:
                        return
                    number = next(numbers)
                call = members[number % len(members)].save(node, datetime.now(UTC), number)
                sample = sender.send(call, keep=True)
                if sample.problem:
                    problems.append(sample.problem)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise HubfleetError(f"a node was not saved: {problems[0]}")
