"""What a student reads who waits, and when waiting makes no sense any more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.controller import report
from hubfleet.controller.report import FleetReport, Notice, Phase, WorkerReport
from hubfleet.hub.notice import WHY, notice_for, sentence
from hubfleet.hub.wait import WaitingRoom, too_late, wait

NOW = 1_000_000.0
FULL = WorkerReport("i-1", "active", Phase.READY, 4, 4, NOW - 900, member="m1")
COMING = WorkerReport("i-2", "booting", Phase.PULLING, 4, 0, NOW - 20, ready_at=NOW + 23)


def fleet(*workers: WorkerReport, **more: Any) -> FleetReport:
    return replace(FleetReport(NOW, workers, maximum=4), **more)


def test_the_next_worker_and_its_time_are_told() -> None:
    told = wait(fleet(FULL, COMING), 2, 3, NOW)
    assert told.sentence == (
        "All seats are taken. A new worker is on its way: it fetches the notebook image, about 25 s"
        " to go. You are number 2 of 3 in line."
    )
    assert told.hopeful


def test_each_place_has_a_worker_of_its_own() -> None:
    second = replace(COMING, id="i-3", phase=Phase.ORDERED, ready_at=NOW + 50)
    told = wait(fleet(FULL, second, COMING), 5, 6, NOW)
    assert "it is ordered, about 50 s to go" in told.sentence


def test_an_overdue_worker_is_no_promise() -> None:
    late = replace(COMING, ready_at=NOW - 1)
    assert "takes longer than usual" in wait(fleet(FULL, late), 1, 1, NOW).sentence


def test_at_the_maximum_the_time_runs() -> None:
    told = wait(fleet(*[FULL] * 4), 1, 1, NOW)
    assert "4 workers are the most there may be" in told.sentence
    assert not told.hopeful
    assert "all 16 seats of the 4 workers" in too_late(fleet(*[FULL] * 4), 120)


def test_what_hinders_the_fleet_is_said() -> None:
    blocked = fleet(FULL, blocked="2 workers not ordered: the day's budget is spent")
    told = wait(blocked, 1, 1, NOW)
    assert "the day's budget is spent" in told.sentence
    assert not told.hopeful
    assert "budget" in too_late(blocked, 120)


def test_a_class_that_waits_looks_no_more_often_than_a_few() -> None:
    room = WaitingRoom()
    for number in range(60):
        room.enter(number)
    assert room.pause(7) == 3.0
    assert room.pause("somebody else") == 0.0


def test_without_a_controller_nothing_is_promised() -> None:
    told = wait(None, 1, 1, NOW)
    assert told.sentence == (
        "All seats are taken, and no worker is added at the moment. You are next."
    )
    assert not told.hopeful
    assert "tell your administrator" in too_late(None, 120)


@given(
    st.lists(
        st.builds(
            WorkerReport,
            id=st.text("abc", min_size=1),
            state=st.sampled_from(["active", "booting", "paused", "reclaiming", "held"]),
            phase=st.sampled_from(list(Phase)),
            seats=st.integers(1, 12),
            used=st.integers(0, 12),
            ordered_at=st.floats(NOW - 1000, NOW),
            ready_at=st.none() | st.floats(NOW - 100, NOW + 300),
        ),
        max_size=6,
    ),
    st.integers(1, 40),
)
def test_a_wait_always_has_a_sentence_and_never_promises_the_past(
    workers: list[WorkerReport], place: int
) -> None:
    told = wait(fleet(*workers), place, 40, NOW)
    assert told.sentence.endswith(f"You are number {place} of 40 in line.")
    assert "about -" not in told.sentence
    assert "about 0 s" not in told.sentence


def test_places_in_line_move_up() -> None:
    room, first, second = WaitingRoom(), object(), object()
    for who in (first, second, first):
        room.enter(who)
    assert room.place(second) == (2, 2)
    room.leave(first)
    room.leave(first)
    assert room.place(second) == (1, 1)


def test_a_notice_is_for_the_students_of_that_worker() -> None:
    notice = Notice("i-1", "spot", NOW, NOW + 90)
    found = fleet(FULL, replace(FULL, id="i-2", member="m2"), notices=(notice,))
    assert notice_for(found, "m1") == notice
    assert notice_for(found, "m2") is None
    assert notice_for(found, "") is None
    assert notice_for(None, "m1") is None
    words = sentence(notice, NOW)
    assert words.startswith("The provider takes back the machine under your server.")
    assert "in 90 s" in words
    for kind in (*WHY, "another"):
        assert len(sentence(replace(notice, kind=kind, deadline=NOW + 900), NOW)) <= 140


def test_a_report_is_read_as_it_was_written_and_not_when_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    made = fleet(FULL, COMING, notices=(Notice("i-1", "spot", NOW, NOW + 90),), placement=("i-1",))
    report.write(made, file)
    assert report.read(file, NOW + 59) == made
    assert report.read(file, NOW + 61) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at": 1}', '{"workers": [{}]}'])
def test_a_broken_report_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    assert report.read(file, NOW) is None
