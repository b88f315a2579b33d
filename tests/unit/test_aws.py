"""What AWS refuses an operator becomes one sentence with the next step; by botocore itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hubfleet.clients.aws import Aws
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.errors import HubfleetError, PreconditionError

REGION = "eu-central-1"
LOG_IN = "aws sso login"


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep whatever this machine is logged in to out of the tests."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(REGION)


def refused(code: str, text: str = "what AWS says") -> HubfleetError:
    """Return the error of a call that AWS answers by `code`."""
    aws = Aws(REGION)
    client = aws.client("s3")
    with Stubber(client) as stub:
        stub.add_client_error("create_bucket", code, text)
        with pytest.raises(HubfleetError) as error, aws.refusals("the bucket x cannot be made"):
            client.create_bucket(Bucket="xyz")
    assert error.value.message.startswith("the bucket x cannot be made: ")
    assert "\n" not in error.value.message
    return error.value


@pytest.mark.parametrize(
    ("code", "exit_code", "said", "step"),
    [
        ("ExpiredToken", 3, "have expired", LOG_IN),
        ("InvalidClientTokenId", 3, "does not know these credentials", LOG_IN),
        ("AccessDenied", 1, "does not allow AWS:CreateBucket: what", "get-caller-identity"),
        ("403", 1, "what AWS says", "get-caller-identity"),
        ("Throttling", 1, "throttles", "wait"),
        ("BucketAlreadyExists", 3, "the name is taken", "another name"),
        ("RepositoryAlreadyExistsException", 3, "the name is taken", "another name"),
        ("PermanentRedirect", 3, f"another region than {REGION}", "fleet.aws.region"),
        ("OptInRequired", 3, "the account has no", "fleet.aws.region"),
        ("RequestTimeTooSkewed", 3, "clock is wrong", "timedatectl"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_next_step(
    code: str, exit_code: int, said: str, step: str
) -> None:
    error = refused(code)
    assert error.exit_code == exit_code
    assert said in error.message
    assert step in error.hint


def test_another_refusal_keeps_its_code_for_who_asks() -> None:
    error = refused("NoSuchBucket")
    assert isinstance(error, AwsRefusal)
    assert (error.code, error.text) == ("NoSuchBucket", "what AWS says")


def test_without_credentials_it_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PreconditionError, match="there are no AWS credentials") as error:
        Aws(REGION).identity()
    assert LOG_IN in error.value.hint


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PreconditionError, match="nobody") as error:
        Aws(REGION).identity()
    assert LOG_IN in error.value.hint


def test_an_address_where_nobody_answers_is_the_way_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    aws = Aws(REGION)
    with pytest.raises(PreconditionError, match=f"not reached in {REGION}") as error:
        aws.identity()
    assert "region" in error.value.hint
    with pytest.raises(PreconditionError, match="not reached"), aws.refusals("no keys are listed"):
        aws.client("sts").get_caller_identity()


def test_a_region_that_is_none_is_named() -> None:
    with pytest.raises(PreconditionError, match="cannot be asked in region"):
        Aws("no region at all").identity()


def test_whose_credentials_they_are(aws: Aws) -> None:
    found = aws.identity()
    assert re.fullmatch(r"\d{12}", found.account)
    assert f":{found.account}:" in found.arn
