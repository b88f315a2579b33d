"""Read what a fleet's queue says: one small parser for each kind of message. Pure.

Whoever can write to the queue can write anything: what cannot be read is Poison, never another
error, and what it says is still to be confirmed (`hubfleet.controller.confirm`).

Shapes: EC2 Auto Scaling user guide, "Amazon EventBridge event reference" and "lifecycle hooks";
EC2 user guide, "Spot Instance interruption notices", "rebalance recommendations", "instance
state-change notification"; SNS developer guide, "message formats". Times are POSIX seconds.
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
"""No event of EventBridge is longer (EventBridge user guide, quotas)."""

SPOT_NOTICE_S = 120.0
"""A spot instance is interrupted two minutes after its notice."""

HOOK_S = 120.0
"""Students are given so long when a worker is to end that still has servers."""

EARLY_S = 300.0
"""A clock may be so much ahead of ours; a message from later on would never come due."""

SPOT_LATE_S = 900.0
"""So long after its deadline a spot notice is history: its worker is gone, or was never taken."""

OLD_S = 14 * 86_400.0
"""SQS keeps no message longer."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

LEAVING_STATES = frozenset({"shutting-down", "terminated", "stopping", "stopped"})


@dataclass(frozen=True, slots=True)
class Skip:
    """A message that asks for nothing, and why."""

    reason: str


class Poison(HubfleetError):
    """A message that cannot be read."""


Document = Mapping[str, Any]


def parse(body: str, now: float | None = None) -> Event | Skip:
    """Return what a message says; raise Poison where it cannot be read.

    With `now`, a message from the future is Poison, and one that is too old is skipped.
    """
    if len(body) > MOST_BYTES or len(body.encode(errors="surrogatepass")) > MOST_BYTES:
        raise Poison(f"the message is longer than {MOST_BYTES} bytes")
    document = _unwrapped(_object(body, "the message"))
    if "detail-type" in document:
        kind, source = document["detail-type"], document.get("source")
        if not isinstance(kind, str) or not isinstance(source, str):
            raise Poison("the event has no source or no type")
        parser = EVENTS.get((source, kind))
        detail, time = document.get("detail"), document.get("time")
    elif "LifecycleTransition" in document or "Event" in document:
        kind = document.get("Event", "a lifecycle action")
        parser = _lifecycle if "LifecycleTransition" in document else NOTICES.get(str(kind))
        detail, time = document, document.get("Time")
    else:
        raise Poison("the message is none of a fleet's")
    if parser is None:
        return Skip(f"nothing is to be done for {str(kind)[:80]!r}")
    return _timely(parser(_mapping(detail), _moment(time)), now)


def _unwrapped(document: Document) -> Document:
    r"""Return the message that SNS has wrapped; any other as it is.

    {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
     "TopicArn": "arn:aws:sns:...:hubfleet",
     "Message": "{\"Event\": \"autoscaling:TEST_NOTIFICATION\", ...}",
     "Timestamp": "2026-11-23T10:00:00.000Z", "SignatureVersion": "1", "Signature": "..."}
    """
    if document.get("Type") != "Notification":
        return document
    return _object(_text(document, "Message"), "the message that SNS wraps")


def _lifecycle(detail: Document, at: float) -> Event | Skip:
    """Read a lifecycle action; as a plain message of the hook itself, or as detail of an event.

    {"version": "0", "id": "468fe059-f4b7-445f-bb22-2a271b94974d",
     "detail-type": "EC2 Instance-terminate Lifecycle Action", "source": "aws.autoscaling",
     "account": "...", "time": "2026-11-23T10:00:00Z", "region": "...",
     "resources": ["arn:aws:autoscaling:...:autoScalingGroupName/hubfleet-production-workers"],
     "detail": {
       "LifecycleActionToken": "...",
       "AutoScalingGroupName": "hubfleet-production-workers", "LifecycleHookName": "emptied",
       "EC2InstanceId": "i-0598c7d356eba48d7",
       "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
       "Origin": "AutoScalingGroup", "Destination": "EC2"}}

    Plain: the same keys at the top, beside "Time": "2026-11-23T10:00:00.000Z", "AccountId",
    "RequestId" and "Service": "AWS Auto Scaling". A launch has the transition
    "autoscaling:EC2_INSTANCE_LAUNCHING".
    """
    if _text(detail, "LifecycleTransition") != TERMINATING:
        return Skip("a launch is for the new worker itself to complete")
    instance_id = _instance(detail, "EC2InstanceId")
    hook = Hook(
        group=_text(detail, "AutoScalingGroupName"),
        name=_text(detail, "LifecycleHookName"),
        token=_text(detail, "LifecycleActionToken"),
        instance_id=instance_id,
    )
    return Event(Kind.TERMINATION, instance_id, at, at + HOOK_S, hook)


def _spot(detail: Document, at: float) -> Event | Skip:
    """Read the spot market's notice. Its action may also be "stop" or "hibernate".

    {"version": "0", "id": "1e5527d7-bb36-4607-3370-4164db56a40e",
     "detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2",
     "account": "...", "time": "2026-11-23T10:00:00Z", "region": "...",
     "resources": ["arn:aws:ec2:...:instance/i-0598c7d356eba48d7"],
     "detail": {"instance-id": "i-0598c7d356eba48d7", "instance-action": "terminate"}}
    """
    return Event(Kind.SPOT, _instance(detail, "instance-id"), at, at + SPOT_NOTICE_S)


