"""An account of AWS beside a deployment: moto's, with the stack that Terraform makes in it.

moto runs in this process, so that tests/fleet/aws_hooks.py can add what its Auto Scaling lacks.
What the deployment's machines see of it is at their network's gateway: the APIs and, told apart by
who asks, the metadata service.
"""

import base64
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from hubfleet.chef_server import trust
from hubfleet.fleet.aws_names import DEFAULT_POOL, AwsNames
from hubfleet.settings import ROOT, Settings
from hubfleet.state import Deployment
from tests.fleet.aws_hooks import Account, like_aws
from tests.infrastructure.conftest import copy_to
from tests.infrastructure.machine import Surroundings, surroundings
from tests.infrastructure.tools import Tofu

LIKE = "staging"
"""The environment whose AWS settings the rehearsal takes."""

OVERRIDES = ("infrastructure/moto_override.tf", "e2e/rehearsal_override.tf")

IMAGE = "ami-0123456789abcdef0"
APPLY_S = 600

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
    user_data: str = ""
    """A worker's, as Terraform has rendered it."""

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

    def adopt(self, ids: Sequence[str]) -> None:
        """Have the group launch the workers that the deployment has already."""
        launched = mock.patch("moto.ec2.models.instances.random_instance_id", side_effect=ids)
        autoscaling, name = self.client("autoscaling"), self.names.group(DEFAULT_POOL)
        with launched:
            autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=len(ids))
        for instance_id in ids:
            autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=name,
                LifecycleHookName=self.stack["hooks"]["launch"],
                LifecycleActionResult="CONTINUE",
                InstanceId=instance_id,
            )
        self.account.answers.clear()

    def messages(self) -> int:
        """Return how many messages the queue holds, delivered ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(
            QueueUrl=self.stack["queue"], AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)


@contextmanager
def cloud(environment: str, gateway: str, who: Callable[[str], str]) -> Iterator[Cloud]:
    """Serve an empty account to the machines of a network until the block ends.

    `gateway` is the network's own address on this machine; `who` tells whose an address is.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    send: list[Callable[[str], None]] = []
    account = Account(HEARTBEAT_S, HOOK_MOST_S, lambda body: send[0](body))
    region = aws_settings()["region"]
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


def aws_settings() -> dict[str, Any]:
    """Return the section fleet.aws of the environment that the rehearsal is like."""
    document = json.loads((ROOT / "environments" / f"{LIKE}.json").read_text())
    found: dict[str, Any] = document["default_attributes"]["fleet"]["aws"]
    return found


def apply(
    made: Cloud, tofu: Tofu, deployment: Deployment, settings: Settings, most: int, room: Path
) -> None:
    """Make the part of the stack that workers and controller meet, for `most` workers.

    Its environment is another one in a copy: like LIKE, but with this deployment's name and zone.
    """
    folder = copy_to(room)
    for override in OVERRIDES:
        shutil.copy(ROOT / "tests" / override, folder)
    like = json.loads((room / "environments" / f"{LIKE}.json").read_text())
    fleet = like["default_attributes"]["fleet"]
    fleet["zone"] = settings.fleet.zone
    fleet["workers"] = {"min": 0, "max": most}
    name = deployment.environment
    like["default_attributes"]["secrets"]["path"] = f"/hubfleet/{name}"
    (room / "environments" / f"{name}.json").write_text(json.dumps({**like, "name": name}))
    made.client("route53").create_hosted_zone(Name=fleet["aws"]["dns_zone"], CallerReference="test")
    env = {
        "AWS_ENDPOINT_URL": made.moto,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "TF_VAR_environment": name,
        "TF_VAR_images": json.dumps({"node": IMAGE, "chef_server": IMAGE}),
    }

    def run(*arguments: str) -> str:
        done = tofu.run(folder, *arguments, timeout=APPLY_S, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("init")
    # The group depends on all that its machines and its events need; hub and Chef server are there.
    run("apply", "-auto-approve", "-target=aws_autoscaling_group.workers")
    made.user_data = json.loads(run("output", "-json", "user_data"))["swarm_worker"]
    made.stack = json.loads(run("output", "-json", "stack"))
    secrets = {
        "ca_crt": trust(deployment, settings).decode(),
        "key": deployment.bootstrap_key.read_text(),
    }
    for key, value in secrets.items():
        made.client("ssm").put_parameter(
            Name=made.stack["parameters"][key], Value=value, Type="SecureString"
        )
