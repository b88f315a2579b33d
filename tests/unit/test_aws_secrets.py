"""Secrets between the operator's machine and SSM, against moto."""

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from hubfleet import identity
from hubfleet.aws import secrets
from hubfleet.aws.secrets import Act, decide
from hubfleet.clients.aws import Aws
from hubfleet.errors import PreconditionError
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment, Ports, write_private

PATH = "/hubfleet/staging"
OAUTH = {"oauth_client_id": "an id", "oauth_client_secret": "a secret"}


@pytest.fixture
def settings() -> Settings:
    return load("staging")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Aws(settings.fleet.aws.region)


def operator(tmp_path: Path, name: str) -> Deployment:
    """Return the deployment as a machine has it that never deployed."""
    return Deployment.create("staging", "staging", Ports.block(18443), tmp_path / name)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a deployment's directory with all that makes its identity: keys take a second each."""
    made = operator(tmp_path_factory.mktemp("identity"), "made")
    for name, value in OAUTH.items():
        write_private(made.secrets_dir / "hub" / name, value)
    identity.ensure(made, load("staging"))
    return made.dir


@pytest.fixture
def first(made_once: Path, tmp_path: Path, settings: Settings, aws: Aws) -> Deployment:
    """Return the deployment on the machine that deployed first."""
    made = operator(tmp_path, "first")
    shutil.copytree(made_once, made.dir, dirs_exist_ok=True)
    secrets.synchronize(made, settings, aws)
    return made


def parameters(aws: Aws) -> dict[str, str]:
    found = aws.pages(
        "ssm",
        "get_parameters_by_path",
        "Parameters",
        Path=PATH,
        Recursive=True,
        WithDecryption=True,
    )
    return {each["Name"].removeprefix(f"{PATH}/"): each["Value"] for each in found}


def contents(deployment: Deployment) -> dict[str, str]:
    files = (deployment.secrets_dir, deployment.pki_dir, deployment.dir / "keys")
    return {
        str(file.relative_to(deployment.dir)): file.read_text()
        for folder in files
        for file in folder.rglob("*")
        if file.is_file()
    }


VALUES = st.sampled_from([None, "a", "b", "c"])


@given(VALUES, VALUES, VALUES)
def test_a_side_that_nobody_changed_never_wins(
    here: str | None, there: str | None, known: str | None
) -> None:
    act = decide(here, there, known)
    if here == there:
        assert act is Act.NOTHING
    elif None in (here, there):
        # What one side lacks is brought back, never taken from the other.
        assert act is (Act.FETCH if here is None else Act.KEEP)
    elif act is Act.FETCH:
        assert here == known
    elif act is Act.KEEP:
        assert there == known
    else:
        assert known not in (here, there)


def test_all_of_it_is_kept_encrypted_and_tagged(first: Deployment, aws: Aws) -> None:
    kept = parameters(aws)
    assert {"bootstrap/key", "operator/ca_key", "operator/operator_key", "hub/cookie_secret"} < set(
        kept
    )
    assert kept["hub/oauth_client_secret"] == OAUTH["oauth_client_secret"]
    ssm = aws.client("ssm")
    name = f"{PATH}/hub/cookie_secret"
    (found,) = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])[
        "Parameters"
    ]
    assert found["Type"] == "SecureString"
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
    assert tags == [{"Key": "hubfleet.deployment", "Value": "staging"}]


def test_another_machine_has_the_same_and_makes_nothing_anew(
    first: Deployment, tmp_path: Path, settings: Settings, aws: Aws
) -> None:
    other = operator(tmp_path, "other")
    done = secrets.synchronize(other, settings, aws)
    assert done.kept == []
    assert identity.ensure(other, settings) == []
    assert secrets.synchronize(other, settings, aws) == secrets.Done([], [])
    assert contents(other) == contents(first)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in other.secrets_dir.rglob("*_secret")}
    assert modes == {0o600}


def test_what_the_operator_changes_is_kept_and_what_the_hub_writes_is_fetched(
    first: Deployment, settings: Settings, aws: Aws
) -> None:
    write_private(first.secrets_dir / "hub" / "oauth_client_secret", "another")
    token = f"{PATH}/swarm_worker/join_token"
    aws.client("ssm").put_parameter(Name=token, Value="SWMTKN", Type="SecureString")
    done = secrets.synchronize(first, settings, aws)
    assert (done.fetched, done.kept) == (["swarm_worker/join_token"], ["hub/oauth_client_secret"])
    assert parameters(aws)["hub/oauth_client_secret"] == "another"
    assert (first.secrets_dir / "swarm_worker" / "join_token").read_text() == "SWMTKN"


def test_one_that_was_changed_on_both_sides_is_nobodys_guess(
    first: Deployment, settings: Settings, aws: Aws
) -> None:
    name = "hub/oauth_client_secret"
    write_private(first.secrets_dir / name, "here")
    aws.client("ssm").put_parameter(Name=f"{PATH}/{name}", Value="there", Overwrite=True)
    write_private(first.secrets_dir / "hub" / "cookie_secret", "also new")
    before = parameters(aws)
    with pytest.raises(PreconditionError, match=name) as error:
        secrets.synchronize(first, settings, aws)
    assert f"aws ssm delete-parameter --name {PATH}/{name}" in error.value.hint
    assert "here" not in error.value.message.replace("one here than", "")
    assert parameters(aws) == before


def test_an_interrupted_run_goes_on(
    first: Deployment, tmp_path: Path, settings: Settings, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        """The process has ended."""

    other = operator(tmp_path, "other")
    written: list[str] = []

    def dying(file: Path, text: str) -> None:
        if file.name == secrets.KNOWN and len(written) == 3:
            raise Ended
        written.append(file.name) if file.name != secrets.KNOWN else None
        write_private(file, text)

    with monkeypatch.context() as patch, pytest.raises(Ended):
        patch.setattr(secrets, "write_private", dying)
        secrets.synchronize(other, settings, aws)
    secrets.synchronize(other, settings, aws)
    assert contents(other) == contents(first)


def test_what_machines_trust_is_published_once(
    first: Deployment, settings: Settings, aws: Aws
) -> None:
    assert secrets.publish_trust(first, settings, aws)
    assert not secrets.publish_trust(first, settings, aws)
    assert parameters(aws)["bootstrap/ca_crt"].strip() == first.ca_crt.read_text().strip()
    # It is made of files, and none of its own.
    assert secrets.synchronize(first, settings, aws).fetched == []


def test_a_parameter_of_another_hand_is_left_alone(
    first: Deployment, settings: Settings, aws: Aws
) -> None:
    for name in ("notes", "hub/../../evil", "elsewhere/key"):
        aws.client("ssm").put_parameter(Name=f"{PATH}/{name}", Value="x", Type="String")
    assert secrets.synchronize(first, settings, aws) == secrets.Done([], [])


def test_no_value_is_written_down_beside_the_secrets(first: Deployment) -> None:
    known = json.loads((first.dir / secrets.KNOWN).read_text())
    assert all(len(value) == 64 for value in known.values())
    assert OAUTH["oauth_client_secret"] not in (first.dir / secrets.KNOWN).read_text()
