"""What ./invoke plan shows without an account is what the stack itself renders."""

import json
import os
import shutil
from pathlib import Path

import pytest

from hubfleet.aws import changes, plan, preview
from hubfleet.clients.aws import Aws
from hubfleet.errors import CommandError
from hubfleet.settings import load
from hubfleet.state import ROOT
from tests.infrastructure.tools import Tofu

IMAGE = "ami-0123456789abcdef0"
ROLES = {"chef_server", "hub", "swarm_worker"}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def facts(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.split("<<'FACTS'\n")[1].split("\nFACTS\n")[0])
    return found


def test_a_plan_without_an_account_has_all_but_what_an_account_tells(tofu: Tofu) -> None:
    settings = load("staging")
    question = plan.Question(12, "", None)
    found = plan.make("staging", settings, question, Aws(settings.fleet.aws.region))
    assert set(found.rendered.user_data) == ROLES
    hub = facts(found.rendered.user_data["hub"])
    assert hub["workers"] == {
        "group": "hubfleet-staging-workers",
        "queue": "(queue)",
        "termination_hook": "emptied",
    }
    assert hub["registry"] == "(account).dkr.ecr.eu-central-1.amazonaws.com/hubfleet-staging"
    document = json.loads(json.dumps(plan.as_json(found)))
    assert document["cost"]["month_total"] > document["cost"]["class_hour_total"] > 0
    assert document["variables"]["fleet"]["aws"]["host"] == "hub.staging.example.org"
    said = "\n".join(document["unchecked"])
    for word in ("no AWS credentials", "quotas", "zone", "machine images", "present state"):
        assert word in said
    text = plan.as_text(found)
    assert found.rendered.user_data["hub"].splitlines()[-1] in text
    assert "an estimate by the prices of 20" in text


def test_an_environment_that_the_stack_refuses_is_said_in_its_words(
    tofu: Tofu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in preview.READS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".terraform*"))
    file = tmp_path / "environments" / "staging.json"
    document = json.loads(file.read_text())
    document["override_attributes"] = {"fleet": {"zone": "other"}}
    file.write_text(json.dumps(document))
    # The folder of tools is looked for beside the checkout, and this copy has no such neighbour.
    if "HUBFLEET_TOOLS" not in os.environ:
        monkeypatch.setenv("HUBFLEET_TOOLS", str(ROOT.parent / "shared" / "tools"))
    with pytest.raises(CommandError, match="cannot be rendered for 'staging'") as error:
        preview.render("staging", tmp_path)
    assert "default_attributes only" in error.value.output
    assert "environments/staging.json" in error.value.hint


def test_with_an_account_it_says_what_terraform_would_make(
    tofu: Tofu, moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load("staging")
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "TF_VAR_images": json.dumps(dict.fromkeys(("node", "chef_server"), IMAGE)),
    }.items():
        monkeypatch.setenv(name, value)
    aws = Aws(settings.fleet.aws.region)
    zone = settings.fleet.aws.dns_zone
    aws.client("route53").create_hosted_zone(Name=zone, CallerReference="plan")
    where = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket="plans-states", CreateBucketConfiguration=where)
    found = changes.find("staging", aws.region, "plans-states")
    assert {each.action for each in found} == {"make"}
    assert "aws_autoscaling_group.workers" in {each.address for each in found}
    assert len(found) > 100
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="plans-states")
    with pytest.raises(CommandError, match="tofu init fails: ") as error:
        changes.find("staging", aws.region, "nobodys-states")
    assert "./invoke doctor --env staging" in error.value.hint
