"""The node containers that are workers of one deployment: nothing else is ever touched from here.

Launches and ends are those of `LocalFleet`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hubfleet.clients import engine_service
from hubfleet.clients.engine import ContainerSpec
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Role, State
from hubfleet.fleet.local import INSTANCE_LABEL, ROLE_LABEL, STATES, LocalFleet
from hubfleet.settings import Settings
from hubfleet.state import Deployment

HANG = ["sleep", "infinity"]
"""What a machine runs whose boot is to fail: it is up, and nothing of it ever answers."""


class NotAWorker(HubfleetError):
    """A machine of this deployment that the service may not touch."""


@dataclass(frozen=True)
class Machine:
    """A worker's container. `launched_at` is in POSIX seconds."""

    id: str
    status: str
    """In the engine's words."""
    launched_at: float
    address: str

    @property
    def state(self) -> State:
        """In the fleet's words."""
        return STATES.get(self.status, State.STOPPED)


class Machines(LocalFleet):
    """The workers of a deployment as containers."""

    def __init__(
        self,
        deployment: Deployment,
        settings: Settings,
        image: str,
        capabilities: Sequence[str],
    ) -> None:
        super().__init__(deployment, settings, image)
        self._capabilities = capabilities
        self._hang = False

    def workers(self) -> Mapping[str, Machine]:
        """Return the workers by their ids, in the order of their launch."""
        return {
            machine.id: machine
            for role, machine in self._glance()
            if role == Role.SWARM_WORKER.value
        }

    def launch_worker(self, hang: bool = False) -> str:
        """Start one worker and return its id; with `hang` its boot fails."""
        self._hang = hang
        try:
            return self.launch(Role.SWARM_WORKER, 1)[0].id
        finally:
            self._hang = False

    def end(self, instance_id: str) -> None:
        """End a worker and remove what belongs to it; one that is gone is no error.

        Raises NotAWorker for any other machine.
        """
        self.require_worker(instance_id)
        self.terminate(instance_id)

    def kill(self, instance_id: str) -> None:
        """Let a worker die as in a power cut; raise NotAWorker for any other machine."""
        self.require_worker(instance_id)
        engine_service.kill(self._name(instance_id))

    def require_worker(self, instance_id: str) -> None:
        """Raise NotAWorker where the id is that of a machine with another role."""
        for role, machine in self._glance():
            if machine.id == instance_id and role != Role.SWARM_WORKER.value:
                raise NotAWorker(f"{instance_id} is no worker but a {role}")

    def spec(
        self,
        role: Role,
        instance_id: str,
        address: str,
        cgroup_version: int,
        capabilities: Sequence[str],
    ) -> ContainerSpec:
        """Return the container of a node.

        `capabilities` would be those of the service's own container, which has none; they are the
        operator's instead.
        """
        made = super().spec(role, instance_id, address, cgroup_version, self._capabilities)
        return replace(made, command=HANG) if self._hang else made

    def _glance(self) -> list[tuple[str, Machine]]:
        return [
            (
                each.labels.get(ROLE_LABEL, ""),
                Machine(each.labels[INSTANCE_LABEL], each.status, each.created_at, each.address),
            )
            for each in engine_service.glance(self.label, self.deployment.network)
            if INSTANCE_LABEL in each.labels
        ]