def _rebalance(detail: Document, at: float) -> Event | Skip:
    """Read the advice to leave a worker.

    {"version": "0", "id": "f2d5d3b2-0d0b-44a5-8f5c-8f2b1b8f7c11",
     "detail-type": "EC2 Instance Rebalance Recommendation", "source": "aws.ec2",
     "account": "...", "time": "2026-11-23T10:00:00Z", "region": "...",
     "resources": ["arn:aws:ec2:...:instance/i-0598c7d356eba48d7"],
     "detail": {"instance-id": "i-0598c7d356eba48d7"}}
    """
    return Event(Kind.REBALANCE, _instance(detail, "instance-id"), at)


def _state(detail: Document, at: float) -> Event | Skip:
    """Read a change of an instance's state.

    {"version": "0", "id": "ec7702ba-9ea5-4ba4-b9d5-9c4b0b5d2a4c",
     "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2",
     "account": "...", "time": "2026-11-23T10:00:00Z", "region": "...",
     "resources": ["arn:aws:ec2:...:instance/i-0598c7d356eba48d7"],
     "detail": {"instance-id": "i-0598c7d356eba48d7", "state": "shutting-down"}}
    """
    state, instance_id = _text(detail, "state"), _instance(detail, "instance-id")
    if state not in LEAVING_STATES:
        return Skip(f"a worker is {state[:40]!r}")
    return Event(Kind.GONE, instance_id, at)


def _replaced(detail: Document, at: float) -> Event | Skip:
    """Read the end of a worker by the group itself, as after a failed health check.

    {"version": "0", "id": "156d01c9-a6c3-4d7e-b883-5758266b95af",
     "detail-type": "EC2 Instance Terminate Successful", "source": "aws.autoscaling",
     "account": "...", "time": "2026-11-23T10:00:00Z", "region": "...",
     "resources": ["arn:aws:autoscaling:...:autoScalingGroupName/hubfleet-production-workers",
                   "arn:aws:ec2:...:instance/i-0598c7d356eba48d7"],
     "detail": {
       "StatusCode": "InProgress", "AutoScalingGroupName": "hubfleet-production-workers",
       "ActivityId": "...",
       "Details": {"Availability Zone": "...", "Subnet ID": "subnet-12345678"},
       "RequestId": "...", "StatusMessage": "",
       "EndTime": "2026-11-23T10:00:00.000Z", "StartTime": "2026-11-23T09:59:00.000Z",
       "EC2InstanceId": "i-0598c7d356eba48d7",
       "Cause": "At 2026-11-23T09:59:00Z an instance was taken out of service in response to an
                 EC2 health check indicating it has been terminated or stopped."}}

    Plain, from SNS: the same keys at the top, beside "Event": "autoscaling:EC2_INSTANCE_TERMINATE"
    and "Time": "2026-11-23T10:00:00.000Z".
    """
    return Event(Kind.HEALTH, _instance(detail, "EC2InstanceId"), at)


def _test(detail: Document, at: float) -> Event | Skip:
    """Skip what Auto Scaling sends when a hook or a notification is made.

    {"AccountId": "...", "RequestId": "5ac6cc4c-f2e8-11ec-8f5d-3d5a5b5c5d5e",
     "AutoScalingGroupARN": "arn:aws:autoscaling:...", "Service": "AWS Auto Scaling",
     "AutoScalingGroupName": "hubfleet-production-workers",
     "Event": "autoscaling:TEST_NOTIFICATION", "Time": "2026-11-23T10:00:00.000Z"}
    """
    return Skip("a test notification")


Parser = Callable[[Document, float], Event | Skip]

EVENTS: Mapping[tuple[str, str], Parser] = {
    ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"): _lifecycle,
    ("aws.autoscaling", "EC2 Instance-launch Lifecycle Action"): _lifecycle,
    ("aws.autoscaling", "EC2 Instance Terminate Successful"): _replaced,
    ("aws.autoscaling", "EC2 Instance Terminate Unsuccessful"): _replaced,
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _spot,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _rebalance,
    ("aws.ec2", "EC2 Instance State-change Notification"): _state,
}
"""By source and type; a source that begins with `aws.` is AWS's own (EventBridge user guide)."""

NOTICES: Mapping[str, Parser] = {
    "autoscaling:TEST_NOTIFICATION": _test,
    "autoscaling:EC2_INSTANCE_TERMINATE": _replaced,
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR": _replaced,
}
"""What Auto Scaling sends without EventBridge, by its event."""


def _timely(found: Event | Skip, now: float | None) -> Event | Skip:
    """Refuse what is not of this time."""
    if isinstance(found, Skip) or now is None:
        return found
    if found.at > now + EARLY_S:
        raise Poison(f"the message is {found.at - now:.0f} s ahead of the clock")
    if now - found.at > OLD_S:
        return Skip(f"it is {(now - found.at) / 86_400:.0f} days old")
    overdue = now - (found.deadline if found.deadline is not None else now)
    if found.kind is Kind.SPOT and overdue > SPOT_LATE_S:
        return Skip(f"the notice ran out {overdue:.0f} s ago")
    return found


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


def _instance(document: Document, key: str) -> str:
    found = _text(document, key)
    if not INSTANCE_ID.fullmatch(found):
        raise Poison(f"{found[:40]!r} is no instance's id")
    return found


def _moment(found: Any) -> float:
    """Return the time that an ISO 8601 text with a time zone means."""
    try:
        moment = datetime.fromisoformat(found if isinstance(found, str) else "")
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise Poison("the message has no time") from error
    raise Poison("the message's time has no time zone")
