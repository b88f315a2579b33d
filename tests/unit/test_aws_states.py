"""The bucket of states, against moto: closed, and completed after an interruption."""

import json
from collections.abc import Iterator

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hubfleet.aws import states
from hubfleet.clients.aws import Aws
from hubfleet.clients.aws_fleet import AwsRefusal

REGION = "eu-central-1"
BUCKET = "the-states"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", states.STATE_BUCKET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Aws(REGION)


def guarded(aws: Aws) -> None:
    """Assert that the bucket keeps versions, is encrypted and is closed."""
    s3 = aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    closed = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert len(closed) == 4
    assert all(closed.values())
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_it_is_made_once_and_closed(aws: Aws) -> None:
    assert states.ensure(aws, BUCKET)
    guarded(aws)
    assert not states.ensure(aws, BUCKET)


@pytest.mark.parametrize(
    "step",
    [
        "put_public_access_block",
        "put_bucket_encryption",
        "put_bucket_policy",
        "put_bucket_versioning",
    ],
)
def test_one_that_was_left_half_made_is_completed(
    aws: Aws, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        """The process has ended."""

    call = aws.call

    def broken(service: str, operation: str, **parameters: object) -> object:
        if operation == step:
            raise Ended
        return call(service, operation, **parameters)

    with monkeypatch.context() as patch, pytest.raises(Ended):
        patch.setattr(aws, "call", broken)
        states.ensure(aws, BUCKET)
    assert not states.ensure(aws, BUCKET)
    guarded(aws)


def test_its_name_is_the_accounts_or_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(states.STATE_BUCKET, raising=False)
    assert states.name("1", REGION) == "hubfleet-state-1-eu-central-1"
    monkeypatch.setenv(states.STATE_BUCKET, BUCKET)
    assert states.name("1", REGION) == BUCKET


def test_one_of_somebody_else_is_refused(aws: Aws) -> None:
    with Stubber(aws.client("s3")) as stub:
        stub.add_client_error("head_bucket", "403", "Forbidden")
        with pytest.raises(AwsRefusal, match="the bucket the-states cannot be used"):
            states.ensure(aws, BUCKET)
