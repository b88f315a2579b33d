"""Holds as files of nodes: written, read, waited for, by the very shell that nodes run."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet import holds
from hubfleet.clients.process import Completed
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.holds import Hold

NODE = Instance("i-1", Role.HUB, State.RUNNING, "", datetime.now(UTC), "c")
HOLD = Hold("local-1", "ann@desk", "2026-01-02T03:04:05+00:00", "rollout of hub b", "a" * 64)


class Here(Fleet):
    """A node that is this machine; `state` is what its systemd says of chef-client."""

    def __init__(self, bin_: Path) -> None:
        self.bin = bin_
        self.say("inactive")

    def say(self, state: str) -> None:
        """Put a systemctl in place that says this."""
        self.bin.mkdir(exist_ok=True)
        program = self.bin / "systemctl"
        program.write_text(f"#!/bin/sh\necho {state}\n")
        program.chmod(0o755)

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        path = f"{self.bin}:/usr/bin:/bin"
        done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": path}, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def list(self) -> Instances:
        return [NODE]

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise NotImplementedError

    def start(self, instance_id: str) -> None:
        raise NotImplementedError

    def terminate(self, instance_id: str) -> None:
        raise NotImplementedError

    def console_output(self, instance_id: str) -> str:
        raise NotImplementedError


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(holds, "HOLD", str(tmp_path / "hold"))
    monkeypatch.setattr(holds, "UNIT", str(tmp_path / "unit"))
    monkeypatch.setattr(holds, "RUN_LOCK", str(tmp_path / "lock"))
    (tmp_path / "unit").write_text(f"ConditionPathExists = !{tmp_path / 'hold'}\n")
    return Here(tmp_path / "bin")


def test_a_hold_is_there_until_it_is_lifted(fleet: Here) -> None:
    assert holds.read(fleet, NODE) is None
    holds.put(fleet, NODE, HOLD)
    assert holds.read(fleet, NODE) == HOLD
    assert holds.read_all(fleet, [NODE]) == {"i-1": HOLD}
    for _ in range(2):
        holds.lift(fleet, NODE)
    assert holds.read(fleet, NODE) is None


def test_a_node_whose_unit_has_no_condition_is_not_held(fleet: Here, tmp_path: Path) -> None:
    (tmp_path / "unit").write_text("[Unit]\n")
    with pytest.raises(PreconditionError, match="knows no holds"):
        holds.put(fleet, NODE, HOLD)
    assert holds.read(fleet, NODE) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"who": "ann"}'])
def test_what_cannot_be_read_holds_all_the_same(text: str) -> None:
    assert "cannot be read" in holds.parse(text).why
    assert holds.parse(str(asdict(HOLD)).replace("'", '"').replace("False", "false")) == HOLD


def test_a_converge_of_the_timer_is_waited_for(fleet: Here) -> None:
    fleet.say("activating")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            fleet.say("inactive")

    holds.wait_idle(fleet, [NODE], sleep=sleep)
    assert len(slept) == 2


def test_a_converge_that_somebody_typed_is_waited_for_and_not_for_ever(
    fleet: Here, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    argv = ["flock", str(lock), "sh", "-c", "echo locked; read line"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as chef:
        assert chef.stdout and chef.stdout.readline() == "locked\n"
        clock = iter(range(0, 1000, 10))
        with pytest.raises(PreconditionError, match="has been running for 30 s on hub i-1"):
            holds.wait_idle(fleet, [NODE], 30, lambda: float(next(clock)), lambda _: None)
        chef.communicate("\n")
    holds.wait_idle(fleet, [NODE])


def test_a_node_that_does_not_run_is_not_asked(fleet: Here) -> None:
    stopped = Instance("i-2", Role.HUB, State.STOPPED, "", datetime.now(UTC), "c")
    holds.put(fleet, NODE, HOLD)
    assert holds.read(fleet, stopped) is None
