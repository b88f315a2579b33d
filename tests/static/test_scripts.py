"""The scripts that run before anything is installed, each in a checkout of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

LOSES_FILES = """
. "$1/bin/_env.bash"
. "$1/bin/_setup.bash"
bundle() { rm -f -- "$BUNDLE_CACHE_PATH"/*.gem; }
mkdir -p -- "$cache"
gems_from "$2"
"""
"""Bundler removes from its cache_path what the lock does not name: here it removes everything."""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the scripts at a path that breaks careless quoting."""
    copy = tmp_path / "a checkout; it's $HOME"
    shutil.copytree(root / "bin", copy / "bin")
    for name in ("invoke", "activate", "Gemfile", "Gemfile.lock"):
        shutil.copy(root / name, copy / name)
    return copy


def run(argv: list[str | Path], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environment}
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def test_a_gem_folder_is_never_shown_to_bundler(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gem folder"
    folder.mkdir()
    (folder / "rack-3.2.8.gem").write_text("a gem")
    cache = tmp_path / "cache dir"
    done = run(
        ["bash", "-euo", "pipefail", "-c", LOSES_FILES, "test", checkout, folder],
        tmp_path,
        HUBFLEET_CACHE=str(cache),
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "rack-3.2.8.gem").read_text() == "a gem"
    assert not list(cache.glob("gem-links*"))


def test_no_deployment_is_a_clear_error(checkout: Path) -> None:
    (checkout / ".state" / "class" / "chef").mkdir(parents=True)
    (checkout / ".state" / "class" / "chef" / "config.rb").touch()
    for argv in (["knife", "node", "list"], ["chef", "push", "local", "policyfiles/hub.rb"]):
        done = run([checkout / "bin" / argv[0], *argv[1:]], checkout)
        assert done.returncode == 3
        assert "no deployment 'local'" in done.stderr
        assert "here are: class" in done.stderr


def test_the_named_deployments_configuration_is_found(checkout: Path) -> None:
    config = checkout / ".state" / "class" / "chef" / "config.rb"
    config.parent.mkdir(parents=True)
    config.touch()
    done = run([checkout / "bin" / "_server_config"], checkout, HUBFLEET_DEPLOYMENT="class")
    assert (done.returncode, done.stdout) == (0, f"{config}\n")


def test_an_engine_elsewhere_that_is_silent_is_not_replaced(checkout: Path) -> None:
    done = run([checkout / "bin" / "_engine"], checkout, DOCKER_HOST="tcp://127.0.0.1:9")
    assert done.returncode == 3
    assert "DOCKER_HOST=tcp://127.0.0.1:9 does not answer" in done.stderr
    assert not (checkout / ".state").exists()
