"""When a node is overdue: by its own clocks, whatever is done to the time of day."""

from typing import Any

import pytest

from hubfleet.converge_health import Clocks, judge, limit_s, span
from hubfleet.settings import load

LIMIT = 4200
THEN = {"boot_id": "a", "uptime_s": 1000, "timestamp": 1_700_000_000}
GOOD = {"status": "success", "last_success": THEN}
BAD = {**GOOD, "status": "failed", "failed_resource": "package[x]", "exception": "no\nsuch"}


def now(later: int, boot: str = "a", jump: int = 0) -> Clocks:
    """Return the clocks `later` seconds after THEN, the wall clock set by `jump` meanwhile."""
    return Clocks(boot, 1000 + later if boot == "a" else later, 1_700_000_000 + later + jump)


def test_the_limit_is_two_intervals_with_their_delays() -> None:
    client = load("local").chef_client
    assert limit_s(load("local")) == 2 * (client.interval_s + client.splay_s)


@pytest.mark.parametrize("jump", [0, 10**8, -(10**8)])
def test_within_a_boot_the_wall_clock_does_not_matter(jump: int) -> None:
    assert judge(GOOD, now(60, jump=jump), LIMIT).problem == ""
    assert judge(GOOD, now(60, jump=jump), LIMIT).age_s == 60
    late = judge(GOOD, now(LIMIT + 1, jump=jump), LIMIT)
    assert late.problem == "has not converged successfully for 1 h (at most 1 h)"


def test_after_a_reboot_the_wall_clock_has_to_do() -> None:
    assert judge(GOOD, now(60, boot="b"), LIMIT).age_s == 60
    assert "for 2 h" in judge(GOOD, now(7200, boot="b"), LIMIT).problem
    assert "its clock has gone back" in judge(GOOD, now(60, boot="b", jump=-3600), LIMIT).problem


def test_one_failure_is_no_problem_yet_and_a_late_one_says_why() -> None:
    assert judge(BAD, now(LIMIT), LIMIT).problem == ""
    assert judge(BAD, now(3 * 86400), LIMIT).problem == (
        "has not converged successfully for 3 d (at most 1 h): package[x]: no"
    )


def test_a_node_that_never_succeeded_is_a_problem() -> None:
    report: dict[str, Any] = {"status": "failed", "exception": "boom", "last_success": None}
    assert judge(report, now(0), LIMIT).problem == "has never converged successfully: boom"


def test_nothing_is_said_of_a_node_that_says_nothing() -> None:
    assert judge({"status": "success"}, now(0), LIMIT).problem == ""
    assert judge({}, now(0), LIMIT).problem == ""
    assert judge(GOOD, None, LIMIT).problem == ""


def test_spans_are_short() -> None:
    assert [span(s) for s in (5, 61, 3600, 200000)] == ["5 s", "1 min", "1 h", "2 d"]
