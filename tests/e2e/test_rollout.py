"""A role change that breaks a worker stops at the canary; a rollback brings everything back.

The change is made in a copy of the checkout whose `.state` is the checkout's: the user's files are
never edited.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hubfleet import holds, swarm
from hubfleet.clients.hub import Student
from hubfleet.converge import read_report
from hubfleet.fleet.base import Role
from hubfleet.policy import connect
from hubfleet.settings import ROOT
from tests.e2e.conftest import Lab

Play = Callable[[Callable[[], Awaitable[None]]], None]

TIMEOUT_S = 300
ROLE = "roles/swarm_worker.json"
MISSING = "hubfleet/no-such-image"
WHERE = "import os; print(os.environ['HUBFLEET_NODE'])"


@pytest.fixture
def copy(tmp_path: Path, lab: Lab) -> Iterator[Path]:
    """A copy of the checkout that works on the same deployments; afterwards nothing is held."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    copy = tmp_path / "checkout"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".state").symlink_to(ROOT / ".state")
    before = published(lab)
    yield copy
    if published(lab) != before or held(lab):
        invoke(ROOT, "policy.rollback", lab)


def invoke(checkout: Path, task: str, lab: Lab, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a task in a checkout as a user types it."""
    named = [] if task == "policy.update" else ["--name", lab.deployment.name]
    return subprocess.run(
        [sys.executable, "-m", "invoke", task, *named, *options],
        cwd=checkout,
        env={**os.environ, "CI": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def published(lab: Lab) -> dict[str, str]:
    return connect(lab.deployment).policy_groups()[lab.deployment.environment]


def held(lab: Lab) -> set[str]:
    return set(holds.read_all(lab.fleet, lab.fleet.list()))


def reports(lab: Lab) -> dict[str, dict[str, Any]]:
    return {machine.id: read_report(lab.fleet, machine) for machine in lab.fleet.list()}


def availability(lab: Lab) -> dict[str, str]:
    return {node.hostname: node.availability for node in swarm.nodes(lab.fleet, lab.hub)}


def break_the_workers(copy: Path, lab: Lab) -> None:
    role = json.loads((copy / ROLE).read_text())
    role["default_attributes"]["images"]["notebook"]["repository"] = MISSING
    (copy / ROLE).write_text(json.dumps(role))
    done = invoke(copy, "policy.update", lab)
    assert done.returncode == 0, done.stderr
    shown = invoke(copy, "policy.diff", lab)
    assert "swarm_worker: " in shown.stdout
    assert f" -> {MISSING}:" in shown.stdout
    assert "hub: " not in shown.stdout


def test_a_broken_worker_stops_the_rollout_and_a_rollback_brings_it_back(
    lab: Lab, scene: Play, copy: Path
) -> None:
    async def play() -> None:
        async with lab.students("rolf") as (rolf,), rolf.kernel() as kernel:
            await kernel.run("x = 41")
            before, revisions = reports(lab), published(lab)
            canary = await asyncio.to_thread(stopped_at_the_canary, lab, copy, before)
            assert await kernel.run("print(x + 1)") == "42"
            await another_student_works(lab, canary)
            await asyncio.to_thread(nothing_slips_through, lab, canary, before)
            await asyncio.to_thread(rolled_back, lab, canary, revisions)
            assert await kernel.run("print(x + 1)") == "42"

    scene(play)


def stopped_at_the_canary(lab: Lab, copy: Path, before: dict[str, dict[str, Any]]) -> str:
    """Roll a worker out that cannot be; return the canary's id. Nobody else was touched."""
    break_the_workers(copy, lab)
    done = invoke(copy, "policy.rollout", lab, "--json")
    assert done.returncode == 4, done.stderr
    outcome = json.loads(done.stdout)
    [canary] = [each["id"] for each in outcome["converged"]]
    workers = {machine.id for machine in lab.machines(Role.SWARM_WORKER)}
    assert canary in workers
    assert set(outcome["held"]) == held(lab) == workers
    name = lab.deployment.name
    assert f"stopped at swarm_worker {canary}: " in done.stderr
    assert MISSING in done.stderr
    assert f"./invoke policy.rollback --name {name}" in done.stderr
    after = reports(lab)
    assert {i: after[i] for i in after if i != canary} == {
        i: before[i] for i in before if i != canary
    }
    assert after[canary]["status"] == "failed"
    assert after[canary]["failed_resource"] in done.stderr
    return str(canary)


async def another_student_works(lab: Lab, canary: str) -> None:
    """Students who come now get workers that were not touched."""
    assert availability(lab)[canary] == "Pause"
    async with lab.students("rita") as (rita,):
        assert isinstance(rita, Student)
        assert await rita.run(WHERE) != canary


def nothing_slips_through(lab: Lab, canary: str, before: dict[str, dict[str, Any]]) -> None:
    """Held nodes do not take what is published: not by their timer, and not by a command."""
    others = [m for m in lab.machines(Role.SWARM_WORKER) if m.id != canary]
    for worker in others:
        lab.on(worker, "systemctl", "start", "chef-client.service")  # as the timer does
    done = invoke(ROOT, "converge", lab)
    assert done.returncode == 0, done.stderr
    for worker in others:
        assert f"skip swarm_worker {worker.id}: held since" in done.stderr
        assert read_report(lab.fleet, worker) == before[worker.id]
    done = invoke(ROOT, "verify", lab)
    assert done.returncode == 3, done.stderr
    assert "policy.rollback" in done.stderr
    shown = json.loads(invoke(ROOT, "status", lab, "--json").stdout)
    assert {node["id"] for node in shown["nodes"] if node["held"]} == held(lab)


def rolled_back(lab: Lab, canary: str, revisions: dict[str, str]) -> None:
    """The printed command brings revision and image back, and the history tells the story."""
    done = invoke(ROOT, "policy.rollback", lab)
    assert done.returncode == 0, done.stderr
    assert published(lab) == revisions
    assert held(lab) == set()
    report = reports(lab)[canary]
    assert report["status"] == "success"
    assert report["policy_revision"] == revisions[Role.SWARM_WORKER]
    assert set(availability(lab).values()) == {"Active"}
    worker = next(m for m in lab.fleet.list() if m.id == canary)
    image = lab.settings.images.notebook
    reference = f"registry.{lab.settings.fleet.zone}/{image.repository}:{image.tag}"
    lab.on(worker, "docker", "image", "inspect", reference)
    told = json.loads(invoke(ROOT, "policy.history", lab, "--json", "--number", "2").stdout)
    rollout, rollback = told
    assert (rollout["what"], rollout["outcome"]) == ("rollout", "stopped")
    assert canary in rollout["failed"] and MISSING in rollout["failed"]
    assert (rollback["what"], rollback["outcome"]) == ("rollback", "ok")
    assert [*rollout["changes"]] == [*rollback["changes"]] == ["swarm_worker"]
    assert rollout["changes"]["swarm_worker"] == rollback["changes"]["swarm_worker"][::-1]
