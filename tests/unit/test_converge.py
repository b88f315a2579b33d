"""chef-client on every node: reports, failures, exit codes."""

import io
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hubfleet.clients.process import Completed
from hubfleet.console import Console
from hubfleet.converge import as_json, converge, require_all, show
from hubfleet.errors import CommandError, ConvergeError, PartialError
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.parallel import run_all
from hubfleet.state import Deployment, Ports

OLD = {"status": "success", "updated": 9, "policy_revision": "a" * 64, "seconds": 9.0}
GOOD = {"status": "success", "updated": 0, "policy_revision": "b" * 64, "seconds": 4.25}
BAD = {
    "status": "failed",
    "updated": 1,
    "failed_resource": "template[/etc/x]",
    "exception": "Errno::ENOENT: no such file\nmore",
}

NODE = Instance("i-1", Role.HUB, State.RUNNING, "", datetime.now(UTC), "c-1")
OTHER = Instance("i-2", Role.SWARM_WORKER, State.RUNNING, "", datetime.now(UTC), "c-2")


class Nodes(Fleet):
    """Nodes whose chef-client ends with a code and leaves a report, or None for the old one."""

    def __init__(self, runs: dict[str, tuple[int, dict[str, Any] | None]]) -> None:
        self.runs = runs
        self.reports: dict[str, dict[str, Any]] = dict.fromkeys(runs, OLD)

    def list(self) -> Instances:
        raise NotImplementedError

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise NotImplementedError

    def start(self, instance_id: str) -> None:
        raise NotImplementedError

    def terminate(self, instance_id: str) -> None:
        raise NotImplementedError

    def console_output(self, instance_id: str) -> str:
        raise NotImplementedError

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        if argv[0] == "cat":
            return Completed(0, json.dumps(self.reports[instance_id]), "")
        code, report = self.runs[instance_id]
        if code < 0:
            raise CommandError("the engine refuses")
        if report is not None:
            self.reports[instance_id] = report
        return Completed(code, "out\nFATAL: last words\n", "")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.create("local", "local", Ports(), tmp_path)


def test_a_good_run_is_a_row_with_the_node_s_own_numbers(deployment: Deployment) -> None:
    [result] = converge(deployment, Nodes({"i-1": (0, GOOD)}), [NODE])
    assert result.row == ["i-1", Role.HUB, "b" * 10, 0, "4.2", "ok"]
    assert Path(result.log).read_text() == "out\nFATAL: last words\n"
    require_all([result])


def test_a_failed_resource_is_named_and_all_failed_is_code_1(deployment: Deployment) -> None:
    results = converge(deployment, Nodes({"i-1": (1, BAD)}), [NODE])
    with pytest.raises(ConvergeError) as error:
        require_all(results)
    assert error.value.exit_code == 1
    assert "hub i-1: template[/etc/x]: Errno::ENOENT: no such file" in error.value.message
    assert results[0].log in error.value.hint


def test_some_failed_is_code_4(deployment: Deployment) -> None:
    results = converge(deployment, Nodes({"i-1": (1, BAD), "i-2": (0, GOOD)}), [NODE, OTHER])
    with pytest.raises(PartialError, match="1 of 2 nodes"):
        require_all(results)


def test_a_run_that_ends_early_does_not_show_the_report_before(deployment: Deployment) -> None:
    [result] = converge(deployment, Nodes({"i-1": (2, None)}), [NODE])
    assert (result.report, result.updated) == ({}, 0)
    assert result.problem == "chef-client ended with code 2: FATAL: last words"


def test_a_node_that_cannot_be_reached_is_one_failure(deployment: Deployment) -> None:
    results = converge(deployment, Nodes({"i-1": (-1, None), "i-2": (0, GOOD)}), [NODE, OTHER])
    assert [result.problem for result in results] == ["the engine refuses", ""]


def test_the_same_as_table_and_as_json(deployment: Deployment) -> None:
    results = converge(deployment, Nodes({"i-1": (0, GOOD)}), [NODE])
    out = io.StringIO()
    show(Console(stdout=out), results)
    assert out.getvalue().splitlines()[1].split() == ["i-1", "hub", "b" * 10, "0", "4.2", "ok"]
    [entry] = as_json(results)
    assert (entry["id"], entry["ok"], entry["report"]) == ("i-1", True, GOOD)


def test_work_runs_at_once_and_keeps_its_order() -> None:
    together = threading.Barrier(3, timeout=5)

    def work(number: int) -> int:
        together.wait()
        if number == 2:
            raise CommandError("two")
        return number * 10

    one, two, three = run_all(work, [1, 2, 3])
    assert (one, three) == (10, 30)
    assert isinstance(two, CommandError)


def test_an_unforeseen_error_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run_all(lambda number: 1 / number, [0, 1])
