"""The whole stack against moto: made by ./invoke deploy, seen by the controller, and removed.

What moto cannot do stands in moto_override.tf and in NOT_REMOVED, resource by resource; what is
played in place of others, in account.py.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hubfleet.aws import arrival, kept, stack, supplies
from hubfleet.clients.aws import Aws
from hubfleet.errors import CommandError, LockedError, PreconditionError
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.state import ROOT
from tests.infrastructure import calls
from tests.infrastructure.account import ENVIRONMENT, Account, playing, terraform
from tests.infrastructure.boot import Machine
from tests.infrastructure.machine import INSTANCE, surroundings
from tests.infrastructure.tools import Tofu
from tests.static.hcl import Stack

LEAST = 125
"""Things that the stack has; far fewer would mean that a part of it was not applied."""

LEAST_ASKED = 60
"""Kinds of requests that a plan makes; far fewer would mean that the log is not read."""

NOT_REMOVED = ("aws_vpc_endpoint.s3",)
"""One that is deleted is described for ever by moto; the rest is destroyed around it."""

SOON_S = 12
"""An apply of the whole takes longer."""


class Ended(BaseException):
    """The operator's process has ended."""


class Run:
    """One stack, from the first deploy to the end."""

    def __init__(self, tofu: Tofu, made: Account) -> None:
        self.tofu, self.account = tofu, made
        self.client, self.log = made.client, made.log

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        return terraform(self.account, self.tofu, *arguments, expect=expect)

    def machines(self) -> dict[str, str]:
        """Return the ids of hub and Chef server that run, by role."""
        filters = [
            {"Name": "tag:hubfleet.role", "Values": ["hub", "chef_server"]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        found = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        tagged = [each for group in found for each in group["Instances"]]
        roles = {
            next(tag["Value"] for tag in each["Tags"] if tag["Key"] == "hubfleet.role"): each
            for each in tagged
        }
        assert len(roles) == len(tagged), "one was made twice"
        return {role: each["InstanceId"] for role, each in roles.items()}


def ended(*_: object, **__: object) -> None:
    """End the process, in the middle of what it does."""
    raise Ended


@pytest.fixture(scope="module")
def run(tofu: Tofu, moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Yield the stack after a deploy that was interrupted four times, each time elsewhere."""
    with playing(Account(moto, tmp_path_factory.mktemp("account"))) as made:
        found = Run(tofu, made)
        with pytest.raises(PreconditionError, match="needs the secret oauth_client_id") as error:
            made.deploy()
        assert f".state/{ENVIRONMENT}/secrets/hub/oauth_client_id" in error.value.hint
        made.log_in_at_the_provider()
        # Before the images, when the registry is there.
        _ended_at(made, supplies, "bring_images", ended)
        # When the Chef server's machine is there, and nothing published.
        _ended_at(made, arrival, "at_chef_server", ended)
        machines = found.machines()
        assert list(machines) == ["chef_server"]
        with pytest.MonkeyPatch.context() as patch:
            # As Ctrl-C ends it: OpenTofu is told to, ends what it is at, and writes its state.
            patch.setattr(stack, "APPLY_TIMEOUT_S", SOON_S)
            with pytest.raises(CommandError, match=f"did not end within {SOON_S} s"):
                made.deploy()
        made.deploy()
        assert found.machines() == machines | {"hub": found.machines()["hub"]}
        yield found


def _ended_at(made: Account, module: Any, name: str, end: Callable[..., None]) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Ended):
        patch.setattr(module, name, end)
        made.deploy()


def test_a_deploy_that_was_interrupted_is_completed_and_then_nothing_is_to_change(
    run: Run,
) -> None:
    assert len(run("state", "list").split()) >= LEAST
    seen = run.log.stat().st_size
    # Exit code 2 would mean that something is to change.
    run("plan", "-detailed-exitcode")
    asked = calls.actions(run.log, seen)
    assert len(asked) > LEAST_ASKED
    assert asked - _allowed("look") == set(), "plans on GitHub may not do this"


def test_policies_images_and_secrets_are_where_machines_look_for_them(run: Run) -> None:
    made = run.account
    found = json.loads(run("output", "-json", "stack"))
    for role in found["repositories"]:
        images = run.client("ecr").describe_images(
            repositoryName=found["repositories"][role].partition("/")[2]
        )["imageDetails"]
        assert len(images) == 1
    port = made.deployment.ports.chef
    with made.forward(Aws(found["region"]), found["machines"]["chef_server"], 443, port):
        groups = made.chef().policy_groups()
    assert set(groups[ENVIRONMENT]) == {"chef_server", "hub", "swarm_worker"}
    for name in found["parameters"].values():
        assert made.parameter(name.removeprefix(f"{found['secrets']}/"))


def test_another_machine_of_the_operator_may_not_deploy_at_the_same_time(run: Run) -> None:
    made = run.account
    # The lock as OpenTofu writes it (S3 backend, use_lockfile).
    info = {
        "ID": "8f9c1c53-0000-4000-8000-2d3f6cf1a111",
        "Operation": "OperationTypeApply",
        "Who": "anna@workstation",
        "Created": "2026-11-23T08:15:02.123Z",
        "Path": ENVIRONMENT,
    }
    (bucket,) = [
        each["Name"]
        for each in run.client("s3").list_buckets()["Buckets"]
        if each["Name"].startswith("hubfleet-state-")
    ]
    where = {"Bucket": bucket, "Key": f"{ENVIRONMENT}.tflock"}
    run.client("s3").put_object(**where, Body=json.dumps(info))
    try:
        with pytest.raises(LockedError, match="held by anna@workstation") as error:
            made.deploy()
    finally:
        run.client("s3").delete_object(**where)
    assert f"force-unlock -force {info['ID']}" in error.value.hint


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
    with surroundings(run.account.moto) as around:
        machine = Machine(tmp_path, around)
        machine.take_user_data(json.loads(run("output", "-json", "user_data"))["swarm_worker"])
        assert machine.read("calls") == "systemctl start --no-block hubfleet-seed-aws.service\n"
        yield machine


def test_a_worker_seeds_itself_by_what_a_deploy_has_left_for_it(run: Run, worker: Machine) -> None:
    done = worker.seed()
    assert done.returncode == 0, done.stdout + done.stderr
    deployment = run.account.deployment
    key = deployment.bootstrap_key.read_text().strip()
    assert worker.read("var/lib/hubfleet/seed/bootstrap.pem").strip() == key
    ca = deployment.ca_crt.read_text().strip()
    assert worker.read("var/lib/hubfleet/seed/ca.crt").strip() == ca
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
    assert key.splitlines()[1] not in done.stdout + done.stderr
    modes = {path.stat().st_mode & 0o077 for path in worker.root.glob("var/lib/hubfleet/seed/*")}
    assert modes == {0}


def test_a_worker_whose_bootstrap_fails_is_given_up(worker: Machine) -> None:
    assert worker.seed(code=1).returncode == 1
    assert [result for _, _, result in worker.hooks] == ["ABANDON"]


def test_a_worker_without_its_secrets_says_which_and_is_given_up(run: Run, worker: Machine) -> None:
    name = json.loads(run("output", "-json", "stack"))["parameters"]["ca_crt"]
    run.client("ssm").delete_parameter(Name=name)
    done = worker.seed(deadline_s=3)
    assert done.returncode == 1
    line = done.stdout.splitlines()[-1].removeprefix("HUBFLEET-BOOTSTRAP ")
    said = json.loads(line)
    assert (said["status"], said["reason"]) == ("failed", "unreachable")
    assert said["detail"].startswith("parameter /hubfleet/staging/bootstrap/ca_crt: ssm answers")
    assert [result for _, _, result in worker.hooks] == ["ABANDON"]


def test_neither_state_nor_plan_knows_a_secret(run: Run) -> None:
    state = run("state", "pull")
    kinds = {each["type"] for each in json.loads(state)["resources"]}
    assert "aws_ssm_parameter" not in kinds
    assert "PRIVATE KEY" not in state
    assert run.account.parameter("hub/cookie_secret") not in state


def test_what_was_deployed_is_removed_but_for_homes_and_backups(run: Run) -> None:
    homes = json.loads(run("output", "-json", "stack"))["homes"]["file_system"]
    run("state", "rm", *NOT_REMOVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "APPLY_TIMEOUT_S", SOON_S)
        with pytest.raises(CommandError, match="did not end within"):
            run.account.destroy()
    assert run("state", "list") != ""
    assert file_systems(run) == [homes]
    run.account.destroy()
    assert run("state", "list") == ""
    assert run.machines() == {}
    groups = run.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert groups == []
    assert file_systems(run) == [homes]
    archive = run.account.archive()
    assert archive["Metadata"]
    assert run.account.parameter("operator/ca_key")
    asked = calls.actions(run.log)
    allowed = _allowed("look") | _allowed("change") | _allowed("change_roles")
    assert len(asked) > 2 * LEAST_ASKED
    assert asked - allowed == set(), "workflows that make and remove the stack may not do this"
    # A second time there is nothing left to do, and that is said.
    with pytest.raises(PreconditionError, match="nothing of staging is deployed"):
        run.account.destroy()
    # The next deploy takes them back, instead of making others.
    _ended_at(run.account, supplies, "bring_images", ended)
    kept_there = set(run("state", "list").split())
    assert {kept.HOMES, kept.ARTIFACTS} <= kept_there
    assert file_systems(run) == [homes]
    run.account.destroy(homes=True)
    assert file_systems(run) == []
    assert run.account.archive()["Metadata"] == archive["Metadata"]


def file_systems(run: Run) -> list[str]:
    """Return the ids of all file systems of the account."""
    found = run.client("efs").describe_file_systems()["FileSystems"]
    return [each["FileSystemId"] for each in found]


def _allowed(name: str) -> set[str]:
    """Return the actions of a policy of the roles that workflows take."""
    statements = Stack.read(ROOT / "terraform" / "bootstrap").policy(name)
    return {action for each in statements for action in each["actions"]}
