"""What the contract's tests need of a back end beside `ScalingFleet` itself."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hubfleet.fleet.scaling import Hook, Message, ScalingFleet, Worker

POOL = "default"

Value = TypeVar("Value")


class Backend(ABC):
    """A fleet under test. Times are in seconds, as short as the back end allows."""

    name: str
    scaling: ScalingFleet
    most: int
    """Workers that may live at once."""
    visibility_s: float
    heartbeat_s: float
    hook_most_s: float
    settle_s: float
    """An end takes no longer than that, once it is due."""
    lacks: frozenset[str] = frozenset()
    """What the stand-in for the back end cannot do; tests marked `needs` it are left out."""

    @abstractmethod
    def put(self, body: str) -> None:
        """Have a message arrive."""

    @abstractmethod
    def unprotected(self) -> str:
        """Start a worker that the fleet may end by itself, and return its id."""

    @abstractmethod
    def run_dry(self, pool: str, seconds: int) -> None:
        """Leave a pool without capacity; 0 ends that."""

    @abstractmethod
    def dead_letters(self) -> Sequence[str]:
        """Return the bodies of the messages that nobody could handle."""

    @abstractmethod
    def clear(self) -> None:
        """End all workers at once and empty the queue."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def launched(self, count: int = 1) -> list[Worker]:
        """Order workers and return them."""
        before = {worker.id for worker in self.scaling.workers()}
        self.scaling.launch(count, POOL)
        return self.until(
            lambda: [w for w in self.scaling.workers() if w.id not in before],
            lambda found: len(found) == count,
        )

    def until(self, look: Callable[[], Value], good: Callable[[Value], bool]) -> Value:
        """Look until it is good, for `settle_s` at most; return what was seen."""
        waited = 0.0
        while not good(seen := look()):
            assert waited < self.settle_s, f"after {waited:.0f} s it is still {seen}"
            self.advance(0.2)
            waited += 0.2
        return seen

    def messages(self, kind: str, count: int = 1) -> list[Message]:
        """Wait for so many messages of a detail type; all that comes is taken from the queue."""
        found: list[Message] = []
        waited = 0.0
        while len(found) < count:
            assert waited <= self.settle_s, f"{len(found)} of {count} messages {kind!r} came"
            for message in self.scaling.receive(1):
                self.scaling.acknowledge(message)
                found += [message] if kind_of(message) == kind else []
            waited += 1
        return found

    def hook(self, instance_id: str) -> Hook:
        """Wait for the message of a termination and return its hook."""
        (message,) = self.messages(LIFECYCLE)
        detail = json.loads(message.body)["detail"]
        assert detail["EC2InstanceId"] == instance_id
        return Hook(
            detail["AutoScalingGroupName"],
            detail["LifecycleHookName"],
            detail["LifecycleActionToken"],
            instance_id,
        )

    def await_end(self, instance_id: str) -> None:
        """Wait until a worker is no more."""
        self.until(lambda: self.scaling.standing(instance_id), lambda worker: worker is None)


LIFECYCLE = "EC2 Instance-terminate Lifecycle Action"
STATE_CHANGE = "EC2 Instance State-change Notification"
SPOT = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"


def kind_of(message: Message) -> str:
    """Return the detail type of a message; empty for what is none of AWS's."""
    try:
        document: Any = json.loads(message.body)
        return str(document["detail-type"])
    except (ValueError, KeyError, TypeError):
        return ""
