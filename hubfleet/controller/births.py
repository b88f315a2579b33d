"""How far the births of workers are, and when they will take students.

A worker stamps its phases into its node object on the Chef server (cookbook node_base, resource
birth_phase); order and start are the fleet's. Times are POSIX seconds, durations seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hubfleet.controller.headroom import LATEST
from hubfleet.controller.report import Phase
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker

EVERY_S = 2.0
"""The Chef server is asked so often, while a worker is on its way."""

MOST = 1e11
"""No moment of a birth is later; a worker may write what it likes."""

STAMPS = (Phase.CONVERGING, Phase.PULLING, Phase.JOINING)
"""What a worker stamps, in its order."""


class ChefSearch(Protocol):
    """What is asked of the Chef server."""

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows that match."""


def stamps_of(chef: ChefSearch, group: str) -> dict[str, dict[Phase, float]]:
    """Return the stamps of every worker of a policy group, by instance id."""
    keys = {"name": ["name"], "birth": ["hubfleet", "birth"]}
    rows = chef.search("node", f"policy_group:{group} AND policy_name:swarm_worker", keys)
    return {str(row["name"]): _stamps(row.get("birth")) for row in rows}


def phase_of(worker: Worker, stamps: Mapping[Phase, float] | None) -> Phase:
    """Return the phase of a worker that is not in the Swarm; None: Chef does not know it yet."""
    if worker.state is State.PENDING:
        return Phase.ORDERED
    return next((phase for phase in reversed(STAMPS) if phase in (stamps or {})), Phase.BOOTING)


def durations(worker: Worker, stamps: Mapping[Phase, float]) -> dict[Phase, float]:
    """Return how long each phase took that has ended; a phase ends where the next one begins."""
    moments = {Phase.ORDERED: worker.launched_at}
    if worker.running_at is not None:
        moments[Phase.BOOTING] = worker.running_at
    moments |= dict(stamps)
    known = [(phase, moments[phase]) for phase in Phase if phase in moments]
    return {
        phase: max(0.0, end - begin)
        for (phase, begin), (_, end) in zip(known, known[1:], strict=False)
    }


def expected(worker: Worker, measured: Sequence[float], prior_s: float, now: float) -> float | None:
    """Return when a worker will be ready: half of the latest were not later; None if overdue."""
    latest = sorted(measured[-LATEST:])
    typical = latest[len(latest) // 2] if latest else prior_s
    at = worker.launched_at + typical
    return at if at > now else None


class Nursery:
    """Knows how far the workers are that are not in the Swarm yet."""

    def __init__(
        self,
        chef: ChefSearch,
        group: str,
        measured: Sequence[float],
        prior_s: float,
        away: Callable[[str, HubfleetError], None],
    ) -> None:
        self._chef, self._group, self._measured = chef, group, measured
        self._prior_s, self._away = prior_s, away
        self._read_at = 0.0
        self._stamps: dict[str, dict[Phase, float]] = {}

    def look(
        self, coming: Mapping[str, Worker], now: float
    ) -> dict[str, tuple[Phase, float | None]]:
        """Return phase and expected readiness of each worker that is on its way."""
        if coming and now - self._read_at >= EVERY_S:
            self._read_at = now
            try:
                self._stamps = stamps_of(self._chef, self._group)
            except HubfleetError as error:
                self._away("chef", error)
        return {
            name: (
                phase_of(worker, self._stamps.get(name)),
                expected(worker, self._measured, self._prior_s, now),
            )
            for name, worker in coming.items()
        }


def _stamps(found: Any) -> dict[Phase, float]:
    """Read what a worker has stamped; whatever else it has written there is no stamp."""
    if not isinstance(found, dict):
        return {}
    names = {phase: phase.value for phase in STAMPS} | {Phase.READY: "joined"}
    return {
        phase: float(found[name])
        for phase, name in names.items()
        if type(found.get(name)) in {int, float} and 0 <= found[name] <= MOST
    }
