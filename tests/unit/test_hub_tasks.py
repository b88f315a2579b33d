"""Task states: what is alive, what has ended, and what the student is told."""

from typing import Any

import pytest

from hubfleet.hub.tasks import ORDER, first_failure, newest


def task(state: str, created: str = "1", desired: str = "running", **more: Any) -> dict[str, Any]:
    """A task as the engine answers it."""
    status = {"State": state, **({"Err": more.pop("error")} if "error" in more else {})}
    return {
        "ServiceID": "s1",
        "CreatedAt": created,
        "DesiredState": desired,
        "Status": status,
        **more,
    }


@pytest.mark.parametrize("state", ORDER)
def test_a_task_on_its_way_is_alive(state: str) -> None:
    status = newest([task(state)], "s1")
    assert status is not None
    assert status.alive


@pytest.mark.parametrize(
    "state", ["complete", "shutdown", "failed", "rejected", "orphaned", "remove"]
)
def test_an_ended_task_that_nobody_wants_is_dead(state: str) -> None:
    status = newest([task(state, desired="shutdown")], "s1")
    assert status is not None
    assert not status.alive


def test_a_failed_task_that_swarm_restarts_is_alive() -> None:
    tasks = [task("failed", "1", "shutdown"), task("ready", "2", "ready")]
    status = newest(tasks, "s1")
    assert status is not None
    assert status.alive
    assert status.state == "ready"


def test_a_rejected_task_is_alive_until_swarm_gives_it_up() -> None:
    tries, given_up = (
        newest([task("rejected", desired=desired, error="No such image: x")], "s1")
        for desired in ("running", "shutdown")
    )
    assert tries is not None
    assert tries.alive
    assert given_up is not None
    assert not given_up.alive
    assert given_up.message == "Your server was rejected: No such image: x"


def test_the_first_failure_is_found_behind_its_successor() -> None:
    tasks = [
        task("running", "3"),
        task("failed", "2", "shutdown", error="second"),
        task("rejected", "1", "shutdown", error="first"),
    ]
    found = first_failure(tasks, "s1")
    assert found is not None
    assert found.error == "first"
    assert first_failure(tasks[:1], "s1") is None


@pytest.mark.parametrize("state", ["shutdown", "orphaned", "remove"])
def test_a_task_that_was_moved_away_has_not_failed(state: str) -> None:
    assert first_failure([task(state, desired="shutdown")], "s1") is None


def test_the_newest_task_counts_in_whatever_order_they_come() -> None:
    old, new = task("failed", "2026-01-01", "shutdown"), task("running", "2026-01-02")
    for tasks in ([old, new], [new, old]):
        status = newest(tasks, "s1")
        assert status is not None
        assert status.state == "running"


def test_tasks_of_a_service_whose_name_begins_alike_do_not_count() -> None:
    assert newest([task("running", ServiceID="s2")], "s1") is None


def test_a_wait_for_room_says_why() -> None:
    status = newest([task("pending", error="insufficient resources on 2 nodes")], "s1")
    assert status is not None
    assert status.message == "Waiting for room on a worker: insufficient resources on 2 nodes"


def test_progress_only_rises_along_the_states() -> None:
    percents = [status.percent for s in ORDER if (status := newest([task(s)], "s1"))]
    assert percents == sorted(set(percents))
    assert percents[-1] == 90
