"""packer/: rules over its files, each seen red; images/node agrees with it."""

import re
from pathlib import Path

import pytest

from tests.static.packer_files import Packer
from tests.static.packer_rules import RULES

MUTATIONS = [
    ("described_and_typed", "variables.pkr.hcl", "  type        = number\n", ""),
    ("plugins_are_exact", "plugins.pkr.hcl", '"1.3.4"', '"~> 1.3"'),
    ("encrypted", "source.pkr.hcl", "encrypt_boot = true", "encrypt_boot = false"),
    ("encrypted", "source.pkr.hcl", "encrypted             = true", "encrypted = false"),
    (
        "encrypted",
        "source.pkr.hcl",
        "encrypt_boot = true",
        'encrypt_boot = true\n  ami_groups = ["all"]',
    ),
    ("metadata_by_token", "source.pkr.hcl", '= "required"', '= "optional"'),
    ("metadata_by_token", "source.pkr.hcl", '"v2.0"', '""'),
    ("metadata_by_token", "source.pkr.hcl", "hop_limit = 1", "hop_limit = 2"),
    ("ssh_from_here_only", "source.pkr.hcl", "source_public_ip = true", "source_public_ip = false"),
    (
        "ssh_from_here_only",
        "source.pkr.hcl",
        "authorized_keys                 = true",
        "authorized_keys = false",
    ),
    ("tagged", "source.pkr.hcl", "snapshot_tags   = local.tags", "snapshot_tags = {}"),
    ("tagged", "build.pkr.hcl", "merge(local.tags, {", "merge({}, {"),
    ("wildcards_have_reasons", "source.pkr.hcl", "# reason: this", "# this"),
    ("nothing_of_an_account_or_region", "source.pkr.hcl", "local.aws.region", '"eu-central-1"'),
]


@pytest.fixture(scope="module")
def packer(root: Path) -> Packer:
    return Packer.read(root / "packer")


@pytest.mark.parametrize("name", RULES)
def test_the_rules_hold(packer: Packer, name: str) -> None:
    assert RULES[name](packer) == []


@pytest.mark.parametrize(("rule", "file", "old", "new"), MUTATIONS)
def test_each_rule_sees_its_setting(
    packer: Packer, rule: str, file: str, old: str, new: str
) -> None:
    assert RULES[rule](packer.changed(file, old, new))


def test_every_rule_was_seen_red() -> None:
    assert {rule for rule, *_ in MUTATIONS} == set(RULES)


def test_every_file_that_is_run_or_uploaded_is_there(packer: Packer, root: Path) -> None:
    text = packer.texts["build.pkr.hcl"]
    named = re.findall(r"\$\{path\.root\}/([\w./-]+)", text)
    missing = [name for name in named if not (root / "packer" / name).exists()]
    assert missing == ["manifest.json"] or not missing
    scripts = {f"scripts/{path.name}" for path in (root / "packer/scripts").iterdir()}
    assert scripts <= set(named), "a script that no image runs"


def test_machines_are_made_from_the_files_of_the_node_image(root: Path) -> None:
    script = (root / "packer/scripts/010-system").read_text()
    used = set(re.findall(r"\$node/([\w.-]+)", script))
    made_there = {"gems.txt"}
    folder = root / "images/node"
    assert {path.name for path in folder.iterdir()} - {
        "Dockerfile",
        "masked-units.txt",
    } == used - made_there
