"""chef-client on every node at once, and what came of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.clients.process import Completed, tail
from hubfleet.console import Console
from hubfleet.errors import ConvergeError, HubfleetError, PartialError
from hubfleet.fleet.base import Fleet, Instance
from hubfleet.parallel import run_all
from hubfleet.state import Deployment, write_private

REPORT = "/var/lib/hubfleet/last-converge.json"
"""Where a node keeps what its last converge did; cookbook node_base writes it."""

CONVERGE_TIMEOUT_S = 900
READ_TIMEOUT_S = 20


@dataclass(frozen=True)
class Result:
    """What one converge did; `report` is the node's own, empty where it wrote none."""

    instance: Instance
    ok: bool
    report: dict[str, Any]
    problem: str
    log: str

    @property
    def updated(self) -> int:
        """Number of resources that were updated."""
        return int(self.report.get("updated") or 0)

    @property
    def row(self) -> list[object]:
        """Return the cells of COLUMNS."""
        revision = str(self.report.get("policy_revision") or "")[:10]
        seconds = self.report.get("seconds")
        return [
            self.instance.id,
            self.instance.role,
            revision or None,
            self.report.get("updated"),
            None if seconds is None else f"{float(seconds):.1f}",
            "ok" if self.ok else self.problem,
        ]


COLUMNS = ("node", "role", "revision", "updated", "seconds", "outcome")


def read_report(fleet: Fleet, instance: Instance) -> dict[str, Any]:
    """Return what a node says of its last converge; empty where it says nothing."""
    done = fleet.run(instance.id, ["cat", REPORT], READ_TIMEOUT_S)
    try:
        report = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def converge(deployment: Deployment, fleet: Fleet, instances: Sequence[Instance]) -> list[Result]:
    """Run chef-client on all `instances` at once; logs go to the deployment's log directory."""

    def one(instance: Instance) -> Result:
        before = read_report(fleet, instance)
        done = fleet.run(instance.id, ["chef-client"], CONVERGE_TIMEOUT_S)
        log = deployment.log_file(f"{instance.id}-chef-client")
        write_private(log, done.stdout + done.stderr)
        report = read_report(fleet, instance)
        # A run that ends before Chef's handlers leaves the report of the run before.
        return _result(instance, done, {} if report == before else report, str(log))

    outcomes = run_all(one, instances)
    return [
        Result(instance, False, {}, outcome.message, "")
        if isinstance(outcome, HubfleetError)
        else outcome
        for instance, outcome in zip(instances, outcomes, strict=True)
    ]


def show(console: Console, results: Sequence[Result]) -> None:
    """Print a table on stdout."""
    console.table(COLUMNS, [result.row for result in results])


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the results as JSON objects."""
    return [
        {
            "id": result.instance.id,
            "role": result.instance.role.value,
            "ok": result.ok,
            "problem": result.problem,
            "log": result.log,
            "report": result.report,
        }
        for result in results
    ]


def require_all(results: Sequence[Result]) -> None:
    """Raise ConvergeError where all nodes failed, PartialError where some did."""
    failed = [result for result in results if not result.ok]
    if not failed:
        return
    words = "; ".join(f"{r.instance.role} {r.instance.id}: {r.problem}" for r in failed)
    hint = f"read {failed[0].log}" if failed[0].log else "run ./invoke doctor"
    kind = ConvergeError if len(failed) == len(results) else PartialError
    raise kind(f"{len(failed)} of {len(results)} nodes did not converge: {words}", hint)


def _result(instance: Instance, done: Completed, report: dict[str, Any], log: str) -> Result:
    if done.returncode == 0:
        return Result(instance, True, report, "", log)
    if done.returncode == 124:
        problem = f"chef-client did not end within {CONVERGE_TIMEOUT_S} s"
    elif resource := report.get("failed_resource"):
        problem = f"{resource}: {_first_line(report.get('exception'))}"
    else:
        words = _first_line(report.get("exception")) or tail(done.stdout + done.stderr, 1)
        problem = f"chef-client ended with code {done.returncode}: {words}"
    return Result(instance, False, report, problem, log)


def _first_line(text: object) -> str:
    return next(iter(str(text or "").strip().splitlines()), "")
