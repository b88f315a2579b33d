"""The whole stack against moto: made, then nothing to change, seen by the controller, and removed.

What moto cannot do stands in moto_override.tf and in NOT_REMOVED, resource by resource.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from hubfleet import settings
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.state import ROOT
from tests.infrastructure import calls
from tests.infrastructure.boot import Machine
from tests.infrastructure.conftest import copy_to
from tests.infrastructure.machine import INSTANCE, surroundings
from tests.infrastructure.tools import Tofu
from tests.static.hcl import Stack

ENVIRONMENT = "staging"
IMAGE = "ami-0123456789abcdef0"
STEP_S = 900

LEAST = 125
"""Things that the stack has; far fewer would mean that a part of it was not applied."""

LEAST_ASKED = 60
"""Kinds of requests that a plan makes; far fewer would mean that the log is not read."""

NOT_REMOVED = {
    "aws_efs_file_system_policy.homes": "DeleteFileSystemPolicy is not implemented",
    "aws_vpc_endpoint.s3": "one that is deleted is described for ever",
}
"""What moto cannot remove, and why; the rest is destroyed around it."""


class Run:
    """One state, from the first apply to the end."""

    def __init__(self, tofu: Tofu, folder: Path, moto: str) -> None:
        self.tofu, self.folder, self.moto = tofu, folder, moto
        self.log = folder.parent / "requests.log"
        images = json.dumps({"node": IMAGE, "chef_server": IMAGE})
        self.env = {
            "AWS_ENDPOINT_URL": moto,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_MAX_ATTEMPTS": "3",
            "TF_VAR_environment": ENVIRONMENT,
            "TF_VAR_images": images,
            "TF_LOG_PROVIDER": "DEBUG",
            "TF_LOG_PATH": str(self.log),
        }

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        done = self.tofu.run(self.folder, *arguments, timeout=STEP_S, **self.env)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def client(self, service: str) -> Any:
        """Return boto3's client of moto."""
        return boto3.client(
            service,
            endpoint_url=self.moto,
            region_name=settings.load(ENVIRONMENT).fleet.aws.region,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )


@pytest.fixture(scope="module")
def run(tofu: Tofu, moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = copy_to(tmp_path_factory.mktemp("applied"))
    shutil.copy(ROOT / "tests" / "infrastructure" / "moto_override.tf", folder)
    found = Run(tofu, folder, moto)
    zone = settings.load(ENVIRONMENT).fleet.aws.dns_zone
    found.client("route53").create_hosted_zone(Name=zone, CallerReference="test")
    found("init")
    yield found


def test_the_whole_stack_is_made_and_then_nothing_is_to_change(run: Run) -> None:
    made = re.search(
        r"Resources: (\d+) added, 0 changed, 0 destroyed", run("apply", "-auto-approve")
    )
    assert made is not None
    assert int(made[1]) >= LEAST
    seen = run.log.stat().st_size
    # Exit code 2 would mean that something is to change.
    run("plan", "-detailed-exitcode")
    asked = calls.actions(run.log, seen)
    assert len(asked) > LEAST_ASKED
    assert asked - _allowed("look") == set(), "plans on GitHub may not do this"


def test_the_machines_are_as_the_templates_say(run: Run) -> None:
    stack = json.loads(run("output", "-json", "stack"))
    ec2 = run.client("ec2")
    machines = [
        machine
        for each in ec2.describe_instances(InstanceIds=list(stack["machines"].values()))[
            "Reservations"
        ]
        for machine in each["Instances"]
    ]
    assert len(machines) == 2
    for template in ec2.describe_launch_template_versions(Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]:
        options = template["LaunchTemplateData"]["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    volumes = ec2.describe_volumes(Filters=[{"Name": "encrypted", "Values": ["true"]}])["Volumes"]
    assert len(volumes) >= 2


def test_the_group_ends_no_worker_by_itself_and_the_hooks_are_there_from_the_start(
    run: Run,
) -> None:
    stack = json.loads(run("output", "-json", "stack"))
    autoscaling = run.client("autoscaling")
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[stack["workers"]])[
        "AutoScalingGroups"
    ]
    assert group["NewInstancesProtectedFromScaleIn"] is True
    tags = {tag["Key"]: (tag["Value"], tag["PropagateAtLaunch"]) for tag in group["Tags"]}
    assert tags["hubfleet.deployment"] == (ENVIRONMENT, True)
    hooks = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=stack["workers"])
    assert {hook["LifecycleHookName"] for hook in hooks["LifecycleHooks"]} == set(
        stack["hooks"].values()
    )


