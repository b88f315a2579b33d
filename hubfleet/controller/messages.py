"""Read what a fleet's queue says: one small parser for each kind of message. Pure.

Shapes: EC2 Auto Scaling user guide, "Amazon EventBridge event reference" and "lifecycle hooks";
EC2 user guide, "Spot Instance interruption notices", "rebalance recommendations", "instance
state-change notification". A queue that hangs on SNS wraps each of them once more.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hubfleet.controller.events import Event, Kind
from hubfleet.errors import HubfleetError
from hubfleet.fleet.scaling import Hook

MOST_BYTES = 262_144
"""SQS takes no longer message."""

SPOT_NOTICE_S = 120.0
"""A spot instance is interrupted two minutes after its notice."""

HOOK_S = 120.0
"""Students are given so long when a worker is to end that still has servers."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

LEAVING_STATES = {"shutting-down", "terminated", "stopping", "stopped"}


@dataclass(frozen=True, slots=True)
class Skip:
    """A message that asks for nothing."""

    reason: str


class Poison(HubfleetError):
    """A message that cannot be read."""


Document = Mapping[str, Any]


def parse(body: str) -> Event | Skip:
    """Return what a message says; raise Poison where it cannot be read."""
    if len(body) > MOST_BYTES:
        raise Poison(f"the message is longer than {MOST_BYTES} bytes")
    document = _object(body, "the message")
    if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
        document = _object(document["Message"], "the message in it")
    if document.get("Event") == "autoscaling:TEST_NOTIFICATION":
        # {"Service": "AWS Auto Scaling", "Event": "autoscaling:TEST_NOTIFICATION", ...}
        return Skip("a test notification")
    if "LifecycleTransition" in document:
        return _lifecycle(document, _moment(document.get("Time")))
    parser = PARSERS.get(str(document.get("detail-type")))
    if parser is None:
        if "detail-type" in document or "Event" in document:
            return Skip(f"nothing is to be done for {document.get('detail-type', 'it')!r:.80}")
        raise Poison("the message is none of a fleet's")
    return parser(_mapping(document.get("detail")), _moment(document.get("time")))


def _lifecycle(detail: Document, at: float) -> Event | Skip:
    """Read a lifecycle action.

    {"LifecycleActionToken": "8708...", "AutoScalingGroupName": "hubfleet-workers",
    "LifecycleHookName": "terminating", "EC2InstanceId": "i-0598c7d356eba48d7",
    "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}.
    """
    if detail.get("LifecycleTransition") != TERMINATING:
        return Skip("a launch")
    instance_id = _instance(detail.get("EC2InstanceId"))
    hook = Hook(
        group=_text(detail, "AutoScalingGroupName"),
        name=_text(detail, "LifecycleHookName"),
        token=_text(detail, "LifecycleActionToken"),
        instance_id=instance_id,
    )
    return Event(Kind.TERMINATION, instance_id, at, at + HOOK_S, hook)


def _spot(detail: Document, at: float) -> Event | Skip:
    """Read {"instance-id": "i-0598c7d356eba48d7", "instance-action": "terminate"}."""
    instance_id = _instance(detail.get("instance-id"))
    return Event(Kind.SPOT, instance_id, at, at + SPOT_NOTICE_S)


def _rebalance(detail: Document, at: float) -> Event | Skip:
    """Read {"instance-id": "i-0598c7d356eba48d7"}."""
    return Event(Kind.REBALANCE, _instance(detail.get("instance-id")), at)


def _state(detail: Document, at: float) -> Event | Skip:
    """Read {"instance-id": "i-0598c7d356eba48d7", "state": "shutting-down"}."""
    state = _text(detail, "state")
    if state not in LEAVING_STATES:
        return Skip(f"a worker is {state:.40}")
    return Event(Kind.GONE, _instance(detail.get("instance-id")), at)


def _replaced(detail: Document, at: float) -> Event | Skip:
    """Read the end of a worker that the group has replaced.

    {"EC2InstanceId": "i-0598c7d356eba48d7", "StatusCode": "InProgress",
    "Cause": "... was taken out of service in response to an EC2 health check ..."}.
    """
    return Event(Kind.HEALTH, _instance(detail.get("EC2InstanceId")), at)


PARSERS: Mapping[str, Callable[[Document, float], Event | Skip]] = {
    "EC2 Instance-terminate Lifecycle Action": _lifecycle,
    "EC2 Instance-launch Lifecycle Action": _lifecycle,
    "EC2 Spot Instance Interruption Warning": _spot,
    "EC2 Instance Rebalance Recommendation": _rebalance,
    "EC2 Instance State-change Notification": _state,
    "EC2 Instance Terminate Successful": _replaced,
    "EC2 Instance Terminate Unsuccessful": _replaced,
}


def _object(text: str, what: str) -> Document:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Poison(f"{what} is no JSON") from error
    return _mapping(found)


def _mapping(found: Any) -> Document:
    if not isinstance(found, dict):
        raise Poison("the message holds no object where one belongs")
    return found


def _text(document: Document, key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str) or not found:
        raise Poison(f"the message has no {key}")
    return found


def _instance(found: Any) -> str:
    if not isinstance(found, str) or not INSTANCE_ID.fullmatch(found):
        raise Poison("the message names no instance")
    return found


def _moment(found: Any) -> float:
    try:
        return datetime.fromisoformat(str(found)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Poison("the message has no time") from error
