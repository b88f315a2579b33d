"""Tags are hashes of inputs; what a machine adds to a build is not among them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfleet import image_machine, images
from hubfleet.errors import SettingsError, UsageError
from hubfleet.image_build import gem_files
from hubfleet.image_inputs import gem_closure, image_sources

LOCK = """GEM
  remote: https://example.org/
  specs:
    aws-sdk-ssm (1.228.0)
    chef-bin (18.1.0)
      chef (= 18.1.0)
    chef (18.1.0)
      ffi (>= 1.15)
      missing-here (~> 1)
      ring
    chef-zero (15.0.1)
    ffi (1.16.3)
    ffi (1.16.3-x86_64-linux-gnu)
    mixlib-authentication (3.0.1)
    puma (6.6.1)
      nio4r (~> 2.0)
    nio4r (2.7.5)
    rack (3.2.1)
    ring (1.0)
      chef
    unrelated (1.0)

PLATFORMS
  ruby

DEPENDENCIES
  chef-bin (~> 18.0)
"""

FILES = {
    "Gemfile.lock": LOCK,
    "images/base/base.json": "{}",
    "images/node/Dockerfile": "FROM base",
    "images/hub/Dockerfile": "FROM base",
    "images/hub/requirements.txt": "a==1",
    "images/hub/requirements.in": "a",
    "images/notebook/Dockerfile": "FROM base",
    "hubfleet/__init__.py": "",
    "hubfleet/errors.py": "",
    "hubfleet/settings.py": "",
    "hubfleet/deploy.py": "",
    "hubfleet/hub/spawner.py": "",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def changed(checkout: Path, change: Callable[[], object]) -> set[str]:
    """Return the images whose tag `change` changes."""
    before = images.compute_tags(checkout)
    change()
    after = images.compute_tags(checkout)
    return {name for name in images.NAMES if before[name] != after[name]}


@pytest.mark.parametrize(
    ("path", "affected"),
    [
        ("images/base/base.json", set(images.NAMES)),
        ("images/node/new/file", {"node"}),
        ("images/hub/requirements.txt", {"hub"}),
        ("images/hub/requirements.in", set()),
        ("images/notebook/README.md", set()),
        ("hubfleet/settings.py", {"hub"}),
        ("hubfleet/hub/spawner.py", {"hub"}),
        ("hubfleet/deploy.py", set()),
        ("hubfleet/hub/__pycache__/spawner.cpython-311.pyc", set()),
    ],
)
def test_a_file_changes_the_tags_it_goes_into(
    checkout: Path, path: str, affected: set[str]
) -> None:
    def change() -> None:
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text("other")

    assert changed(checkout, change) == affected


def test_the_right_to_run_is_an_input(checkout: Path) -> None:
    path = checkout / "images/node/Dockerfile"
    assert changed(checkout, lambda: path.chmod(0o755)) == {"node"}


def test_place_and_time_are_no_inputs(checkout: Path, tmp_path_factory: Path) -> None:
    elsewhere = checkout.parent / "a place with spaces"
    shutil.copytree(checkout, elsewhere, copy_function=shutil.copyfile)
    assert images.compute_tags(elsewhere) == images.compute_tags(checkout)


@pytest.mark.parametrize(
    ("old", "new", "affected"),
    [("nio4r (2.7.5)", "nio4r (2.7.6)", {"node"}), ("unrelated (1.0)", "unrelated (2.0)", set())],
)
def test_of_the_gems_only_those_of_a_node_count(
    checkout: Path, old: str, new: str, affected: set[str]
) -> None:
    lock = checkout / "Gemfile.lock"
    assert changed(checkout, lambda: lock.write_text(LOCK.replace(old, new))) == affected


def test_gems_come_after_what_they_depend_on() -> None:
    order = [name for name, _ in gem_closure(LOCK, ("chef-bin", "puma"))]
    assert set(order) == {"chef-bin", "chef", "ffi", "ring", "puma", "nio4r"}
    assert order.index("ffi") < order.index("chef") < order.index("chef-bin")
    assert order.index("nio4r") < order.index("puma")


def test_a_gem_that_the_lock_lacks_is_named() -> None:
    with pytest.raises(SettingsError, match="lacks the gem 'rack'"):
        gem_closure(LOCK.replace("    rack (3.2.1)\n", ""), ("puma", "rack"))


def test_a_missing_gemfile_lock_is_said(checkout: Path) -> None:
    (checkout / "Gemfile.lock").unlink()
    with pytest.raises(SettingsError, match="Gemfile.lock is missing"):
        images.compute_tags(checkout)


def test_the_lock_file_says_what_is_stale(checkout: Path) -> None:
    assert images.write_lock(checkout)
    assert not images.write_lock(checkout)
    assert images.stale(checkout) == []
    (checkout / "images/hub/Dockerfile").write_text("FROM other")
    assert images.stale(checkout) == ["hub"]
    assert images.write_lock(checkout)
    lock = json.loads((checkout / "images/lock.json").read_text())
    assert lock["hub"] == {"tag": images.compute_tags(checkout)["hub"]}
    assert list(lock) == sorted(images.NAMES)
    assert images.reference("hub", checkout) == f"hubfleet/hub:{lock['hub']['tag']}"


@pytest.mark.parametrize("text", ["{", "[]", '{"base": {}}'])
def test_a_broken_lock_file_is_named(checkout: Path, text: str) -> None:
    (checkout / "images/lock.json").write_text(text)
    with pytest.raises(SettingsError, match=r"lock\.json"):
        images.read_lock(checkout)


def test_an_unknown_image_is_refused_with_the_nearest(checkout: Path) -> None:
    from hubfleet.console import Console

    with pytest.raises(UsageError, match="did you mean 'notebook'"):
        images.build(Console(), ["notebok"], checkout)


def test_a_gem_folder_must_be_whole(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout / "gems"
    monkeypatch.setenv("HUBFLEET_GEMS", str(folder))
    assert gem_files(checkout) == []
    folder.mkdir()
    for line in image_sources("node", checkout)["gems.txt"].content.decode().splitlines():
        (folder / f"{line.replace(' ', '-')}.gem").touch()
    assert len(gem_files(checkout)) == 10
    (folder / "puma-6.6.1.gem").unlink()
    with pytest.raises(Exception, match=r"lacks puma-6\.6\.1\.gem"):
        gem_files(checkout)


def test_mirrors_of_debian_are_found_in_both_formats() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64] http://mirror.example/debian bookworm main
deb http://mirror.example/sec bookworm-security main
deb https://vendor.example/apt stable-thing main

Types: deb
URIs: http://second.example/debian
Suites: trixie trixie-updates

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
"""
    found = list(image_machine._mirrors(text))
    assert ("main", "http://mirror.example/debian") in found
    assert ("security", "http://mirror.example/sec") in found
    assert ("main", "http://second.example/debian") in found
    assert not [address for _, address in found if "commented" in address or "src" in address]


def test_a_build_sees_the_machines_index_and_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip/pip.conf").write_text("[global]\nretries = 9\ncert = /here/ca.crt\n")
    (tmp_path / ".npmrc").write_text("registry=https://npm.example/\ncafile=/here/ca.crt\n")
    assert "index-url = https://index.example/simple" in image_machine.pip_configuration()
    assert "retries = 9" in image_machine.pip_configuration()
    assert "/here" not in image_machine.pip_configuration() + image_machine.npm_configuration()
    assert "registry=https://npm.example/\n" in image_machine.npm_configuration()
    assert "export https_proxy=http://proxy.example:3128\n" in image_machine.environment()
