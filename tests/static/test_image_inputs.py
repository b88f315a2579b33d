"""What images are built from is locked, names no package index and says so for every machine."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from hubfleet import images

LOCKED = ["hub/requirements", "hub/build-requirements", "notebook/requirements"]
LEFT_OUT = {"aiodns", "pycares", "rfc3987-syntax"}


def requirements(text: str) -> dict[str, str]:
    """Return the blocks of a requirements lock by distribution name."""
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return {block.split("==")[0].strip(): block for block in blocks}


@pytest.mark.parametrize("name", LOCKED)
def test_every_requirement_is_pinned_and_hashed(root: Path, name: str) -> None:
    for block in requirements((root / f"images/{name}.txt").read_text()).values():
        assert re.match(r"[a-z0-9.-]+==[\w.]+ \\\n +--hash=sha256:[0-9a-f]{64}", block), block


@pytest.mark.parametrize("name", LOCKED)
def test_locks_name_no_index(root: Path, name: str) -> None:
    text = (root / f"images/{name}.txt").read_text()
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("name", LOCKED)
def test_every_wanted_requirement_is_locked(root: Path, name: str) -> None:
    locked = requirements((root / f"images/{name}.txt").read_text())
    for line in (root / f"images/{name}.in").read_text().splitlines():
        if wanted := re.match(r"[a-z0-9-]+", line):
            assert wanted[0] in locked


@pytest.mark.parametrize("name", LOCKED)
def test_what_harms_is_left_out(root: Path, name: str) -> None:
    assert not LEFT_OUT & set(requirements((root / f"images/{name}.txt").read_text()))


def test_hub_and_servers_have_the_same_jupyterhub(root: Path) -> None:
    versions = {
        requirements((root / f"images/{name}/requirements.txt").read_text())["jupyterhub"]
        for name in ("hub", "notebook")
    }
    assert len({block.split(" \\")[0] for block in versions}) == 1


def test_the_proxy_is_locked_with_hashes_and_without_addresses(root: Path) -> None:
    lock = json.loads((root / "images/hub/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "node_modules/configurable-http-proxy" in packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


@pytest.mark.parametrize("name", [name for name in images.NAMES if name != "base"])
def test_the_last_stage_never_sees_the_machine(root: Path, name: str) -> None:
    last = (root / f"images/{name}/Dockerfile").read_text().split("\nFROM ")[-1]
    assert last.startswith("scratch\n")
    assert "machine" not in last


@pytest.mark.parametrize("path", sorted(Path("images").rglob("*packages.txt"), key=str))
def test_package_lists_are_sorted(root: Path, path: Path) -> None:
    lines = (root / path).read_text().splitlines()
    assert lines == sorted(set(lines))


def test_scripts_pass_shellcheck(root: Path) -> None:
    scripts = [
        path
        for path in sorted((root / "images").rglob("*"))
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/")
    ]
    assert len(scripts) >= 3
    subprocess.run(["shellcheck", *scripts], check=True)


def test_the_lock_file_is_up_to_date(root: Path) -> None:
    assert images.stale(root) == [], "run ./invoke images.build"
