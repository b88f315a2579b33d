"""Checks of this machine: ports, disk, verdicts, what they become."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet import doctor
from hubfleet.clients.engine import EngineInfo
from hubfleet.console import Console
from hubfleet.doctor import Check, Verdict, as_json, examine, port_is_free, require
from hubfleet.errors import PreconditionError
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports

GOOD = Check("engine", Verdict.OK, "Docker 28")
WARNING = Check("memory", Verdict.WARN, "2.0 GB", "4 GB are better")
FAILURE = Check("disk", Verdict.FAIL, "1.0 GB free", "make room")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_port_that_somebody_listens_on_is_taken(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert not port_is_free("127.0.0.1", port)
    listener.close()
    assert port_is_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_an_error_with_a_cure() -> None:
    with pytest.raises(PreconditionError, match="192.0.2.1") as error:
        port_is_free("192.0.2.1", 9000)
    assert "fleet.local.bind_address" in error.value.hint


def test_failures_are_code_3_with_a_cure_and_warnings_are_said() -> None:
    words = io.StringIO()
    console = Console(stderr=words)
    require(console, [GOOD, WARNING])
    assert words.getvalue() == "warning: memory: 2.0 GB; 4 GB are better\n"
    with pytest.raises(PreconditionError, match="disk: 1.0 GB free") as error:
        require(console, [GOOD, FAILURE])
    assert (error.value.hint, error.value.exit_code) == ("make room", 3)


def test_json_says_at_once_whether_all_is_well() -> None:
    assert as_json([GOOD, WARNING])["ok"] is True
    document = json.loads(json.dumps(as_json([GOOD, FAILURE])))
    assert document == {
        "ok": False,
        "checks": [
            {"name": "engine", "verdict": "ok", "detail": "Docker 28", "fix": ""},
            {"name": "disk", "verdict": "fail", "detail": "1.0 GB free", "fix": "make room"},
        ],
    }


def found(deployment: Deployment, name: str) -> Check:
    return next(c for c in examine(deployment, load("local")) if c.name == name)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment that is not recorded, on an engine that is in a Swarm of the user's own."""
    info = EngineInfo("28.0", 2, tmp_path / "not" / "there", True, 8 * 10**9, 2)
    monkeypatch.setattr("hubfleet.clients.engine.info", lambda: info)
    monkeypatch.setattr("hubfleet.clients.engine.published_ports", lambda _label: {8445})
    monkeypatch.setattr(doctor, "port_is_free", lambda _address, port: port == 8443)
    return Deployment("x", "local", tmp_path, Ports(8443, 8443, 8445))


def test_a_swarm_of_the_user_s_own_is_no_obstacle(deployment: Deployment) -> None:
    check = found(deployment, "own swarm")
    assert check.verdict is Verdict.OK
    assert "Swarm of yours" in check.detail


def test_little_disk_is_a_failure(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(deployment, "disk").verdict is Verdict.OK
    monkeypatch.setattr(doctor, "DISK_NEEDED", 10**18)
    check = found(deployment, "disk")
    assert check.verdict is Verdict.FAIL
    assert "GB free at" in check.detail


def test_a_taken_port_names_the_option_that_helps(deployment: Deployment) -> None:
    assert found(deployment, "ports").verdict is Verdict.OK
    taken = Deployment("x", "local", deployment.root, Ports(8443, 8444, 8445))
    check = found(taken, "ports")
    assert check.verdict is Verdict.FAIL
    assert check.detail == "8444 taken by another program"
    assert "--port N" in check.fix


def test_a_missing_lock_does_not_hide_the_other_checks(deployment: Deployment) -> None:
    checks = examine(deployment, load("local"))
    assert [c.name for c in checks if c.verdict is Verdict.FAIL] == ["images"]
    assert len(checks) == 12
