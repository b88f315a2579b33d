"""What OpenTofu prints when it fails, as its own versions print it, in one sentence."""

from pathlib import Path

import pytest

from hubfleet.aws.refusals import BrokenOffError, refusal, settled
from hubfleet.clients.process import Completed
from hubfleet.errors import CommandError, LockedError, PreconditionError

LOCKED = """
╷
│ Error: Error acquiring the state lock
│
│ Error message: operation error S3: PutObject, https response error StatusCode: 412, RequestID: 1,
│ api error PreconditionFailed: At least one of the pre-conditions you specified did not hold
│ Lock Info:
│   ID:        9d1f4b2c-6f0e-3c1e-8a7e-0f6c5f7d0a11
│   Path:      the-states/production
│   Operation: OperationTypeApply
│   Who:       anna@workstation
│   Version:   1.10.6
│   Created:   2026-11-23 08:15:02.123 +0000 UTC
│   Info:
│
│ OpenTofu acquires a state lock to protect the state from being written
│ by multiple users at the same time.
╵
"""


def told(said: str) -> Exception:
    return refusal("apply", "production", said, "release %s", Path("tofu.log"))


def test_a_held_state_names_who_since_when_and_how_to_release_it() -> None:
    error = told(LOCKED)
    assert isinstance(error, LockedError)
    assert "anna@workstation since 2026-11-23 08:15:02" in error.message
    assert "production" in error.message
    assert error.hint.endswith("release 9d1f4b2c-6f0e-3c1e-8a7e-0f6c5f7d0a11")


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        ("api error ExpiredToken: The provided token has expired.", "expired", "aws sso login"),
        ("Error: No valid credential sources found", "no valid AWS credentials", "AWS_PROFILE"),
        (
            "Error: AWS account ID not allowed: 123456789012",
            "of another account",
            "AWS_PROFILE",
        ),
        (
            "Error: Resource precondition failed\n There is no node image of production in x: bake",
            "no machine image node",
            "images.bake --env production",
        ),
        (
            "api error InvalidAMIID.NotFound: the id '[ami-0123456789abcdef0]' does not exist",
            "ami-0123456789abcdef0 is gone",
            "images.find --env production",
        ),
        (
            "api error VcpuLimitExceeded: You have requested more vCPU capacity",
            "VcpuLimitExceeded",
            "doctor --env production",
        ),
        ("AddressLimitExceeded: The maximum number of addresses", "quota", "Service Quotas"),
        (
            "Error: creating IAM Role (hubfleet-hub): api error EntityAlreadyExists: Role",
            "a name is taken (EntityAlreadyExists)",
            "another name",
        ),
        ("api error BucketAlreadyExists: The requested bucket name", "name is taken", "remove it"),
        ("Error: no matching Route 53 Hosted Zone found", "public zone", "doctor"),
        ("dial tcp: lookup ec2: no such host", "network", "name resolution"),
    ],
)
def test_what_must_be_put_right_first_is_a_precondition(said: str, words: str, hint: str) -> None:
    error = told(said)
    assert isinstance(error, PreconditionError)
    assert words in error.message
    assert hint in error.hint


PRECONDITION = """Error: Resource precondition failed

  on discovery.tf line 51, in resource "aws_service_discovery_service" "homes":
  51:       condition     = endswith(local.homes, ".${local.zone}")
    ├────────────────
    │ local.homes is "homes.staging.hubfleet.internal"
    │ local.zone is "rehearsal.hubfleet.internal"

storage.nfs.server of the environment is not a
name in fleet.zone.

Error: another
"""


@pytest.mark.parametrize("framed", [False, True])
def test_what_terraform_checks_itself_is_told_in_its_words(framed: bool) -> None:
    frame = "".join(f"│ {line}\n" for line in PRECONDITION.splitlines())
    error = told(f"╷\n{frame}╵\n" if framed else PRECONDITION)
    assert isinstance(error, PreconditionError)
    wanted = "storage.nfs.server of the environment is not a name in fleet.zone."
    assert error.message == f"tofu apply: {wanted}"
    assert "environments/production.json" in error.hint


def test_what_is_not_allowed_is_named() -> None:
    error = told("User: arn:x is not authorized to perform: ec2:RunInstances on resource: y")
    assert isinstance(error, CommandError)
    assert "does not allow ec2:RunInstances" in error.message


def test_a_connection_that_broke_off_is_a_kind_of_its_own() -> None:
    error = told("decomposing response: read tcp 1:2->3:4: use of closed network connection")
    assert isinstance(error, BrokenOffError)
    assert "goes on" in error.hint


def test_what_nobody_foresaw_is_its_first_line_and_the_log() -> None:
    error = told("noise\n╷\n│ Error: something odd\n│\n│   with aws_vpc.this,\n╵\n")
    assert isinstance(error, CommandError)
    assert error.message == "tofu apply fails: something odd"
    assert "tofu.log" in error.hint
    assert "goes on" in error.hint
    assert "aws_vpc.this" in error.output


def test_what_broke_off_is_run_once_more_and_only_that() -> None:
    well, off, wrong = (
        Completed(0, "", ""),
        Completed(1, "", "read tcp: use of closed network connection"),
        Completed(1, "Error: something odd", ""),
    )

    def after(*outcomes: Completed) -> tuple[Completed, int]:
        left = list(outcomes)
        return settled(lambda: left.pop(0)), len(left)

    assert after(off, well) == (well, 0)
    assert after(off, off, well) == (off, 1)
    assert after(wrong, well) == (wrong, 1)
    assert after(well, wrong) == (well, 1)
