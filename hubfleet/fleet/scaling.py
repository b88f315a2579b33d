"""What the controller needs of a fleet: workers, orders, ends, and the messages about them.

Messages have the shape of AWS's on both back ends, so that one parser table reads them
(`hubfleet.controller.events`). Times are POSIX seconds. All methods block; the controller calls
them in threads.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from hubfleet.errors import CommandError
from hubfleet.fleet.base import State


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker as the fleet knows it; ended ones are not listed. `id` is the instance id."""

    id: str
    state: State
    launched_at: float
    """When it was ordered."""
    running_at: float | None = None
    """When it was first seen to run, None while the fleet does not know."""
    address: str = ""
    pool: str = "default"
    protected: bool = True
    """The fleet does not end it by itself."""
    leaving: bool = False
    """The fleet is about to end it: its termination has begun, or waits for a lifecycle hook."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An order that a pool could not fill, for want of capacity or for another reason."""

    pool: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the queue. It comes again unless it is acknowledged."""

    id: str
    receipt: str
    """What acknowledges this delivery."""
    body: str
    """JSON, as AWS writes it."""
    receives: int = 1
    """How often it was delivered, this time included."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A termination that waits for its lifecycle hook, as AWS names its parts."""

    group: str
    name: str
    token: str
    instance_id: str


class NoCapacity(CommandError):
    """A pool that has no machine to give now."""


class ScalingFleet(ABC):
    """The workers of one deployment, as the controller handles them.

    Methods raise CommandError where the fleet cannot be asked or refuses.
    """

    @abstractmethod
    def workers(self) -> Sequence[Worker]:
        """Return the living workers, those being ended among them, in the order of their launch."""

    @abstractmethod
    def launch(self, count: int, pool: str) -> None:
        """Order `count` more workers of a pool.

        Raises NoCapacity where the pool says at once that it has none; other pools say it later, in
        `failures`.
        """

    @abstractmethod
    def failures(self) -> Sequence[Failure]:
        """Return the orders of the last hour that were not filled, the oldest first."""

    @abstractmethod
    def protect(self, instance_id: str) -> None:
        """Have the fleet never end this worker by itself."""

    @abstractmethod
    def terminate(self, instance_id: str) -> None:
        """End exactly this worker, and let no other replace it; one that is gone is no error.

        A fleet with a lifecycle hook sends the message of the hook first, and ends the machine when
        `complete` was called or its time is over.
        """

    @abstractmethod
    def standing(self, instance_id: str) -> Worker | None:
        """Return what the fleet itself says of a worker now, None where it is gone or not ours.

        Messages can be forged; nothing is done to a machine before this has confirmed it.
        """

    @abstractmethod
    def receive(self, wait_s: int) -> Sequence[Message]:
        """Return the messages that are there, or come within `wait_s` seconds; at most ten."""

    @abstractmethod
    def acknowledge(self, message: Message) -> None:
        """Delete a message from the queue."""

    @abstractmethod
    def hide(self, message: Message, seconds: int) -> None:
        """Have a message come again only after so many seconds."""

    @abstractmethod
    def heartbeat(self, hook: Hook) -> None:
        """Have the fleet wait on; a hook that is over is no error."""

    @abstractmethod
    def complete(self, hook: Hook) -> None:
        """Let the termination go on; a hook that is over is no error."""
