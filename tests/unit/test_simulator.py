"""The simulator: its accounts, its bounds, what the baselines do, and what the reports say."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest

from hubfleet.bench import autoscaler, autoscaler_page
from hubfleet.controller.model import Window, rules_of
from hubfleet.settings import load
from hubfleet.simulator import plan
from hubfleet.simulator.bounds import bounds
from hubfleet.simulator.entities import OPEN_S, START_S, Setting
from hubfleet.simulator.study import OURS, Job, Outcome, median, rules_for, run
from hubfleet.simulator.workload import (
    EPOCH,
    HOUR,
    WORKLOADS,
    Faults,
    Session,
    Workload,
    workload,
)

RULES = rules_of(load("production"))
SMALL = Setting(seats=2, minimum=0)
BOOT_S = 90.0


def day(*sessions: tuple[float, float], hours: float = 10, **more: object) -> Workload:
    """Return a workload of sessions, each from and to an hour."""
    wishes = tuple(
        Session(f"u{n}", EPOCH + begin * HOUR, (end - begin) * HOUR)
        for n, (begin, end) in enumerate(sessions)
    )
    base = Workload("test", "test", EPOCH, EPOCH + hours * HOUR, wishes)
    return replace(base, **more)  # type: ignore[arg-type]


def outcome(load: Workload | str, policy: str = OURS, setting: Setting = SMALL) -> Outcome:
    return run(Job(load, policy, 1, rules_for(RULES, setting), setting, series=True))


def test_bounds_of_a_day_that_can_be_reckoned_by_hand() -> None:
    # Three at once for one hour, of whom one stays for five: two workers, one of them for five.
    found = bounds(day((0, 5), (0, 1), (0, 1)), 2, 0, BOOT_S)
    assert found.lb0 == 6 * HOUR
    assert found.greedy == 6 * HOUR + 2 * BOOT_S
    assert (found.greedy_starts, found.static, found.static_workers) == (2, 20 * HOUR, 2)


def test_a_gap_shorter_than_a_boot_is_bridged() -> None:
    short = bounds(day((0, 1), (1 + 60 / HOUR, 2)), 2, 0, BOOT_S)
    assert short.lb1 == pytest.approx(2 * HOUR + BOOT_S)
    long = bounds(day((0, 1), (2, 3)), 2, 0, BOOT_S)
    assert long.lb1 == pytest.approx(2 * HOUR + 2 * BOOT_S)


def test_the_minimum_is_a_part_of_what_is_compared() -> None:
    found = bounds(day((0, 1)), 2, 1, BOOT_S)
    assert found.lb0 == 10 * HOUR
    assert found.greedy == 10 * HOUR + BOOT_S


@pytest.mark.parametrize(("name", "seed"), list(product(["W2", "W5"], [0, 1])))
def test_no_policy_that_serves_at_once_is_below_the_bounds(name: str, seed: int) -> None:
    known = bounds(workload(name, seed), 12, 1, BOOT_S)
    assert known.lb0 <= known.lb1 <= known.greedy
    assert known.lb0 <= known.static


def test_waits_and_node_hours_are_counted_from_the_click_and_the_order() -> None:
    found = outcome(day((1, 2)))
    # Nobody is about and the minimum is none: the first student waits for a worker.
    (wait,) = found.of()
    assert 60 + START_S < wait < 130 + START_S
    assert found.node_seconds > HOUR
    assert (found.unserved, found.densest) == (0, 1)
    # One for the student, and one for whom a first arrival lets expect.
    assert found.starts == 2


def test_the_same_seed_gives_the_same_day() -> None:
    assert outcome("W2", "pending", Setting()) == outcome("W2", "pending", Setting())


@pytest.mark.parametrize("name", ["W4", "W7", "W8", "W9"])
def test_no_server_ends_to_save_money_whatever_goes_wrong(name: str) -> None:
    found = outcome(name, setting=Setting())
    assert found.killed == 0
    assert found.unserved == 0
    assert found.densest <= 12
    assert (found.reclaimed > 0) == (name == "W7")


def test_students_on_the_list_find_their_servers_running() -> None:
    waits = outcome("W2P", setting=Setting()).of("listed")
    assert len(waits) > 100
    assert sorted(waits)[int(0.95 * len(waits))] == OPEN_S


def test_a_boot_that_fails_is_replaced() -> None:
    broken = day((1, 9), faults=Faults(boot_failures=0.6))
    assert outcome(broken).unserved == 0


def test_the_cpu_target_ends_servers_and_overloads_workers() -> None:
    found = outcome("W2", "cpu40", Setting())
    assert found.killed > 0
    assert found.densest > 12
    reserved = outcome("W2", "cpu40-reserved", Setting())
    assert reserved.densest <= 12
    assert max(reserved.of("class")) > 600


@pytest.mark.parametrize(
    "policy", ["placeholders-3", "placeholders-half", "calendar-nodes", "pending", "static"]
)
def test_the_other_baselines_end_nobody(policy: str) -> None:
    found = outcome("W2", policy, Setting())
    assert (found.killed, found.unserved) == (0, 0)
    assert found.densest <= 12


def test_a_median_has_the_interval_of_its_order_statistics() -> None:
    # n = 20: ranks 6 and 15 (any table of the sign test).
    found = median(range(1, 21))
    assert (found.value, found.low, found.high) == (10.5, 6, 15)
    assert median([3.0]) == median([3.0, 3.0, 3.0])
    assert (median([1.0, 2.0, 9.0]).low, median([1.0, 2.0, 9.0]).high) == (1, 9)


def test_every_workload_can_be_drawn() -> None:
    for name, (title, _) in WORKLOADS.items():
        drawn = workload(name, 3)
        assert (drawn.name, drawn.title) == (name, title)
        arrivals = [s.arrive for s in drawn.sessions]
        assert arrivals == sorted(arrivals)
        assert drawn.begin <= arrivals[0] < arrivals[-1] < drawn.end


class Tags(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [v or "" for k, v in attrs if k in {"src", "href"}]


def tags(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    return found


@pytest.fixture(scope="module")
def small() -> autoscaler.Study:
    jobs = [
        (n, p) for n in ("W2", "W2P", "W3") for p in ((OURS, "cpu40") if n == "W2" else (OURS,))
    ]
    rules = rules_for(RULES, Setting())
    main = [run(Job(n, p, 0, rules, Setting(), series=True)) for n, p in jobs]
    quiet = replace(workload("W1", 0), end=EPOCH + 24 * HOUR)
    sessions = tuple(s for s in quiet.sessions if s.arrive < quiet.end)
    quiet = replace(quiet, sessions=sessions)
    main.append(run(Job(quiet, OURS, 0, rules, Setting(), series=True)))
    return autoscaler.Study(main, [])


def test_the_benchmarks_figures_have_their_names_and_bounds(small: autoscaler.Study) -> None:
    found = {figure.name: figure for figure in autoscaler.figures(small)}
    assert set(found) >= {
        *("W1.share_within_10s", "W2.wait_p95_s", "W2.wait_max_s", "W2.killed", "W2.ratio_greedy"),
        *("W2.saving_static", "W2.prestart_p95_s", "W3.wait_p95_s"),
    }
    assert [name for name, figure in found.items() if not figure.ok] == []
    assert found["W2.saving_static"].least
    assert not found["W2.wait_p95_s"].least
    assert len(json.dumps(autoscaler.table(small))) > 100


def test_the_benchmarks_page_needs_nothing_from_outside(small: autoscaler.Study) -> None:
    found = tags(autoscaler_page.render(small))
    assert found.names.count("svg") >= 4
    assert found.links == []
    assert "script" not in found.names


def test_a_plan_answers_in_one_page(tmp_path: Path) -> None:
    start = EPOCH + 10 * HOUR
    stamps = "DTSTART:20270301T100000Z\r\nDTEND:20270301T113000Z"
    ics = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n"
        f"DTSTAMP:20270101T000000Z\r\nSUMMARY:chem <lab>\r\n{stamps}\r\nEND:VEVENT\r\n"
        "END:VCALENDAR\r\n"
    )
    question = plan.Question(20, ics, 0.5, seeds=1)
    answer = plan.ask(question, load("production"), EPOCH - 3 * 24 * HOUR)
    assert answer.windows == (Window("chem <lab>", start, start + 5400, 20),)
    text = plan.as_text(answer)
    assert len(text.splitlines()) <= 40
    assert "Mon 10:00-11:30    20 seats  chem <lab>" in text
    found = plan.summary(answer)
    assert found["waits"]["class"]["p95_s"] <= 10
    assert found["cost"] == found["node_hours"]["value"] * 0.5
    assert found["killed"] == 0
    page = plan.as_page(answer)
    assert "<lab>" not in page
    assert tags(page).names.count("svg") == 3


def test_a_plan_says_when_the_maximum_is_too_small() -> None:
    answer = plan.ask(plan.Question(30, "", 0, seeds=1), load("local"), EPOCH)
    assert answer.assumed
    assert "set fleet.workers.max to" in plan.as_text(answer)
