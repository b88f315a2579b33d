"""Packer itself reads packer/: format, plug-ins, every environment on AWS, and what is wrong there.

Needs no account and no network. Skipped where Packer is neither on the PATH nor in $HUBFLEET_TOOLS.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet.clients import infra_tools
from hubfleet.clients.infra_tools import Tool
from hubfleet.clients.process import Completed
from hubfleet.image_build import cache_dir
from hubfleet.settings import ROOT, environments, load

ON_AWS = [name for name in environments() if load(name).fleet.backend == "aws"]


@pytest.fixture(scope="module")
def packer() -> Tool:
    tool = infra_tools.find(infra_tools.PACKER, cache_dir())
    if tool is None:
        pytest.skip("Packer is not installed: packer/ is checked by the static tests only")
    return tool


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Yield a copy of what Packer reads, to change."""
    for folder in ("packer", "environments", "roles", "images/node"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "packer" / "manifest.json").unlink(missing_ok=True)
    yield tmp_path


def validate(packer: Tool, root: Path, environment: str, *more: str) -> Completed:
    given = [f"-var=environment={environment}", "-var=inputs=/nonexistent", *more]
    init = packer.run(["init", "packer"], cwd=root, check=False)
    assert init.returncode == 0, init.stdout + init.stderr
    return packer.run(["validate", *given, "packer"], cwd=root, check=False)


def test_the_files_are_formatted(packer: Tool) -> None:
    done = packer.run(["fmt", "-check", "-diff", "packer"], cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("environment", ON_AWS)
def test_every_environment_on_aws_is_valid(packer: Tool, environment: str) -> None:
    done = validate(packer, ROOT, environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("-var=registry=docker.io/somebody", "Expected something such as"),
        ("-var=revision=main", "Expected a commit's hash"),
        ("-var=keep_days=0", "whole number of days"),
        ("-var=subnet_id=here", "Expected an id such as"),
    ],
)
def test_wrong_values_are_refused_in_words(packer: Tool, given: str, said: str) -> None:
    done = validate(packer, ROOT, ON_AWS[0], given)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_an_unknown_environment_is_refused(packer: Tool) -> None:
    done = validate(packer, ROOT, "nowhere")
    assert done.returncode != 0
    assert "environments/nowhere.json" in done.stdout + done.stderr


def test_what_the_plug_in_does_not_know_is_seen(packer: Tool, checkout: Path) -> None:
    file = checkout / "packer" / "source.pkr.hcl"
    file.write_text(file.read_text().replace("encrypt_boot ", "encrypt_boots "))
    done = validate(packer, checkout, ON_AWS[0])
    assert done.returncode != 0
    assert "encrypt_boots" in done.stdout + done.stderr


def test_a_script_that_is_missing_is_seen(packer: Tool, checkout: Path) -> None:
    (checkout / "packer" / "scripts" / "090-clean").unlink()
    done = validate(packer, checkout, ON_AWS[0])
    assert done.returncode != 0
    assert "090-clean" in done.stdout + done.stderr
