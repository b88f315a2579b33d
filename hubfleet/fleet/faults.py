"""What can be made to go wrong with the local fleet, in words and deeds: drills for operators."""

from collections.abc import Callable
from dataclasses import dataclass

from hubfleet.clients.fleet_local import FleetService
from hubfleet.errors import UsageError, nearest
from hubfleet.fleet.service_container import connect

__all__ = ["KINDS", "Fault", "connect", "fault"]

KINDS = ("spot", "rebalance", "kill", "boot-failure", "no-capacity", "message")

ON_A_WORKER = ("spot", "rebalance", "kill")


@dataclass(frozen=True)
class Fault:
    """One fault. `ends` says that servers are lost by it."""

    words: str
    act: Callable[[FleetService], object]
    ends: bool = False


def fault(kind: str, node: str, pool: str, seconds: int, count: int, body: str) -> Fault:
    """Return the fault that the options mean; raise UsageError where they mean none."""
    if kind not in KINDS:
        raise UsageError(f"no fault is named {kind!r}{nearest(kind, KINDS)}", ", ".join(KINDS))
    if kind in ON_A_WORKER and not node:
        raise UsageError(f"{kind} needs a worker", "list them: ./invoke fleet.list")
    if kind == "message" and not body:
        raise UsageError("a message needs a body", "--body TEXT")
    return {
        "spot": Fault(f"{node} gets a spot notice and ends in 120 s", lambda s: s.spot(node)),
        "rebalance": Fault(f"{node} gets a rebalance advice", lambda s: s.rebalance(node)),
        "kill": Fault(f"{node} dies as in a power cut", lambda s: s.kill(node), ends=True),
        "boot-failure": Fault(
            f"the next {count} workers never answer", lambda s: s.fail_boots(count)
        ),
        "no-capacity": Fault(
            f"pool {pool} has no machine for {seconds} s", lambda s: s.run_dry(pool, seconds)
        ),
        "message": Fault("a message is put into the queue", lambda s: s.put(body)),
    }[kind]
