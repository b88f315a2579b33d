"""The AWS back end under test: its real calls, answered by moto within this process.

What moto does not do is in tests/fleet/aws_hooks.py; AWS's rare answers are in
tests/fleet/test_aws_answers.py.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3
import moto

from hubfleet.clients.aws_fleet import AwsFleet
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG, AwsNames
from hubfleet.fleet.scaling_aws import AwsScaling
from tests.fleet.aws_hooks import Account, like_aws
from tests.fleet.backend import POOL, Backend

REGION = "eu-central-1"
NAMES = AwsNames("staging")
FOREIGN = "another-deployment-workers"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
"""Nothing of this machine's own configuration takes part."""


class AwsBackend(Backend):
    """A stack as Terraform makes it, as far as the controller sees it."""

    name = "aws"
    most = 6
    visibility_s = 2.0
    heartbeat_s = 3.0
    hook_most_s = 7.0
    settle_s = 10.0

    def __init__(self) -> None:
        self.account = Account(self.heartbeat_s, self.hook_most_s, self.put)
        self.autoscaling = boto3.client("autoscaling", region_name=REGION)
        self.ec2 = boto3.client("ec2", region_name=REGION)
        self.sqs = boto3.client("sqs", region_name=REGION)
        image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        self.ec2.create_launch_template(
            LaunchTemplateName="worker",
            LaunchTemplateData={"ImageId": image, "InstanceType": "t3.small"},
        )
        self.make_group(NAMES.group(POOL), NAMES.environment, self.most)
        self.make_group(FOREIGN, "another", 3)
        self.make_queues()
        self.renew()

    def make_queues(self) -> None:
        """Make the queue and that of the dead letters."""
        self.dead = self.sqs.create_queue(QueueName=f"{NAMES.queue}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 5}
        self.queue = self.sqs.create_queue(
            QueueName=NAMES.queue,
            Attributes={
                "VisibilityTimeout": str(int(self.visibility_s)),
                "RedrivePolicy": json.dumps(redrive),
            },
        )["QueueUrl"]

    def renew(self, *pools: str) -> AwsScaling:
        """Look with a new controller's eyes."""
        self.scaling = AwsScaling(AwsFleet(REGION), NAMES, pools or (POOL,))
        return self.scaling

    def make_group(self, name: str, environment: str, most: int) -> None:
        """Make an Auto Scaling group as terraform/autoscaling.tf does."""
        zones = self.ec2.describe_subnets()["Subnets"]
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateName": "worker"},
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=0,
            NewInstancesProtectedFromScaleIn=True,
            VPCZoneIdentifier=",".join(zone["SubnetId"] for zone in zones),
            Tags=[{"Key": DEPLOYMENT_TAG, "Value": environment, "PropagateAtLaunch": True}],
        )

    def group(self, name: str = "") -> dict[str, Any]:
        """Return a group as AWS describes it."""
        asked = [name or NAMES.group(POOL)]
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=asked)
        document: dict[str, Any] = found["AutoScalingGroups"][0]
        return document

    def foreign(self) -> str:
        """Have a worker of another deployment run in the same account, and return its id."""
        self.autoscaling.set_desired_capacity(AutoScalingGroupName=FOREIGN, DesiredCapacity=1)
        return str(self.group(FOREIGN)["Instances"][0]["InstanceId"])

    def put(self, body: str) -> None:
        """Have a message arrive."""
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def unprotected(self) -> str:
        """Start a worker and take its protection away."""
        (worker,) = self.launched()
        self.autoscaling.set_instance_protection(
            AutoScalingGroupName=NAMES.group(POOL),
            InstanceIds=[worker.id],
            ProtectedFromScaleIn=False,
        )
        return worker.id

    def run_dry(self, pool: str, seconds: int) -> None:
        """Leave a pool without capacity; the group tries again when there is some."""
        self.account.dry_until[NAMES.group(pool)] = time.time() + seconds

    def dead_letters(self) -> Sequence[str]:
        """Return the bodies of the messages that nobody could handle."""
        found = self.sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", ())]

    def clear(self) -> None:
        """End all workers at once and empty the queue."""
        self.account.forget()
        for name in (NAMES.group(POOL), FOREIGN):
            for instance in self.group(name)["Instances"]:
                self.autoscaling.terminate_instance_in_auto_scaling_group(
                    InstanceId=instance["InstanceId"],
                    ShouldDecrementDesiredCapacity=instance["LifecycleState"] == "InService",
                )
            self.autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
        for wait in self.account.waits.values():
            wait.until = 0
        self.group()  # time passes at a look
        for url in (self.queue, self.dead):
            # SQS purges a queue no more than once a minute.
            self.sqs.delete_queue(QueueUrl=url)
        self.make_queues()
        self.renew()


@contextmanager
def aws_backend() -> Iterator[AwsBackend]:
    """An account of its own, in memory."""
    with mock.patch.dict("os.environ", CREDENTIALS), moto.mock_aws():
        made = AwsBackend()
        with like_aws(made.account):
            yield made
