"""An account of AWS beside a network of machines: moto's, as machines and operator see it.

moto runs in this process, so that tests/fleet/aws_hooks.py can add what its Auto Scaling lacks.
What machines see of it is at their network's gateway: the APIs and, told apart by who asks, the
metadata service.
"""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from hubfleet.fleet.aws_names import DEFAULT_POOL, AwsNames
from hubfleet.fleet.base import Role
from tests.fleet.aws_hooks import Account, like_aws
from tests.infrastructure.machine import Surroundings, surroundings

HEARTBEAT_S, HOOK_MOST_S = 60.0, 900.0
"""Of terminations. Terraform's are longer: here one that nobody holds is to be seen to run out."""


@dataclass
class Cloud:
    """The account. `front` is what machines see of it."""

    moto: str
    front: Surroundings
    names: AwsNames
    region: str
    account: Account
    stack: dict[str, Any] = field(default_factory=dict)
    """Terraform's output of that name, once there is one."""

    @property
    def variables(self) -> dict[str, str]:
        """What tells a machine where the account is."""
        address = self.front.address
        return {"AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}

    def client(self, service: str) -> Any:
        """Return boto3's client, with an operator's rights."""
        return boto3.client(
            service,
            endpoint_url=self.moto,
            region_name=self.region,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )

    @property
    def group(self) -> dict[str, Any]:
        """The Auto Scaling group of the workers."""
        asked = [self.names.group(DEFAULT_POOL)]
        found = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=asked)
        document: dict[str, Any] = found["AutoScalingGroups"][0]
        return document

    @property
    def members(self) -> dict[str, str]:
        """The group's instances and their lifecycle states."""
        return {each["InstanceId"]: each["LifecycleState"] for each in self.group["Instances"]}

    def instances(self) -> dict[str, Role]:
        """Return the role of each instance that runs."""
        filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        found = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        tags = {
            each["InstanceId"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            for group in found
            for each in group["Instances"]
        }
        return {each: Role(named["hubfleet.role"]) for each, named in tags.items()}

    def volumes(self) -> set[str]:
        """Return the ids of the volumes that were made for themselves."""
        filters = [{"Name": "tag:Name", "Values": ["*-state"]}]
        found = self.client("ec2").describe_volumes(Filters=filters)["Volumes"]
        return {each["VolumeId"] for each in found}

    def user_data_of(self, instance_id: str) -> str:
        """Return what an instance was launched with."""
        found = self.client("ec2").describe_instance_attribute(
            InstanceId=instance_id, Attribute="userData"
        )
        return base64.b64decode(found["UserData"]["Value"]).decode()

    def put(self, body: str) -> None:
        """Have an event happen: EventBridge's rules bring it to the queue, or do not."""
        event = json.loads(body)
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
            "Time": datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
        }
        self.client("events").put_events(Entries=[entry])

    def messages(self) -> int:
        """Return how many messages the queue holds, delivered ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(
            QueueUrl=self.stack["queue"], AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)


@contextmanager
def cloud(
    environment: str, region: str, gateway: str, who: Callable[[str], str]
) -> Iterator[Cloud]:
    """Serve an empty account to the machines of a network until the block ends.

    `gateway` is the network's own address on this machine; `who` tells whose an address is.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    send: list[Callable[[str], None]] = []
    account = Account(HEARTBEAT_S, HOOK_MOST_S, lambda body: send[0](body))
    with like_aws(account):
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        try:
            moto = "http://{}:{}".format(*server.get_host_and_port())
            with surroundings(moto, gateway, who, plays_hooks=False) as front:
                made = Cloud(moto, front, AwsNames(environment), region, account)
                send.append(made.put)
                yield made
        finally:
            server.stop()
