"""The roles of GitHub's workflows against moto: made, nothing to change then, as AWS takes them."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pytest

from hubfleet.settings import environments, load
from hubfleet.state import ROOT
from tests.infrastructure.conftest import copy_to
from tests.infrastructure.tools import Tofu

ON_AWS = [name for name in environments() if load(name).fleet.backend == "aws"]

REPOSITORY = "example/hubfleet"

INLINE_CHARS = 10_240
MANAGED_CHARS = 6_144
"""Characters without white space, of all inline policies of a role and of a managed one (IAM
quotas). moto takes more."""


class Bootstrap:
    """One state of terraform/bootstrap."""

    def __init__(self, tofu: Tofu, folder: Path, moto: str) -> None:
        self.tofu, self.folder, self.moto = tofu, folder, moto
        self.env = {
            "AWS_ENDPOINT_URL": moto,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "TF_VAR_repository": REPOSITORY,
            "TF_VAR_state_bucket": "states",
            "TF_VAR_environments": json.dumps(ON_AWS),
        }

    def __call__(self, *arguments: str, expect: int = 0, **env: str) -> str:
        done = self.tofu.run(self.folder, *arguments, timeout=600, **{**self.env, **env})
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def iam(self) -> Any:
        return boto3.client(
            "iam",
            endpoint_url=self.moto,
            region_name=load(ON_AWS[0]).fleet.aws.region,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )


@pytest.fixture(scope="module")
def run(tofu: Tofu, moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bootstrap]:
    folder = copy_to(tmp_path_factory.mktemp("bootstrap")) / "bootstrap"
    shutil.copy(ROOT / "tests" / "infrastructure" / "moto_bootstrap_override.tf", folder)
    found = Bootstrap(tofu, folder, moto)
    found("init")
    found("apply", "-auto-approve")
    yield found
    found("destroy", "-auto-approve")


def roles(run: Bootstrap) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.iam.list_roles(PathPrefix="/hubfleet-ci/")["Roles"]
    return found


def test_what_was_made_is_not_changed_again(run: Bootstrap) -> None:
    run("plan", "-detailed-exitcode")


def test_each_environment_has_its_roles_and_no_other_subject_takes_them(run: Bootstrap) -> None:
    subjects = {}
    for role in roles(run):
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        if statement["Action"] != "sts:AssumeRoleWithWebIdentity":
            continue
        (provider,) = run.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        assert statement["Principal"] == {"Federated": provider["Arn"]}
        assert statement["Condition"].keys() == {"StringEquals"}
        wanted = statement["Condition"]["StringEquals"]
        assert wanted["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
        subjects[role["RoleName"]] = wanted["token.actions.githubusercontent.com:sub"]
    protected = {f"{n}-{kind}": f"environment:{n}" for n in ON_AWS for kind in ("apply", "bake")}
    pulled = {f"{name}-plan": "pull_request" for name in ON_AWS}
    assert subjects == {
        name: f"repo:{REPOSITORY}:{where}" for name, where in (protected | pulled).items()
    }


def test_policies_are_no_longer_than_aws_takes(run: Bootstrap) -> None:
    sizes = {}
    for role in roles(run):
        name = role["RoleName"]
        inline = run.iam.list_role_policies(RoleName=name)["PolicyNames"]
        documents = [
            run.iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"]
            for each in inline
        ]
        sizes[name] = sum(map(_chars, documents))
    assert len(sizes) == 4 * len(ON_AWS)
    assert {name: size for name, size in sizes.items() if size > INLINE_CHARS} == {}
    for policy in run.iam.list_policies(Scope="Local")["Policies"]:
        version = run.iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")
        assert _chars(version["PolicyVersion"]["Document"]) <= MANAGED_CHARS


def test_the_repository_is_told_its_roles(run: Bootstrap) -> None:
    said = json.loads(run("output", "-json", "github"))
    assert set(said) == set(ON_AWS)
    made = {role["Arn"] for role in roles(run)}
    for each in said.values():
        assert {arn for name, arn in each.items() if name.endswith("_ROLE")} <= made


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("repository", "hubfleet", "Expected owner/name"),
        ("repository", "a/b:*", "Expected owner/name"),
        ("environments", '["local"]', "fleet.backend is aws"),
        ("environments", "[]", "fleet.backend is aws"),
        (
            "oidc_provider",
            "arn:aws:iam::123456789012:oidc-provider/example.org",
            "Expected the ARN",
        ),
        ("state_bucket", "x/*", "no name of a bucket"),
    ],
)
def test_wrong_values_are_refused_in_words(
    run: Bootstrap, name: str, value: str, said: str
) -> None:
    answer = run("plan", expect=1, **{f"TF_VAR_{name}": value})
    assert said in " ".join(answer.split())


def _chars(document: Any) -> int:
    """Return a policy's length as IAM counts it."""
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return len(re.sub(r"\s", "", unquote(text)))
