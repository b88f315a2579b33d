"""What a term will be like: a week of the calendar, simulated, as one page of text.

The environment's own settings decide: its classes, its limits, its rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hubfleet.controller.calendar import combined, from_ics, scheduled
from hubfleet.controller.model import Rules, Window, rules_of
from hubfleet.settings import Settings
from hubfleet.simulator import charts, page
from hubfleet.simulator.entities import Setting
from hubfleet.simulator.study import OURS, Job, Outcome, median, run_all
from hubfleet.simulator.workload import DAY, Workload, background, course

AHEAD_DAYS = 200
"""A calendar's first week with a class is looked for so far ahead."""

SEEDS = 10

BY_THEMSELVES = 0.25
"""Share of the students who also come on a Wednesday without a class (assumed)."""

DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

HOUR = 3600.0


@dataclass(frozen=True)
class Question:
    """What is asked: so many students, this calendar, this price of a worker's hour."""

    students: int
    calendar: str
    """Text of an ICS calendar, "" for none."""
    price: float
    seeds: int = SEEDS


@dataclass(frozen=True)
class Answer:
    """A simulated week, as announced and as if nobody had announced it."""

    question: Question
    settings: Settings
    windows: tuple[Window, ...]
    begin: float
    runs: list[Outcome]
    unannounced: list[Outcome]
    problems: tuple[str, ...]
    assumed: bool
    """No calendar named a class: one was assumed."""


def ask(question: Question, settings: Settings, now: float) -> Answer:
    """Simulate the first week with a class after `now`. Raises NotACalendarError for other text."""
    zone = ZoneInfo(settings.classes.timezone)
    windows, problems = _classes(question, settings, now)
    first = windows[0].start if windows else now
    begin = _monday(first, zone)
    week = tuple(w for w in windows if begin <= w.start < begin + 7 * DAY)
    if not week:
        start = begin + 2 * DAY + 10 * HOUR
        week = (Window("class", start, start + 1.5 * HOUR, question.students),)
    rules = rules_of(settings)
    runs = _runs(question, rules, week, begin, announced=True)
    surprised = _runs(question, rules, week, begin, announced=False)
    return Answer(question, settings, week, begin, runs, surprised, problems, assumed=not windows)


def summary(answer: Answer) -> dict[str, Any]:
    """Return the answer as JSON: waits in seconds, the week's node-hours, workers."""
    hours = median(o.node_seconds / HOUR for o in answer.runs)
    static = median(o.static / HOUR for o in answer.runs)
    workers = answer.settings.fleet.workers
    price = answer.question.price
    return {
        "environment_minimum": workers.min,
        "environment_maximum": workers.max,
        "week_begins": datetime.fromtimestamp(
            answer.begin, ZoneInfo(answer.settings.classes.timezone)
        ).isoformat(),
        "classes": [vars_of(w) for w in answer.windows],
        "seeds": len(answer.runs),
        "waits": {
            "class": _waits(answer.runs, "class", "listed"),
            "others": _waits(answer.runs, "background"),
            "class_if_unannounced": _waits(answer.unannounced, "class", "listed"),
        },
        "workers_at_once": max(o.most_workers for o in answer.runs),
        "workers_started": median(float(o.starts) for o in answer.runs).value,
        "node_hours": {"value": hours.value, "low": hours.low, "high": hours.high},
        "node_hours_static": static.value,
        "saving_static": 1 - hours.value / static.value,
        "cost": hours.value * price,
        "cost_static": static.value * price,
        "killed": sum(o.killed for o in answer.runs),
        "problems": list(answer.problems),
    }


def vars_of(window: Window) -> dict[str, Any]:
    """Return a class as JSON."""
    return {
        "name": window.name,
        "start": window.start,
        "end": window.end,
        "seats": window.seats,
        "prestart": window.group,
    }


def as_text(answer: Answer) -> str:
    """Return the answer as one page of text."""
    found = summary(answer)
    zone = ZoneInfo(answer.settings.classes.timezone)
    day = datetime.fromtimestamp(answer.begin, zone)
    lines = [
        f"The week of {day:%Y-%m-%d} ({zone.key}), {found['seeds']} times, with"
        f" {answer.question.students} students of whom a quarter also comes by themselves",
        "",
    ]
    lines += [f"  problem    {problem}" for problem in answer.problems]
    if answer.assumed:
        lines.append("  classes    no calendar names one: assumed")
    shown = answer.windows[:8]
    lines += [f"  class      {_when(w, zone)}  {w.seats:4d} seats  {w.name}" for w in shown]
    if len(answer.windows) > len(shown):
        lines.append(f"             and {len(answer.windows) - len(shown)} more")
    waits = found["waits"]
    lines += [
        "",
        f"  waits      in class: {_said(waits['class'])}",
        f"             others: {_said(waits['others'])}",
        f"             in class, if not announced: {_said(waits['class_if_unannounced'])}",
        "",
        f"  workers    at most {found['workers_at_once']} at once of {found['environment_maximum']}"
        f" allowed, never fewer than {found['environment_minimum']};"
        f" {found['workers_started']:.0f} started in the week",
        f"             {answer.settings.fleet.workers.seats} seats each",
    ]
    lines += _limits(answer, found)
    lines += ["", *_cost(found, answer.question.price)]
    lines += ["", f"  servers ended to save money: {found['killed']}"]
    return "\n".join(lines)


