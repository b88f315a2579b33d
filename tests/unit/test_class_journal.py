"""What is read from the controller's journal: lags of orders, and servers that were in the way."""

import json
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from hubfleet.bench.class_drill import Record, figures
from hubfleet.bench.class_journal import Act, Journal, Stay, killed_by_scale_in
from hubfleet.bench.class_people import Pupil
from hubfleet.clients.hub import Student
from hubfleet.consistency import Look
from hubfleet.controller.reconcile import Finding, Kind, Listings, Source


def decision(at: float, *acts: dict[str, object]) -> str:
    actions = [{"reason": "why", **act} for act in acts]
    return json.dumps({"at": at, "event": "decision", "actions": actions, "used": 0})


LAUNCH: dict[str, object] = {"do": "launch", "count": 1, "pool": "default"}
FAILED: dict[str, object] = {**LAUNCH, "failed": "no capacity"}
TERMINATE: dict[str, object] = {"do": "terminate", "node": "i-1"}

JOURNAL = Journal.read(
    "\n".join(
        [
            "Traceback: not of the journal",
            decision(120, LAUNCH),
            decision(100),
            decision(106, LAUNCH),
            decision(130, FAILED),
            '{"half',
            decision(300, TERMINATE),
            json.dumps({"at": 301, "event": "gone", "worker": "i-1"}),
        ]
    )
)


def test_lines_are_in_order_and_what_failed_was_not_done() -> None:
    assert [line["at"] for line in JOURNAL.lines] == [100, 106, 120, 130, 300, 301]
    assert [act.at for act in JOURNAL.acts("launch")] == [106, 120]
    assert JOURNAL.acts("terminate") == [Act(300, "terminate", "i-1", "why", 300)]


@pytest.mark.parametrize(
    ("needs", "lags"),
    [
        ([103], [3]),
        ([105, 103], [3]),
        ([99], []),
        ([104, 118.5, 119], [2, 1.5]),
        ([121], []),
        ([], []),
    ],
)
def test_an_order_answers_the_first_need_after_the_decision_before(
    needs: list[float], lags: list[float]
) -> None:
    assert JOURNAL.order_lags(needs) == lags


def test_an_order_counts_until_it_is_placed() -> None:
    line = json.loads(decision(106, LAUNCH)) | {"took": 2.5}
    assert Journal.read("\n".join([decision(100), json.dumps(line)])).order_lags([103]) == [5.5]


@pytest.mark.parametrize(
    ("stay", "killed"),
    [
        (Stay("i-1", 200), 1),
        (Stay("i-1", 200, 301), 1),
        (Stay("i-1", 200, 300), 0),
        (Stay("i-1", 300.5), 0),
        (Stay("i-2", 200), 0),
    ],
)
def test_a_server_that_is_there_when_its_worker_is_ended_is_killed(stay: Stay, killed: int) -> None:
    assert killed_by_scale_in(JOURNAL.acts("terminate"), [stay]) == killed


def pupil(node: str, lost: str = "", until: float | None = 200) -> Pupil:
    who = Student("https://hub", "ann", "x", Path(DEFAULT_CA_BUNDLE_PATH))
    return Pupil(who, wait_s=2.0, lost=lost, stays=[Stay(node, 103, until)])


def test_each_figure_misses_its_target_by_its_own_fault() -> None:
    agree = Look(Listings(0), [])
    good = Record(100, needs=[103], touched={"i-9"}, journal=JOURNAL, final=agree)

    def missed(pupils: list[Pupil], record: Record) -> list[str]:
        return [figure.name for figure in figures(pupils, record) if not figure.ok]

    assert missed([pupil("i-1"), pupil("i-9", "it is gone")], good) == []
    assert missed([pupil("i-1", until=None)], good) == ["class.killed_by_scale_in"]
    assert missed([pupil("i-2", "it is gone")], good) == ["class.kernels_lost_untouched"]
    slow = Record(100, [100.5], set(), journal=JOURNAL, final=agree)
    assert missed([pupil("i-2")], slow) == ["class.need_to_order_p95_s"]
    never = Record(100, [], set(), journal=JOURNAL, final=agree)
    assert missed([pupil("i-2")], never) == ["class.need_to_order_p95_s"]
    finding = Finding(Kind.GHOST_SERVER, "ann", "a ghost", "./invoke hub.stop ann", safe=True)
    ghost = Record(100, [103], set(), journal=JOURNAL, final=Look(Listings(0), [finding]))
    assert missed([pupil("i-2")], ghost) == ["class.orphans"]
    silent = Look(Listings(0, unread={Source.CHEF: "no answer"}), [])
    unread = Record(100, [103], set(), journal=JOURNAL, final=silent)
    assert missed([pupil("i-2")], unread) == ["class.orphans"]
