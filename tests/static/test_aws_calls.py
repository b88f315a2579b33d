"""What hubfleet asks of AWS is what the roles of GitHub's workflows may ask, and no less."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.static import aws_calls
from tests.static.aws_calls import Function
from tests.static.hcl import Stack

SCANNED = (
    "hubfleet/aws/*.py",
    "hubfleet/bake.py",
    "hubfleet/clients/aws.py",
    "hubfleet/clients/session_manager.py",
    "hubfleet/machine_images.py",
    "hubfleet/tasks/images.py",
    "hubfleet/tasks/plan.py",
    "hubfleet/tasks/stack.py",
)
"""Where an operator's commands ask AWS; the machines' own roles are compared elsewhere."""

LOOKING = (
    "hubfleet.tasks.plan.stack",
    "hubfleet.tasks.stack._doctor_on_aws",
    "hubfleet.tasks.images.find",
)
"""What a run with the role for plans calls: `plan`, `doctor --env`, `images.find`."""

LOOKS, CHANGES = ("look",), ("look", "change", "change_roles", "operate", "bake")
"""Policies of the roles for plans and for deploys (terraform/bootstrap)."""


@pytest.fixture(scope="module")
def known(root: Path) -> dict[str, Function]:
    return aws_calls.functions(root, sources(root))


def sources(root: Path) -> list[Path]:
    return [path for pattern in SCANNED for path in sorted(root.glob(pattern))]


def missing(root: Path, actions: Iterable[str], policies: Iterable[str]) -> set[str]:
    stack = Stack.read(root / "terraform" / "bootstrap")
    allowed = {
        action for name in policies for each in stack.policy(name) for action in each["actions"]
    }
    return set(actions) - allowed - aws_calls.WITHOUT_PERMISSION


def test_the_role_for_plans_may_do_what_plan_doctor_and_find_do(
    root: Path, known: Mapping[str, Function]
) -> None:
    assert set(LOOKING) <= set(known)
    asked = aws_calls.reached(known, LOOKING)
    assert {"ec2:DescribeImages", "servicequotas:GetServiceQuota", "s3:ListBucket"} <= asked
    assert missing(root, asked, LOOKS) == set()


def test_the_role_for_deploys_may_do_all(root: Path, known: Mapping[str, Function]) -> None:
    asked = {action for each in known.values() for action in each.actions}
    assert {"sts:GetCallerIdentity", "ecr:DescribeImages"} <= asked
    assert missing(root, asked, CHANGES) == set()


def scanned(tmp_path: Path, text: str) -> dict[str, Function]:
    (tmp_path / "module.py").write_text(text)
    return aws_calls.functions(tmp_path, [tmp_path / "module.py"])


def test_a_call_that_nobody_allows_is_noticed(root: Path, tmp_path: Path) -> None:
    text = "def run(aws):\n    aws.call('ec2', 'create_vpc_peering_connection')\n"
    asked = aws_calls.reached(scanned(tmp_path, text), ["module.run"])
    assert missing(root, asked, CHANGES) == {"ec2:CreateVpcPeeringConnection"}


def test_a_call_behind_functions_and_methods_is_reached(tmp_path: Path) -> None:
    text = (
        "def run(x):\n    _next(x)\n"
        "def _next(x):\n    Thing(x).seen()\n"
        "def apart(aws):\n    aws.call('sqs', 'delete_queue')\n"
        "class Thing:\n    def seen(self):\n"
        "        self.aws.pages('efs', 'describe_file_systems', 'FileSystems')\n"
        "class Other:\n    def seen(self):\n        self.aws.call('ec2', 'delete_vpc')\n"
    )
    assert aws_calls.reached(scanned(tmp_path, text), ["module.run"]) == {
        "elasticfilesystem:DescribeFileSystems"
    }


def test_boto3s_own_client_is_seen_too(tmp_path: Path) -> None:
    text = "def run(aws):\n    aws.client('s3').upload_file('a', 'b', 'c')\n"
    assert aws_calls.reached(scanned(tmp_path, text), ["module.run"]) == {"s3:PutObject"}


@pytest.mark.parametrize(
    "text", ["aws.call('ec2', what)", "aws.client(what).delete_vpc()", "x = aws.client('ec2')"]
)
def test_a_call_that_is_not_written_out_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(aws_calls.NotWrittenOutError, match="line 2"):
        scanned(tmp_path, f"def run(aws, what):\n    {text}\n")


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("s3", "head_bucket", "s3:ListBucket"),
        ("s3", "list_objects_v2", "s3:ListBucket"),
        ("s3", "head_object", "s3:GetObject"),
        ("s3", "put_public_access_block", "s3:PutBucketPublicAccessBlock"),
        ("s3", "put_bucket_encryption", "s3:PutEncryptionConfiguration"),
        ("ssm", "get_parameters_by_path", "ssm:GetParametersByPath"),
        ("service-quotas", "get_service_quota", "servicequotas:GetServiceQuota"),
    ],
)
def test_operations_have_the_actions_of_aws(service: str, operation: str, action: str) -> None:
    assert aws_calls.action(service, operation) == action
