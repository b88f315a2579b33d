"""Is a deployment what it should be: its nodes, a student's cell, the students' isolation."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hubfleet import bringup, converge_health, destroy, doctor, inventory, verified
from hubfleet.bringup import Health
from hubfleet.clients import process
from hubfleet.console import Console
from hubfleet.deploy import deploy
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.fleet.base import Instance, State
from hubfleet.fleet.local import LocalFleet
from hubfleet.probe import probe_isolation
from hubfleet.settings import ROOT, load
from hubfleet.state import SHARED_LOGS, Deployment
from hubfleet.status import fleet_of, problems
from hubfleet.steady import steady
from hubfleet.students import address, student

NODE_TIMEOUT_S = 300
E2E_TIMEOUT_S = 2400

STUDENTS = ("hubfleet-verify-1", "hubfleet-verify-2")
"""They have homes like everybody; these names should be nobody else's."""

CELL = "print(6 * 7)"
ANSWER = "42"

TEST_NAME = "invoke-test"
"""No user's deployment should have it: whatever has it is removed first."""

TEST_PORTS = range(18443, 19443, 10)
"""Where the deployment of `./invoke test` looks for three free ports."""


@dataclass(frozen=True)
class Finding:
    """What one look at the deployment found; no problems: all is well."""

    subject: str
    seconds: float
    problems: list[str]


def verify(deployment: Deployment, console: Console) -> list[Finding]:
    """Look at every node, let students run cells, probe their isolation.

    Goes on after a problem; what was found is returned. Raises PreconditionError or CommandError
    where it cannot look.
    """
    fleet = fleet_of(deployment)
    with steady(fleet, "the deployment is being verified"):
        return _verify(deployment, fleet, console)


def _verify(deployment: Deployment, fleet: LocalFleet, console: Console) -> list[Finding]:
    running = [machine for machine in fleet.list() if machine.state is State.RUNNING]
    # What the controller has ordered meanwhile is verified when it has come up.
    machines = [m for m in running if bringup.health(fleet, m) is not Health.BUSY]
    if not machines:
        raise CommandError(f"no machine of deployment {deployment.name!r} runs", "deploy first")
    verified.require_free(deployment, fleet, machines)
    findings = []
    strange = verified.strangers(deployment)
    console.plan(len(machines) + 2)
    with console.stage("inventory and last converges") as stage:
        findings.append(_inventory(deployment, fleet))
        stage.ok = not findings[-1].problems
    for machine in machines:
        with console.stage(f"{machine.role} {machine.id}") as stage:
            if problem := strange.get(machine.role):
                findings.append(Finding(f"{machine.role} {machine.id}", 0, [problem]))
            else:
                findings.append(node(deployment, machine, console))
            stage.ok = not findings[-1].problems
    with console.stage("students and their isolation") as stage:
        findings += asyncio.run(_students(deployment, machines))
        stage.ok = not _bad(findings[-2:])
    for finding in findings:
        for problem in finding.problems:
            console.error(f"{finding.subject}: {problem}")
    if not strange:
        verified.record(deployment, fleet, machines, not _bad(findings), console)
    return findings


def node(deployment: Deployment, machine: Instance, console: Console) -> Finding:
    """Run the role's Testinfra modules against one node, which converges it once more."""
    started = time.monotonic()
    environment = {"HUBFLEET_SUITE": machine.role, "HUBFLEET_ENVIRONMENT": deployment.environment}
    argv = ["tests/integration", f"--hosts=docker://{machine.name}"]
    wrong = []
    try:
        log = deployment.log_file(f"verify-{machine.id}")
        _pytest(argv, environment, log, NODE_TIMEOUT_S)
    except CommandError as error:
        console.quote(error.output)
        wrong = [f"{error.message}; {error.hint}"]
    return Finding(f"{machine.role} {machine.id}", time.monotonic() - started, wrong)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as one JSON object."""
    return {"ok": not _bad(findings), "findings": [asdict(finding) for finding in findings]}


def require_all(findings: Sequence[Finding]) -> None:
    """Raise HubfleetError where anything is not as it should be."""
    if bad := _bad(findings):
        raise HubfleetError(f"not as it should be: {', '.join(bad)}")


def full_run(console: Console) -> None:
    """Deploy a deployment of its own, verify it, send students, and remove it whatever happens.

    Logs are kept under .state/log. Raises what the first failing part raises.
    """
    _remove(console)
    try:
        deploy(console, TEST_NAME, "local", free_ports())
        deployment = Deployment.open(TEST_NAME)
        require_all(verify(deployment, console))
        console.plan(1)
        with console.stage("end-to-end tests"):
            where = {"HUBFLEET_DEPLOYMENT": TEST_NAME}
            _pytest(["tests/e2e"], where, deployment.log_file("e2e"), E2E_TIMEOUT_S)
    finally:
        _remove(console)


def free_ports() -> int:
    """Return the first of three ports in a row that are free on this machine."""
    for first in TEST_PORTS:
        if all(doctor.port_is_free("127.0.0.1", first + offset) for offset in range(3)):
            return first
    raise CommandError(f"no three free ports from {TEST_PORTS.start} on", "end other deployments")


def _bad(findings: Sequence[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.problems]


def _inventory(deployment: Deployment, fleet: LocalFleet) -> Finding:
    """Compare Chef's nodes with the machines, and ask these when they converged last."""
    started = time.monotonic()
    instances = fleet.list()
    healths = converge_health.examine(fleet, instances, fleet.settings)
    found = problems(instances, healths, inventory.look(deployment))
    return Finding("inventory", time.monotonic() - started, found)


def _pytest(
    arguments: Sequence[str], environment: dict[str, str], log: Path, timeout: float
) -> None:
    """Run pytest in the checkout; raise CommandError, with its last lines, where a test fails."""
    log.unlink(missing_ok=True)
    process.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=environment,
        timeout=timeout,
        log=log,
    )


async def _students(deployment: Deployment, machines: Sequence[Instance]) -> list[Finding]:
    """Two students run a cell each; the first one's kernel then probes what it can reach."""
    started = time.monotonic()
    settings = load(deployment.environment, deployment.root)
    wrong: list[str] = []
    reached = ["was not probed, because the students failed"]
    try:
        async with AsyncExitStack() as stack:
            people = [
                await stack.enter_async_context(student(deployment, name)) for name in STUDENTS
            ]
            for who in people:
                await (await who.login()).start()
                stack.push_async_callback(who.stop)
                if (answer := await who.run(CELL)) != ANSWER:
                    wrong.append(f"{who.name}: `{CELL}` printed {answer!r}, not {ANSWER}")
            cells = time.monotonic()
            nodes = [machine.address for machine in machines]
            others = [await address(people[1])]
            reached = await probe_isolation(people[0], settings, nodes, others)
    except Exception as error:  # whatever stops a student is what was to be found
        wrong.append(f"{type(error).__name__}: {error}")
        cells = time.monotonic()
    return [
        Finding("students", cells - started, wrong),
        Finding("isolation", time.monotonic() - cells, reached),
    ]


def _remove(console: Console) -> None:
    """Remove the test deployment with its homes; its logs stay under .state/log."""
    leftover = Deployment(TEST_NAME, "local")
    if leftover.log_dir.is_dir():
        kept = SHARED_LOGS / TEST_NAME
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(leftover.log_dir, kept)
        console.say(f"logs: {os.path.relpath(kept, ROOT)}")
    destroy.destroy(leftover, console, homes=True)
