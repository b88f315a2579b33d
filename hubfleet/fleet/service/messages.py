"""The messages of the queue, in the shapes in which EventBridge hands AWS's to SQS; pure.

Sources: the Auto Scaling user guide, "event reference" (lifecycle actions), and the EC2 user guide,
"spot instance interruption notices", "rebalance recommendations" and "state change events".
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from hubfleet.fleet.scaling import Hook

ACCOUNT = "000000000000"
REGION = "local"


def lifecycle(hook: Hook, now: float) -> str:
    """Return the notice of a termination that waits for its lifecycle hook."""
    arn = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{hook.group}"
    return _event(
        "aws.autoscaling",
        "EC2 Instance-terminate Lifecycle Action",
        f"{arn}:autoScalingGroupName/{hook.group}",
        {
            "LifecycleActionToken": hook.token,
            "AutoScalingGroupName": hook.group,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": hook.instance_id,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        },
        now,
    )


def terminated(instance_id: str, now: float) -> str:
    """Return the notice that an instance is no more."""
    detail = {"instance-id": instance_id, "state": "terminated"}
    return _ec2("EC2 Instance State-change Notification", instance_id, detail, now)


def spot_warning(instance_id: str, now: float) -> str:
    """Return the notice that the spot market takes an instance back, in two minutes."""
    detail = {"instance-id": instance_id, "instance-action": "terminate"}
    return _ec2("EC2 Spot Instance Interruption Warning", instance_id, detail, now)


def rebalance(instance_id: str, now: float) -> str:
    """Return the advice to leave an instance, which may soon be taken back."""
    return _ec2(
        "EC2 Instance Rebalance Recommendation", instance_id, {"instance-id": instance_id}, now
    )


def _ec2(kind: str, instance_id: str, detail: Mapping[str, str], now: float) -> str:
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"
    return _event("aws.ec2", kind, arn, detail, now)


def _event(source: str, kind: str, arn: str, detail: Mapping[str, str], now: float) -> str:
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": source,
            "account": ACCOUNT,
            "time": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": REGION,
            "resources": [arn],
            "detail": dict(detail),
        }
    )
