"""Doctor's checks of an account: against moto, and what moto lacks against botocore's Stubber."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hubfleet.aws import checks, states
from hubfleet.clients.aws import Aws
from hubfleet.doctor import Check, Verdict
from hubfleet.settings import Settings, load
from hubfleet.state import ROOT

ENVIRONMENT = "production"


@pytest.fixture(autouse=True)
def an_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", states.STATE_BUCKET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")


@pytest.fixture
def settings() -> Settings:
    return load(ENVIRONMENT)


@pytest.fixture
def aws(settings: Settings) -> Iterator[Aws]:
    with mock_aws():
        yield Aws(settings.fleet.aws.region)


def examined(aws: Aws, settings: Settings, root: Path, quota: float = 1000) -> dict[str, Check]:
    """Return the checks by name; both quotas are `quota`."""
    with Stubber(aws.client("service-quotas")) as stub:
        for code in (checks.ON_DEMAND_QUOTA, checks.SPOT_QUOTA):
            answer = {"Quota": {"Value": quota}}
            stub.add_response(
                "get_service_quota", answer, {"ServiceCode": "ec2", "QuotaCode": code}
            )
        found = checks.examine(ENVIRONMENT, settings, aws, root)
    return {check.name: check for check in found}


def bake(aws: Aws, root: Path) -> list[str]:
    """Note two images that the account has; return their ids."""
    ec2 = aws.client("ec2")
    amis = []
    for name in checks.NEEDED_IMAGES:
        amis.append(ec2.register_image(Name=name)["ImageId"])
    builds = [
        {
            "artifact_id": f"{aws.region}:{ami}",
            "custom_data": {"image": name, "environment": ENVIRONMENT},
        }
        for name, ami in zip(checks.NEEDED_IMAGES, amis, strict=True)
    ]
    (root / "packer").mkdir(exist_ok=True)
    (root / "packer" / "manifest.json").write_text(json.dumps({"builds": builds}))
    return amis


def test_an_account_with_all_of_it_is_well(
    aws: Aws, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = settings.fleet.aws.dns_zone
    aws.client("route53").create_hosted_zone(Name=zone, CallerReference="x")
    where = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket="the-states", CreateBucketConfiguration=where)
    monkeypatch.setenv(states.STATE_BUCKET, "the-states")
    bake(aws, tmp_path)
    found = examined(aws, settings, tmp_path)
    asked = ("account", "region", "quotas", "zone", "machine images", "state")
    assert {name: found[name].verdict for name in asked} == dict.fromkeys(asked, Verdict.OK)
    assert "of 1000 spot vCPUs" in found["quotas"].detail


def test_an_empty_account_lacks_each_and_each_has_a_cure(
    aws: Aws, settings: Settings, tmp_path: Path
) -> None:
    found = examined(aws, settings, tmp_path, quota=5)
    said = {
        "quotas": ("on-demand vCPUs may be needed", "request-service-quota-increase"),
        "zone": ("no public zone example.org", "create-hosted-zone"),
        "machine images": ("no image of production: node, chef_server", "images.bake"),
    }
    for name, (detail, fix) in said.items():
        assert found[name].verdict is Verdict.FAIL
        assert detail in found[name].detail
        assert fix in found[name].fix


def test_a_zone_of_a_similar_name_or_a_private_one_does_not_count(
    aws: Aws, settings: Settings, tmp_path: Path
) -> None:
    route53, zone = aws.client("route53"), settings.fleet.aws.dns_zone
    route53.create_hosted_zone(Name=f"{zone}.net", CallerReference="x")
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    route53.create_hosted_zone(
        Name=zone,
        CallerReference="y",
        VPC={"VPCRegion": aws.region, "VPCId": vpc},
        HostedZoneConfig={"PrivateZone": True},
    )
    assert examined(aws, settings, tmp_path)["zone"].verdict is Verdict.FAIL


def test_an_image_that_is_gone_is_named(aws: Aws, settings: Settings, tmp_path: Path) -> None:
    node, _ = bake(aws, tmp_path)
    aws.client("ec2").deregister_image(ImageId=node)
    found = examined(aws, settings, tmp_path)["machine images"]
    assert (found.verdict, found.detail) == (
        Verdict.FAIL,
        f"the account has no such image: node ({node})",
    )


def test_a_bucket_that_is_not_there_is_made_by_deploy(
    aws: Aws, settings: Settings, tmp_path: Path
) -> None:
    found = examined(aws, settings, tmp_path)["state"]
    account = aws.identity().account
    assert (found.verdict, found.detail) == (
        Verdict.WARN,
        f"there is no bucket hubfleet-state-{account}-{aws.region} yet",
    )
    states.ensure(aws, states.name(account, aws.region))
    assert examined(aws, settings, tmp_path)["state"].verdict is Verdict.OK


def test_vcpus_are_those_of_all_machines_at_the_most(aws: Aws, settings: Settings) -> None:
    # hub m7i.large and Chef server t3.small have 2, a worker 4; one of 30 is on-demand.
    assert checks.vcpus(aws, settings) == (2 + 2 + 4, 29 * 4)


def test_a_quota_that_may_not_be_asked_is_a_failure_of_its_own(
    aws: Aws, settings: Settings, tmp_path: Path
) -> None:
    with Stubber(aws.client("service-quotas")) as stub:
        stub.add_client_error("get_service_quota", "AccessDeniedException", "not you")
        found = checks.examine(ENVIRONMENT, settings, aws, tmp_path)
    by_name = {check.name: check for check in found}
    assert "does not allow service-quotas:GetServiceQuota" in by_name["quotas"].detail
    assert by_name["zone"].detail == "the account has no public zone example.org"


def test_without_credentials_the_account_is_said_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = checks.examine(ENVIRONMENT, settings, Aws(settings.fleet.aws.region), tmp_path)
    failed = [check.name for check in found if check.verdict is Verdict.FAIL]
    assert [name for name in failed if name not in {"tofu", checks.PLUGIN}] == ["account"]
    left = [check.name for check in found if check.detail.startswith("not checked")]
    assert left == ["region", "quotas", "zone", "machine images", "state"]


def test_a_machine_without_tofu(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBFLEET_TOOLS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    found = checks.examine(ENVIRONMENT, settings, Aws(settings.fleet.aws.region), tmp_path)
    by_name = {check.name: check.verdict for check in found}
    assert by_name["tofu"] is Verdict.FAIL
    assert (by_name["packer"], by_name[checks.PLUGIN]) == (Verdict.WARN, Verdict.FAIL)


def test_an_old_tofu_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "tofu"
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.9.4"}\'\n')
    old.chmod(0o755)
    monkeypatch.setenv("HUBFLEET_TOOLS", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    found = checks.examine(ENVIRONMENT, settings, Aws(settings.fleet.aws.region), tmp_path)
    (tofu,) = [check for check in found if check.name == "tofu"]
    assert (tofu.verdict, tofu.detail) == (Verdict.FAIL, "1.9.4 cannot lock a state in S3")


def test_the_role_that_plans_on_github_may_ask_all_of_it(
    aws: Aws, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = set()

    def note(params: object, model: Any, **rest: object) -> None:
        asked.add(f"{model.service_model.signing_name}:{model.name}")

    monkeypatch.setenv(states.STATE_BUCKET, "nobodys-states")
    bake(aws, tmp_path)
    for service in ("ec2", "service-quotas", "route53", "s3", "sts"):
        aws.client(service).meta.events.register("before-parameter-build", note)
    examined(aws, settings, tmp_path)
    free = {"sts:GetCallerIdentity"}
    # AWS asks for another action than the request's name here alone.
    names = {"s3:ListBucket" if each == "s3:HeadBucket" else each for each in asked} - free
    assert len(names) == 6
    text = (ROOT / "terraform/bootstrap/plan.tf").read_text()
    assert names - set(re.findall(r'"([a-z0-9]+:[A-Za-z]+)"', text)) == set()
