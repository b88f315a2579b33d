"""Machine images: inputs by the locks, Packer's failures as one sentence, the manifest."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from hubfleet import bake, bake_inputs, machine_images
from hubfleet.aws import registry
from hubfleet.clients import git
from hubfleet.clients.aws_fleet import AwsFleet
from hubfleet.errors import CommandError, PreconditionError, UsageError
from hubfleet.image_inputs import image_sources
from hubfleet.machine_images import MachineImage
from hubfleet.settings import load
from hubfleet.state import ROOT

REGION = load("staging").fleet.aws.region


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield AwsFleet(REGION)


def test_the_gems_are_those_of_the_node_image(tmp_path: Path) -> None:
    (made,) = bake_inputs.make(tmp_path, [], ROOT)
    assert made.read_bytes() == image_sources("node", ROOT)["gems.txt"].content


def test_the_checkout_is_what_a_clone_has_as_it_stands(tmp_path: Path) -> None:
    root, inputs = tmp_path / "checkout", tmp_path / "inputs"
    root.mkdir()
    inputs.mkdir()
    for name, text in {".gitignore": "state\n", "state": "secret", "new": "edited"}.items():
        (root / name).write_text(text)
    (root / "Gemfile.lock").write_text((ROOT / "Gemfile.lock").read_text())
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    bake_inputs.make(inputs, ["workstation"], root)
    with tarfile.open(inputs / "checkout.tgz") as tar:
        assert sorted(tar.getnames()) == [".gitignore", "Gemfile.lock", "new"] == git.files(root)


@pytest.mark.parametrize(
    ("environment", "images", "said"),
    [
        ("local", [], "local has no machine images"),
        ("staging", ["nod"], "did you mean 'node'"),
    ],
)
def test_wrong_words_are_refused(environment: str, images: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bake.Request.checked(environment, images, "")


def test_all_images_are_made_where_none_is_named() -> None:
    assert bake.Request.checked("staging", [], "").images == bake_inputs.IMAGES


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("AMI Name: 'x' is used by an existing AMI: ami-1", "there is an image of this name"),
        ("NoCredentialProviders: no valid providers in chain", "there are no AWS credentials"),
        ("UnauthorizedOperation: not authorized to perform: ec2:RunInstances", "does not allow"),
        ("VPCIdNotSpecified: No default VPC for this user", "no default network"),
        ("No AMI was found matching filters", "base image is not to be had"),
        ("dial tcp: lookup ec2: no such host", "network does not lead there"),
        ("something else", "packer build failed"),
    ],
)
def test_what_packer_says_becomes_a_sentence_with_the_next_step(output: str, said: str) -> None:
    error = bake.failure("build", f"==> hubfleet.amazon-ebs.node: {output}\n", Path("bake.log"))
    assert said in error.message
    assert "bake.log" in error.hint
    assert output in error.output


def test_the_newest_image_of_each_kind_is_found_by_its_tags(aws: Any) -> None:
    ids = [_register(aws, image, "staging") for image in ("node", "node", "chef_server")]
    _register(aws, "node", "production")
    found = {image.image: image for image in machine_images.newest(aws, "staging")}
    assert found.keys() == {"node", "chef_server"}
    assert found["chef_server"].ami == ids[2]
    assert found["node"].ami in ids[:2]
    assert found["node"].revision == "abc1234"


def test_the_latest_of_two_is_the_newest() -> None:
    old, new = (MachineImage("node", f"ami-{n}", "", f"2026-0{n}-01T00:00:00Z") for n in (1, 2))
    assert machine_images._newest([new, old]) == [new]


def test_what_is_found_is_noted_once_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "packer").mkdir()
    image = MachineImage("node", "ami-1", "abc1234", "")
    assert machine_images.note(tmp_path, "staging", REGION, [image]) == [image]
    assert machine_images.note(tmp_path, "staging", REGION, [image]) == []
    newer = MachineImage("node", "ami-2", "abc1234", "")
    assert machine_images.note(tmp_path, "staging", REGION, [newer]) == [newer]
    document = machine_images.read(tmp_path)
    assert [b["artifact_id"] for b in document["builds"]] == [f"{REGION}:ami-1", f"{REGION}:ami-2"]
    assert [i.ami for i in machine_images.noted(document, "staging", REGION)] == ["ami-2"]
    assert machine_images.noted(document, "production", REGION) == []


def test_the_manifest_of_terraforms_own_test_is_read_as_terraform_reads_it() -> None:
    document = json.loads((ROOT / "terraform/tests/manifest.json").read_text())
    found = {i.image: i.ami for i in machine_images.noted(document, "production", "eu-central-1")}
    assert found["node"].endswith("3")
    assert found["chef_server"].endswith("2")


def test_a_broken_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer/manifest.json").write_text("[]")
    with pytest.raises(PreconditionError, match="no manifest of Packer"):
        machine_images.read(tmp_path)


def test_the_registry_is_that_of_the_account(aws: Any) -> None:
    address = registry.address("staging", aws)
    assert address.endswith(f".dkr.ecr.{REGION}.amazonaws.com/hubfleet-staging")


def test_a_node_image_needs_the_notebook_image_in_the_registry(aws: Any) -> None:
    request = bake.Request.checked("staging", ["node"], "")
    image = load("staging").images.notebook
    repository = f"hubfleet-staging/{image.repository}"
    with pytest.raises(PreconditionError, match=f"no {repository}:{image.tag} yet"):
        bake._require_notebook(request, aws)
    aws.call("ecr", "create_repository", repositoryName=repository)
    with pytest.raises(PreconditionError, match="yet"):
        bake._require_notebook(request, aws)
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:0"}, "layers": []})
    aws.call(
        "ecr",
        "put_image",
        repositoryName=repository,
        imageManifest=manifest,
        imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
        imageTag=image.tag,
    )
    bake._require_notebook(request, aws)


def test_without_credentials_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(CommandError, match="no AWS credentials"):
        registry.address("staging", AwsFleet(REGION))


def _register(aws: Any, image: str, environment: str) -> str:
    ami: str = aws.call("ec2", "register_image", Name=f"{environment}-{image}")["ImageId"]
    tags = {
        "hubfleet.image": image,
        "hubfleet.deployment": environment,
        "hubfleet.revision": "abc1234",
    }
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    aws.call("ec2", "create_tags", Resources=[ami], Tags=listed)
    return ami