def test_an_event_reaches_the_queue(run: Run) -> None:
    stack = json.loads(run("output", "-json", "stack"))
    detail = {"instance-id": "i-0123456789abcdef0", "state": "terminated"}
    kind = "EC2 Instance State-change Notification"
    entry = {"Source": "aws.ec2", "DetailType": kind, "Detail": json.dumps(detail)}
    other = {**entry, "Detail": json.dumps({**detail, "state": "running"})}
    run.client("events").put_events(Entries=[entry, other])
    sqs = run.client("sqs")
    answer = sqs.receive_message(QueueUrl=stack["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=2)
    bodies = [json.loads(message["Body"]) for message in answer["Messages"]]
    assert [(body["detail-type"], body["detail"]) for body in bodies] == [(kind, detail)]


@pytest.fixture
def worker(run: Run, tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine that has taken the user-data of a worker."""
    with surroundings(run.moto) as around:
        machine = Machine(tmp_path, around)
        machine.take_user_data(json.loads(run("output", "-json", "user_data"))["swarm_worker"])
        assert machine.read("calls") == "systemctl start --no-block hubfleet-seed-aws.service\n"
        yield machine


@pytest.fixture
def secrets(run: Run) -> Iterator[dict[str, str]]:
    """Keep the secrets of the bootstrap where ./invoke keeps them."""
    names = json.loads(run("output", "-json", "stack"))["parameters"]
    ssm = run.client("ssm")
    for key, name in names.items():
        ssm.put_parameter(Name=name, Value=f"the {key}\nof this test", Type="SecureString")
    yield names
    ssm.delete_parameters(Names=list(names.values()))


def test_a_worker_seeds_itself_by_what_terraform_rendered(
    run: Run, worker: Machine, secrets: dict[str, str]
) -> None:
    done = worker.seed()
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker.read("var/lib/hubfleet/seed/ca.crt") == "the ca_crt\nof this test\n"
    assert worker.read("var/lib/hubfleet/seed/bootstrap.pem") == "the key\nof this test\n"
    assert worker.settings == {
        "NODE_NAME": INSTANCE,
        "POLICY_NAME": "swarm_worker",
        "POLICY_GROUP": ENVIRONMENT,
        "CHEF_SERVER_URL": json.loads(run("output", "-json", "stack"))["chef_url"],
        "BOOTSTRAP_CLIENT": "bootstrap",
    }
    group = AwsNames(ENVIRONMENT).group("default")
    assert worker.hooks == [(group, "joined", "CONTINUE")]
    assert worker.around.unsigned == []
    assert "of this test" not in done.stdout + done.stderr
    modes = {path.stat().st_mode & 0o077 for path in worker.root.glob("var/lib/hubfleet/seed/*")}
    assert modes == {0}


def test_a_worker_whose_bootstrap_fails_is_given_up(
    worker: Machine, secrets: dict[str, str]
) -> None:
    assert worker.seed(code=1).returncode == 1
    assert [result for _, _, result in worker.hooks] == ["ABANDON"]


def test_a_worker_without_its_secrets_says_which_and_is_given_up(worker: Machine) -> None:
    done = worker.seed(deadline_s=3)
    assert done.returncode == 1
    line = done.stdout.splitlines()[-1].removeprefix("HUBFLEET-BOOTSTRAP ")
    said = json.loads(line)
    assert (said["status"], said["reason"]) == ("failed", "unreachable")
    assert said["detail"].startswith("parameter /hubfleet/staging/bootstrap/ca_crt: ssm answers")
    assert [result for _, _, result in worker.hooks] == ["ABANDON"]


def test_neither_state_nor_plan_knows_a_secret(run: Run) -> None:
    state = json.loads((run.folder / "terraform.tfstate").read_text())
    kinds = {each["type"] for each in state["resources"]}
    assert "aws_ssm_parameter" not in kinds
    assert "PRIVATE KEY" not in (run.folder / "terraform.tfstate").read_text()


def test_what_the_run_made_is_removed(run: Run) -> None:
    run("state", "rm", *NOT_REMOVED)
    assert "Destroy complete" in run("destroy", "-auto-approve")
    assert run("state", "list") == ""
    groups = run.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert groups == []
    asked = calls.actions(run.log)
    allowed = _allowed("look") | _allowed("change") | _allowed("change_roles")
    assert len(asked) > 2 * LEAST_ASKED
    assert asked - allowed == set(), "workflows that make and remove the stack may not do this"


def _allowed(name: str) -> set[str]:
    """Return the actions of a policy of the roles that workflows take."""
    statements = Stack.read(ROOT / "terraform" / "bootstrap").policy(name)
    return {action for each in statements for action in each["actions"]}
