"""The local fleet as the controller handles it: `ScalingFleet` over the fleet service's calls."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hubfleet.clients.fleet_local import LAUNCH_TIMEOUT_S, TIMEOUT_S, FleetService, ServiceRefusal
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Failure, Hook, Message, NoCapacity, ScalingFleet, Worker

WAIT_MOST_S = 20
"""The service answers a `receive` after that at the latest."""

GONE = 404


class LocalScaling(ScalingFleet):
    """The workers of a deployment on one machine, through its fleet service."""

    def __init__(self, service: FleetService) -> None:
        self._service = service

    def workers(self) -> Sequence[Worker]:
        """Return the living workers, those being ended among them, in the order of their launch."""
        return [_worker(row) for row in self._service.call("workers")]

    def launch(self, count: int, pool: str) -> None:
        """Order `count` more workers of a pool; NoCapacity where it has none."""
        try:
            self._service.call("launch", LAUNCH_TIMEOUT_S, count=count, pool=pool)
        except ServiceRefusal as error:
            if error.kind == NoCapacity.__name__:
                raise NoCapacity(error.message, error.hint) from error
            raise

    def failures(self) -> Sequence[Failure]:
        """Return the orders of the last hour that were not filled, the oldest first."""
        return [Failure(**row) for row in self._service.call("failures")]

    def protect(self, instance_id: str) -> None:
        """Have the fleet never end this worker by itself."""
        self._service.call("protect", instance_id=instance_id)

    def terminate(self, instance_id: str) -> None:
        """Begin the end of exactly this worker; one that is gone is no error."""
        self._unless_gone("terminate", instance_id)

    def standing(self, instance_id: str) -> Worker | None:
        """Return what the fleet itself says of a worker now, None where it is gone or not ours."""
        row = self._unless_gone("standing", instance_id)
        return _worker(row) if row else None

    def receive(self, wait_s: int) -> Sequence[Message]:
        """Return the messages that are there, or come within `wait_s` seconds; at most ten."""
        wait = min(max(0, wait_s), WAIT_MOST_S)
        rows = self._service.call("receive", TIMEOUT_S + wait, wait_s=wait)
        return [Message(**row) for row in rows]

    def acknowledge(self, message: Message) -> None:
        """Delete a message from the queue."""
        self._service.call("acknowledge", receipt=message.receipt)

    def hide(self, message: Message, seconds: int) -> None:
        """Have a message come again only after so many seconds."""
        self._service.call("hide", receipt=message.receipt, seconds=seconds)

    def heartbeat(self, hook: Hook) -> None:
        """Have the fleet wait on; a hook that is over is no error."""
        self._service.call("heartbeat", **asdict(hook))

    def complete(self, hook: Hook) -> None:
        """Let the termination go on; a hook that is over is no error."""
        self._service.call("complete", **asdict(hook))

    def _unless_gone(self, call: str, instance_id: str) -> Any:
        """Make a call about a worker; return None where the service knows none of that id."""
        try:
            return self._service.call(call, instance_id=instance_id)
        except ServiceRefusal as error:
            if error.status == GONE:
                return None
            raise


def _worker(row: Mapping[str, Any]) -> Worker:
    return Worker(**{**row, "state": State(row["state"])})
