"""A fleet whose calls AWS answers as told, and documents as AWS writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.stub import Stubber

from hubfleet.clients.aws_fleet import SERVICES, AwsFleet
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG
from hubfleet.fleet.scaling_aws import AwsScaling
from tests.fleet.aws import NAMES
from tests.fleet.backend import POOL

ID = "i-0598c7d356eba48d7"
GROUP = NAMES.group(POOL)
SPARE = NAMES.group("spare")
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
AT = NOW.timestamp()
TAGS = [{"Key": DEPLOYMENT_TAG, "Value": NAMES.environment}]


class Answers:
    """A fleet whose calls are answered as told, in this order and with these parameters only."""

    def __init__(self, aws: AwsFleet, *pools: str) -> None:
        self.stubs = {service: Stubber(aws.client(service)) for service in SERVICES}
        self.slept: list[float] = []
        self.now = AT
        self.fleet = AwsScaling(aws, NAMES, pools or (POOL,), lambda: self.now, self.slept.append)
        for stub in self.stubs.values():
            stub.activate()

    def say(self, operation: str, answer: dict[str, Any], **expected: Any) -> None:
        """Answer the next call."""
        self._stub(operation).add_response(operation, answer, expected or None)

    def refuse(self, operation: str, code: str, text: str = "", **expected: Any) -> None:
        """Refuse the next call."""
        self._stub(operation).add_client_error(
            operation, code, text, expected_params=expected or None
        )

    def groups(self, *documents: dict[str, Any]) -> None:
        """Describe groups."""
        self.say("describe_auto_scaling_groups", {"AutoScalingGroups": list(documents)})

    def machines(self, *documents: dict[str, Any]) -> None:
        """Describe instances."""
        self.say("describe_instances", {"Reservations": [{"Instances": list(documents)}]})

    def activities(self, *documents: dict[str, Any]) -> None:
        """Describe scaling activities."""
        self.say("describe_scaling_activities", {"Activities": list(documents)})

    def standing(self, lifecycle: str = "InService", health: str = "HEALTHY") -> None:
        """Describe one instance as its group knows it."""
        row = instance(ID, lifecycle) | {"AutoScalingGroupName": GROUP, "HealthStatus": health}
        self.say("describe_auto_scaling_instances", {"AutoScalingInstances": [row]})

    def gone(self) -> None:
        """Say that no group has the instance."""
        self.say("describe_auto_scaling_instances", {"AutoScalingInstances": []})

    def _stub(self, operation: str) -> Stubber:
        return next(s for s in self.stubs.values() if hasattr(s.client, operation))


def instance(instance_id: str, lifecycle: str = "InService", protected: bool = True) -> Any:
    """Return an instance as a group lists it."""
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": "eu-central-1a",
        "LifecycleState": lifecycle,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": protected,
    }


def group(desired: int, *instances: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return a group as AWS describes it."""
    return {
        "AutoScalingGroupName": GROUP,
        "MinSize": 0,
        "MaxSize": 10,
        "DesiredCapacity": desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["eu-central-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": NOW,
        "NewInstancesProtectedFromScaleIn": True,
        "Tags": TAGS,
        "Instances": list(instances),
        **changed,
    }


def machine(instance_id: str = ID, state: str = "running", age_s: float = 0) -> dict[str, Any]:
    """Return an instance as EC2 describes it."""
    return {
        "InstanceId": instance_id,
        "State": {"Name": state},
        "LaunchTime": NOW - timedelta(seconds=age_s),
        "PrivateIpAddress": "10.0.0.7",
        "Tags": TAGS,
    }


def activity(
    status: str, age_s: float, what: str = "Launching a new EC2 instance", text: str = ""
) -> Any:
    """Return a scaling activity."""
    begun = NOW - timedelta(seconds=age_s)
    return {
        "ActivityId": "1",
        "AutoScalingGroupName": GROUP,
        "Cause": "a change",
        "StartTime": begun,
        "EndTime": begun + timedelta(seconds=2),
        "StatusCode": status,
        "Description": what,
        **({"StatusMessage": text} if text else {}),
    }
