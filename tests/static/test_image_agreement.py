"""Packer and Terraform agree, with each other and with roles and environments."""

from pathlib import Path

import pytest

from tests.static.hcl import Stack
from tests.static.image_agreement import RULES, Pair
from tests.static.packer_files import Packer

MUTATIONS = [
    (
        "images_have_the_same_names",
        "locals.tf",
        'image = "node", type = local.aws.instances.hub',
        'image = "hub", type = local.aws.instances.hub',
    ),
    (
        "images_have_the_same_names",
        "build.pkr.hcl",
        '    name            = "chef_server"',
        '    name = "chef"',
    ),
    (
        "images_have_the_same_names",
        "build.pkr.hcl",
        "${local.name}-node-${local.made}",
        "node-${local.made}",
    ),
    (
        "images_have_the_same_names",
        "build.pkr.hcl",
        '"hubfleet.image" = "node"',
        '"hubfleet.image" = "worker"',
    ),
    ("images_have_the_same_names", "variables.tf", '["node", "chef_server"]', '["node", "chef"]'),
    (
        "the_manifest_has_what_is_read",
        "locals.tf",
        "build.custom_data.image =>",
        "build.custom_data.kind =>",
    ),
    (
        "the_manifest_has_what_is_read",
        "build.pkr.hcl",
        "environment = var.environment",
        "env = var.environment",
    ),
    (
        "the_manifest_has_what_is_read",
        "build.pkr.hcl",
        "image       = source.name",
        "image = build.name",
    ),
    ("the_manifest_has_what_is_read", "build.pkr.hcl", "manifest.json", "images.json"),
    (
        "artifacts_are_one_image_of_one_region",
        "locals.tf",
        "build.artifact_id)[1]",
        "build.artifact_id)[0]",
    ),
    ("artifacts_are_one_image_of_one_region", "locals.tf", '"${local.aws.region}:")', '"eu")'),
    (
        "artifacts_are_one_image_of_one_region",
        "source.pkr.hcl",
        "  region        = local.aws.region",
        '  region = "here"',
    ),
    (
        "artifacts_are_one_image_of_one_region",
        "source.pkr.hcl",
        "  encrypt_boot = true",
        '  encrypt_boot = true\n  ami_regions = ["x"]',
    ),
    (
        "the_newest_image_wins",
        "locals.tf",
        "reverse(local.baked[machine.image])",
        "(local.baked[machine.image])",
    ),
    ("root_volumes_are_the_same", "launch_templates.tf", '"/dev/xvda"', '"/dev/sda1"'),
    ("root_volumes_are_the_same", "source.pkr.hcl", '"/dev/xvda"', '"/dev/sda1"'),
    ("root_volumes_are_the_same", "source.pkr.hcl", '"gp3"', '"gp2"'),
    ("root_volumes_are_the_same", "source.pkr.hcl", "local.disks.root_gb", "local.disks.worker_gb"),
    ("metadata_service_is_the_same", "launch_templates.tf", "hop_limit = 1", "hop_limit = 2"),
    ("environments_are_read_alike", "locals.pkr.hcl", "../environments/", "../roles/"),
    ("environments_are_read_alike", "variables.pkr.hcl", "^[a-z][a-z0-9-]{1,20}$", "^[a-z]+$"),
    (
        "environments_are_read_alike",
        "source.pkr.hcl",
        "local.aws.base_image.name",
        "local.aws.base_image.title",
    ),
    (
        "names_and_tags_are_the_same",
        "locals.pkr.hcl",
        '"hubfleet-${var.environment}"',
        '"hub-${var.environment}"',
    ),
    ("names_and_tags_are_the_same", "locals.pkr.hcl", '"hubfleet.managed-by"', '"managed-by"'),
    (
        "names_and_tags_are_the_same",
        "locals.pkr.hcl",
        '"hubfleet.deployment" = var.environment',
        '"hubfleet.deployment" = "x"',
    ),
    (
        "the_builder_reads_the_repositories_of_the_stack",
        "source.pkr.hcl",
        "repository/${local.name}/*",
        "repository/*",
    ),
    (
        "the_builder_reads_the_repositories_of_the_stack",
        "registry.tf",
        '= "${local.name}/${each.value}"',
        "= each.value",
    ),
    (
        "the_builder_reads_the_repositories_of_the_stack",
        "registry.tf",
        "${local.account}.dkr.ecr.",
        "${local.account}.ecr.",
    ),
    (
        "roles_have_machines_and_images",
        "locals.tf",
        "    swarm_worker = { image",
        "    worker = { image",
    ),
    (
        "roles_have_machines_and_images",
        "build.pkr.hcl",
        "inputs}/swarm_worker.tgz",
        "inputs}/worker.tgz",
    ),
    (
        "roles_have_machines_and_images",
        "build.pkr.hcl",
        '"node" ? "swarm_worker"',
        '"node" ? "chef_server"',
    ),
]


@pytest.fixture(scope="module")
def pair(root: Path) -> Pair:
    return Pair(Packer.read(root / "packer"), Stack.read(root / "terraform"))


@pytest.mark.parametrize("name", RULES)
def test_they_agree(pair: Pair, name: str) -> None:
    assert list(RULES[name](pair)) == []


@pytest.mark.parametrize(("rule", "file", "old", "new"), MUTATIONS)
def test_a_difference_is_seen(pair: Pair, rule: str, file: str, old: str, new: str) -> None:
    assert list(RULES[rule](pair.changed(file, old, new)))


def test_every_rule_was_seen_red() -> None:
    assert {rule for rule, *_ in MUTATIONS} == set(RULES)
