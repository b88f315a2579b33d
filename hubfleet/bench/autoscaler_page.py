"""The benchmark's report for a lab's administrator, as one HTML page."""

from collections.abc import Sequence
from typing import Any

from hubfleet.bench.autoscaler import COMPARED, Study, figures, sweeps, table
from hubfleet.simulator import charts, page
from hubfleet.simulator.study import POLICIES
from hubfleet.simulator.workload import WEDNESDAY, WORKLOADS

HOW = (
    "Simulated students, real decisions: the function that decides here is the one that runs "
    "in the controller. A wait counts from the first click to the server's first answer. A "
    "worker costs from its order to its end, at least a minute. Every policy gets the same "
    "students, the same workers of 12 seats and the same time to ready, 90 s at the 95th "
    "percentile. A server start takes 3 s, a click on a running server 0.4 s. Students of a "
    "class come around one minute after its start (standard deviation 150 s, in an exam 60 "
    "s), 60 to 110 % of those announced; lengths of other sessions are those that UC Berkeley "
    "published for its DataHub in autumn 2018."
)

COLUMNS = (
    *("workload", "policy", "half wait s", "95 % wait s", "longest s", "within 10 s", "node-hours"),
    *("by greedy", "below static", "starts", "ended", "most on one"),
)


def render(found: Study) -> str:
    """Return the report."""
    announced = found.pick("W2")[0]
    parts = [
        page.paragraph(_answer(found), "answer"),
        page.heading("A day with two announced classes of 120"),
        page.paragraph(
            "Seats are ready shortly before each class, stay while it lasts, and go when they are"
            " empty. The gap between the green line and the blue area is what is paid and not used."
        ),
        charts.seats_over_time(announced, WEDNESDAY, (7, 24)),
        page.heading("The same classes, if nobody announced them"),
        page.paragraph("Workers are ordered with the first clicks; who comes next waits for them."),
        charts.seats_over_time(found.pick("W3")[0], WEDNESDAY, (7, 24)),
    ]
    parts += _comparisons(found)
    parts += [page.heading("Figures and targets"), _figures(found)]
    parts += [page.heading("All runs"), _all(table(found))]
    if found.sweep:
        parts += [
            page.heading("What matters most: how fast a worker is ready, and how large it is"),
            _sweep(sweeps(found)),
        ]
    parts += [page.heading("How this was reckoned"), page.paragraph(HOW, "note")]
    return page.page("Workers that come and go with the class", parts)


def _answer(found: Study) -> str:
    by_name = {figure.name: figure for figure in figures(found)}
    missed = [name for name, figure in by_name.items() if not figure.ok]
    saving = by_name["W2.saving_static"].value
    return (
        f"With classes in the calendar 95 of 100 students wait at most"
        f" {by_name['W2.wait_p95_s'].value:g} s and nobody longer than"
        f" {by_name['W2.wait_max_s'].value:g} s; it costs {saving:.0%} less than workers for the"
        f" peak all day, and {by_name['W2.ratio_greedy'].value:.2f} times what a planner would pay"
        f" who knew every student's hours. In no run was a running server ended to save money"
        f" ({by_name['all.killed'].value:g} in all). "
        + (f"Targets missed: {', '.join(missed)}." if missed else "Every target is met.")
    )


def _comparisons(found: Study) -> list[str]:
    parts = []
    for name in COMPARED:
        outcomes = [o for o in found.main if o.load == name]
        if len({o.policy for o in outcomes}) < 2:
            continue
        curves = {
            POLICIES[policy][0]: [s for o in outcomes if o.policy == policy for s in o.of("class")]
            for policy in dict.fromkeys(o.policy for o in outcomes)
            if policy not in {"static", "placeholders-3"}
        }
        parts += [
            page.heading(f"Against others: {WORKLOADS[name][0]}"),
            page.paragraph("Waits of the class's students; further left and higher is better."),
            charts.wait_curve(curves),
            page.paragraph(
                "Cost. A cheap bar is no good news where servers are ended or students wait."
                " Lines are 95 % intervals of the median over all runs."
            ),
            charts.cost_bars(outcomes),
        ]
    return parts


def _figures(found: Study) -> str:
    rows = [
        (f.name, "met" if f.ok else "missed", f"{f.value:g} {f.unit}".strip())
        + (f"{'>=' if f.least else '<='} {f.target:g}",)
        for f in figures(found)
    ]
    return page.table(("figure", "", "value", "target"), rows)


def _all(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        (
            WORKLOADS[row["workload"]][0],
            POLICIES[row["policy"]][0].split(":")[0],
            *_waits(row),
            _span(row["node_hours"], ".0f"),
            _span(row["ratio_greedy"], ".2f"),
            f"{row['saving_static']['value']:.0%}",
            f"{row['starts']['value']:.0f} ({row['starts_greedy']['value']:.0f})",
            str(row["killed"]),
            str(row["densest"]),
        )
        for row in rows
    ]
    note = (
        "Medians over the runs with their 95 % intervals; the longest wait and the servers ended"
        " are over all runs. Starts of the greedy planner in brackets."
    )
    return page.table(COLUMNS, cells) + page.paragraph(note, "note")


def _waits(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['wait_p50_s']['value']:.1f}",
        f"{row['wait_p95_s']['value']:.1f}",
        f"{row['wait_max_s']:.0f}",
        f"{row['share_within_10s']['value']:.1%}",
    )


def _sweep(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        (
            WORKLOADS[row["workload"]][0],
            f"{row['ready_p95_s']:g} s to ready, {row['seats_per_worker']} seats",
            *_waits(row),
            _span(row["node_hours"], ".0f"),
            _span(row["ratio_greedy"], ".2f"),
        )
        for row in sorted(rows, key=lambda r: r["workload"])
    ]
    return page.table(("workload", "workers", *COLUMNS[2:8]), cells)


def _span(value: dict[str, float], form: str) -> str:
    return f"{value['value']:{form}} ({value['low']:{form}}–{value['high']:{form}})"
