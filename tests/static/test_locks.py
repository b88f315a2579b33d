"""The locks of Python packages and Ruby gems are complete and name no machine's own index."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.static.conftest import Module

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def locks(files: list[Path]) -> list[Path]:
    return [
        path
        for path in files
        if path.suffix == ".txt" and "requirement" in f"{path.parent}{path.name}"
    ]


def entries(lock: Path) -> list[str]:
    """Return one string for each requirement, its continued lines joined."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [entry for entry in "\n".join(lines).replace("\\\n", " ").splitlines() if entry.strip()]


def test_there_are_locks(files: list[Path], root: Path) -> None:
    assert root / "requirements" / "operator.txt" in locks(files)


def test_every_requirement_is_pinned_and_hashed(files: list[Path]) -> None:
    for lock in locks(files):
        for entry in entries(lock):
            assert PIN.match(entry), f"{lock}: {entry[:80]}"
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"{lock}: {entry[:80]}"


def test_no_lock_names_an_index(files: list[Path]) -> None:
    for lock in locks(files):
        text = lock.read_text()
        assert "://" not in text, lock
        assert "index-url" not in text and "find-links" not in text, lock


def asked_for(root: Path) -> list[Requirement]:
    """Return the direct dependencies of the project, those of its extras included."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts]


def test_the_lock_satisfies_what_the_project_asks_for(root: Path) -> None:
    lock = (root / "requirements" / "operator.txt").read_text()
    pinned = {canonicalize_name(name): version for name, version in PIN.findall(lock)}
    for wanted in asked_for(root):
        version = pinned.get(canonicalize_name(wanted.name))
        assert version and wanted.specifier.contains(version), f"{wanted}: the lock has {version}"
    project = tomllib.loads((root / "pyproject.toml").read_text())
    for name in project["tool"]["uv"]["exclude-dependencies"]:
        assert canonicalize_name(name) not in pinned


def test_what_is_imported_is_asked_for(root: Path, files: list[Path]) -> None:
    asked = {canonicalize_name(wanted.name) for wanted in asked_for(root)}
    providers = importlib.metadata.packages_distributions()
    folders = [root / "hubfleet", root / "tests"]
    for path in files:
        if path.suffix != ".py" or not any(path.is_relative_to(folder) for folder in folders):
            continue
        tops = {name.split(".")[0] for name in Module(path).imports} - set(sys.stdlib_module_names)
        for top in tops - {"hubfleet", "tests"}:
            names = {canonicalize_name(name) for name in providers.get(top, [])}
            # SQLAlchemy, Tornado, traitlets: JupyterHub's own parts, in the version that it wants.
            assert names & (asked | {"sqlalchemy", "tornado", "traitlets"}), f"{path}: {top}"


@pytest.fixture
def gem_lock(root: Path) -> str:
    return (root / "Gemfile.lock").read_text()


def test_the_bundle_leaves_the_bundler_version_open(gem_lock: str) -> None:
    # Newer Bundlers would stop and look for the named version on the network.
    assert "BUNDLED WITH" not in gem_lock


def test_the_bundle_has_every_gem_and_its_reason(root: Path, gem_lock: str) -> None:
    lines = (root / "Gemfile").read_text().splitlines()
    asked = [line for line in lines if line.startswith("gem ")]
    for line in asked:
        assert re.match(r"gem '[\w-]+', '~> [\d.]+' # \w", line), line
    locked = gem_lock.split("DEPENDENCIES\n")[1].split("\n\n")[0].splitlines()
    names = [line.split()[0] for line in locked if line.strip()]
    assert sorted(re.findall(r"^gem '([\w-]+)'", "\n".join(asked), re.MULTILINE)) == sorted(names)


def test_the_bundle_serves_every_platform(gem_lock: str) -> None:
    platforms = gem_lock.split("PLATFORMS\n")[1].split("\n\n")[0].split()
    assert {"ruby", "x86_64-linux"} <= set(platforms)
