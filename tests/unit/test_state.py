"""Deployments on disk: names, records, permissions, and the lock between real processes."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hubfleet.errors import LockedError, PreconditionError, UsageError
from hubfleet.settings import ROOT
from hubfleet.state import Deployment, Ports, check_name, deployments, resolve_name, write_private

HOLD = """
import sys, time
from pathlib import Path
from hubfleet.state import Deployment
with Deployment("local", "local", Path(sys.argv[1])).lock("deploy"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.create("local", "local", Ports(), tmp_path)


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["local", "a", "class-7", "x" * 31])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Local", "7up", "-x", "a_b", "../bob", "a b", "x" * 32, "é", "a\n", "log"]
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as error:
        check_name(name)
    assert repr(name) in error.value.message


def test_the_name_comes_from_option_environment_variable_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HUBFLEET_DEPLOYMENT", raising=False)
    assert resolve_name(None, None) == "local"
    assert resolve_name(None, "staging") == "staging"
    monkeypatch.setenv("HUBFLEET_DEPLOYMENT", "mine")
    assert resolve_name(None, None) == "mine"
    assert resolve_name("other", None) == "other"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Deployment.create("mine", "local", Ports.block(9000), tmp_path)
    assert Deployment.open("mine", None, tmp_path) == made
    assert made.url == "https://localhost:9000"
    assert made.chef_server_url == "https://localhost:9001/organizations/hubfleet"
    assert made.registry_push == "localhost:9002"
    assert deployments(tmp_path) == ["mine"]


def test_an_unknown_deployment_names_the_nearest(tmp_path: Path) -> None:
    Deployment.create("biology", "local", Ports(), tmp_path)
    with pytest.raises(PreconditionError, match="did you mean 'biology'"):
        Deployment.open("bioligy", None, tmp_path)


def test_another_environment_than_the_recorded_is_refused(deployment: Deployment) -> None:
    with pytest.raises(UsageError, match="is of environment 'local', not 'staging'"):
        Deployment.open("local", "staging", deployment.root)


@pytest.mark.parametrize("content", ["", "[]", '{"name": "local"}', '{"name": 1, "x": 2}', "{"])
def test_a_broken_record_is_an_error_with_a_cure(deployment: Deployment, content: str) -> None:
    deployment.file.write_text(content)
    with pytest.raises(PreconditionError, match="is broken") as error:
        Deployment.open("local", None, deployment.root)
    assert "destroy" in error.value.hint


@pytest.mark.parametrize("first", [0, 65534, -1])
def test_ports_that_cannot_be(first: int) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Ports.block(first)


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        deployment = Deployment.create("local", "local", Ports(), tmp_path)
        write_private(deployment.secrets_dir / "hub" / "token", "x")
        with deployment.lock("deploy"):
            pass
    finally:
        os.umask(old)
    found = [tmp_path / ".state", *(tmp_path / ".state").rglob("*")]
    assert len(found) == 7
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_failed_write_leaves_the_old_content_and_no_rest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "\ud800")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_held_lock_names_its_holder(deployment: Deployment) -> None:
    with (
        holder(deployment.root) as process,
        pytest.raises(LockedError) as error,
        deployment.lock("destroy"),
    ):
        pass
    assert error.value.exit_code == 3
    assert f"runs `deploy` (process {process.pid}, since 2" in error.value.message
    assert error.value.hint.endswith(f"kill {process.pid}")


def test_a_killed_holder_is_no_obstacle(deployment: Deployment) -> None:
    with holder(deployment.root) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with deployment.lock("deploy"):
            assert json.loads(deployment.lock_file.read_text())["pid"] == os.getpid()


def test_a_lock_is_free_again_after_use_and_after_an_error(deployment: Deployment) -> None:
    with pytest.raises(KeyError), deployment.lock("deploy"):
        raise KeyError
    with deployment.lock("deploy"):
        pass
    assert deployment.lock_file.read_text() == ""


def test_a_lock_whose_file_was_removed_does_not_lock_out(deployment: Deployment) -> None:
    with deployment.lock("destroy"):
        deployment.lock_file.unlink()
        with deployment.lock("deploy"):
            assert deployment.lock_file.exists()