def as_page(answer: Answer) -> str:
    """Return the answer as a self-contained HTML page."""
    zone = ZoneInfo(answer.settings.classes.timezone)
    noon = datetime.fromtimestamp(answer.windows[0].start, zone)
    midnight = datetime.combine(noon.date(), time(), zone).timestamp()
    curves = {
        "in class, announced": [s for o in answer.runs for s in o.of("class", "listed")],
        "in class, not announced": [s for o in answer.unannounced for s in o.of("class", "listed")],
        "others": [s for o in answer.runs for s in o.of("background")],
    }
    parts = [
        page.quote(as_text(answer)),
        page.heading(f"{noon:%A}: seats"),
        page.paragraph(
            "Blue: seats in use. Green: seats that are ready. Yellow: with those that boot."
        ),
        charts.seats_over_time(answer.runs[0], midnight, (0, 24)),
        page.heading("Who waits how long"),
        charts.wait_curve({name: waits for name, waits in curves.items() if waits}),
        page.heading("Cost of the week"),
        charts.cost_bars(answer.runs, answer.question.price),
    ]
    return page.page(f"A term with {answer.question.students} students", parts)


def _classes(
    question: Question, settings: Settings, now: float
) -> tuple[tuple[Window, ...], tuple[str, ...]]:
    until = now + AHEAD_DAYS * DAY
    named, problems = scheduled(settings.classes, now, until), ()
    if not question.calendar:
        return named, problems
    # An event that names no number is a class of all students.
    default = settings.classes.ics_seats or question.students
    classes = settings.classes.model_copy(update={"ics_seats": default})
    parsed = from_ics(question.calendar, classes, now, until)
    return combined(named, parsed.windows), parsed.problems


def _monday(moment: float, zone: ZoneInfo) -> float:
    day = datetime.fromtimestamp(moment, zone).date()
    return datetime.combine(day - timedelta(days=day.weekday()), time(), zone).timestamp()


def _runs(
    question: Question, rules: Rules, week: Sequence[Window], begin: float, announced: bool
) -> list[Outcome]:
    setting = Setting(
        seats=rules.seats,
        ready_p95_s=float(rules.scaling.ready.prior_s),
        minimum=rules.minimum,
        maximum=rules.maximum,
    )
    jobs = []
    for seed in range(question.seeds):
        rng = Random(f"plan-{seed}")
        sessions = background(rng, question.students * BY_THEMSELVES, begin, 7)
        for window in week:
            sessions += course(rng, replace(window, group=window.group if announced else ""))
        ordered = tuple(sorted(sessions, key=lambda s: s.arrive))
        told = tuple(week) if announced else ()
        load = Workload("plan", "plan", begin, begin + 7 * DAY, ordered, told)
        jobs.append(Job(load, OURS, seed, rules, setting, series=announced and seed == 0))
    return run_all(jobs)


def _waits(runs: Sequence[Outcome], *kinds: str) -> dict[str, float]:
    waits = sorted(s for o in runs for s in o.of(*kinds))
    if not waits:
        return {}
    return {
        "p50_s": round(waits[len(waits) // 2], 1),
        "p95_s": round(waits[min(len(waits) - 1, int(0.95 * len(waits)))], 1),
        "max_s": round(waits[-1], 1),
        "over_30_s": round(sum(s > 30 for s in waits) / len(waits), 4),
    }


def _said(waits: dict[str, float]) -> str:
    if not waits:
        return "nobody"
    return (
        f"half {waits['p50_s']:g} s, 95 of 100 up to {waits['p95_s']:g} s,"
        f" the longest {waits['max_s']:g} s"
    )


def _when(window: Window, zone: ZoneInfo) -> str:
    start, end = (datetime.fromtimestamp(t, zone) for t in (window.start, window.end))
    return f"{DAY_NAMES[start.weekday()]} {start:%H:%M}-{end:%H:%M}"


def _limits(answer: Answer, found: dict[str, Any]) -> list[str]:
    """Say what to do where the maximum keeps students waiting."""
    worst = max(o.static / (7 * DAY) for o in answer.runs)
    needed = round(worst) + 1
    if found["environment_maximum"] >= worst:
        return []
    return [
        f"  too few    students wait for others to leave: set fleet.workers.max to {needed} or more"
    ]


def _cost(found: dict[str, Any], price: float) -> list[str]:
    hours, static = found["node_hours"], found["node_hours_static"]
    money = f", {found['cost']:.2f} at {price:g} an hour" if price else ""
    always = f" ({found['cost_static']:.2f})" if price else ""
    return [
        f"  cost       {hours['value']:.0f} node-hours a week"
        f" ({hours['low']:.0f} to {hours['high']:.0f}){money}",
        f"             workers for the peak, day and night: {static:.0f}{always};"
        f" {found['saving_static']:.0%} less",
    ]
