"""The machines of a deployment, each worker with the phases of its birth."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubfleet import policy
from hubfleet.controller.births import durations, stamps_of
from hubfleet.controller.report import Phase
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role
from hubfleet.fleet.scaling import Worker
from hubfleet.state import Deployment


@dataclass(frozen=True)
class Machine:
    """One machine; `phases`: seconds of each phase of a worker's birth that is over."""

    instance: Instance
    phases: Mapping[Phase, float]

    @property
    def ready_s(self) -> float | None:
        """From the order to the Swarm, in seconds; None where it is not there or not known."""
        return sum(self.phases.values()) if Phase.JOINING in self.phases else None

    @property
    def words(self) -> str:
        """The phases in words, such as `converging 9, pulling 21`; whole seconds."""
        return ", ".join(f"{phase.value} {seconds:.0f}" for phase, seconds in self.phases.items())

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        phases = {phase.value: round(seconds, 1) for phase, seconds in self.phases.items()}
        return {**asdict(self.instance), "phases_s": phases, "ready_s": self.ready_s}


def machines(deployment: Deployment, fleet: Fleet) -> Sequence[Machine]:
    """Return all machines. Without a Chef server that answers, the births are not known."""
    try:
        stamps = stamps_of(policy.connect(deployment), deployment.environment)
    except HubfleetError:
        stamps = {}
    return [Machine(i, _phases(i, stamps.get(i.id, {}))) for i in fleet.list()]


def _phases(instance: Instance, stamps: Mapping[Phase, float]) -> Mapping[Phase, float]:
    if instance.role is not Role.SWARM_WORKER or not stamps:
        return {}
    ordered_at = instance.launched_at.timestamp()
    return durations(Worker(instance.id, instance.state, ordered_at), stamps)
