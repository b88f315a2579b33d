"""The autoscaler against others and against what is possible, simulated; figures and a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.bench.report import Figure, percentile
from hubfleet.console import Console
from hubfleet.controller.model import rules_of
from hubfleet.settings import load
from hubfleet.simulator.entities import Setting
from hubfleet.simulator.study import OURS, POLICIES, Job, Outcome, median, rules_for, run_all
from hubfleet.simulator.workload import WORKLOADS

SEEDS = 20
QUICK_SEEDS = 3
SWEEP_SEEDS = 5

COMPARED = ("W2", "W3", "W4", "W5")
"""Workloads that every policy runs on."""

READY_SWEEP = (30.0, 60.0, 90.0, 180.0, 300.0, 600.0)
SEATS_SWEEP = (2, 4, 12, 25)

AT_ONCE_S = 10.0
"""A wait that nobody complains about."""


@dataclass(frozen=True)
class Study:
    """All outcomes of one benchmark."""

    main: list[Outcome]
    sweep: list[Outcome]

    def pick(self, name: str, policy: str = OURS) -> list[Outcome]:
        """Return the outcomes of a workload under a policy."""
        return [o for o in self.main if (o.load, o.policy) == (name, policy)]


def study(quick: bool = False) -> Study:
    """Run the benchmark: all workloads and policies; with `quick` days only, and few seeds."""
    rules = rules_of(load("production"))
    setting = Setting()
    seeds = range(QUICK_SEEDS if quick else SEEDS)

    def job(name: str, policy: str, seed: int, world: Setting = setting) -> Job:
        fitted = rules_for(rules, world)
        return Job(name, policy, seed, fitted, world, series=seed == 0 and world is setting)

    names = ["W1", "W2", "W2P", "W3"] if quick else list(WORKLOADS)
    jobs = [job(name, OURS, seed) for name in names for seed in seeds]
    if quick:
        return Study(run_all(jobs), [])
    jobs += [
        job(name, policy, seed)
        for name in COMPARED
        for policy in POLICIES
        if policy != OURS
        for seed in seeds
    ]
    worlds = [Setting(ready_p95_s=s) for s in READY_SWEEP]
    worlds += [Setting(seats=k, maximum=400 // k) for k in SEATS_SWEEP]
    sweep = [
        job(name, OURS, seed, world)
        for world in worlds
        for name in ("W2", "W3")
        for seed in range(SWEEP_SEEDS)
    ]
    outcomes = run_all(jobs + sweep)
    return Study(outcomes[: len(jobs)], outcomes[len(jobs) :])


def figures(found: Study) -> list[Figure]:
    """Return the figures against their targets. Medians over seeds; maxima and sums over all."""
    quiet, class_, burst = (found.pick(name) for name in ("W1", "W2", "W3"))
    listed = found.pick("W2P")
    ready = class_[0].setting.ready_p95_s
    waits = [o.of("class") for o in class_]
    return [
        Figure.at_least("W1.share_within_10s", _mid(map(_share, quiet)), "", 0.99),
        Figure.at_most("W2.wait_p95_s", _mid(percentile(w, 0.95) for w in waits), "s", 10),
        Figure.at_most("W2.wait_max_s", max(max(w) for w in waits), "s", 30),
        Figure.at_most("W2.killed", sum(o.killed for o in class_), "", 0),
        Figure.at_most("W2.ratio_greedy", _mid(o.node_seconds / o.greedy for o in class_), "", 1.3),
        Figure.at_least(
            "W2.saving_static", _mid(1 - o.node_seconds / o.static for o in class_), "", 0.6
        ),
        Figure.at_most(
            "W2.starts_ratio_greedy", _mid(o.starts / o.greedy_starts for o in class_), "", 2
        ),
        Figure.at_least("W2.background_within_10s", _mid(map(_share, class_)), "", 0.99),
        Figure.at_most(
            "W2.prestart_p95_s", _mid(percentile(o.of("listed"), 0.95) for o in listed), "s", 1
        ),
        Figure.at_most(
            "W3.wait_p95_s",
            _mid(percentile(o.of("class"), 0.95) for o in burst),
            "s",
            ready + 15,
        ),
        Figure.at_most("all.killed", sum(o.killed for o in found.main if o.policy == OURS), "", 0),
    ]


def table(found: Study) -> list[dict[str, Any]]:
    """Return one row per workload and policy: medians with 95 % intervals, and sums."""
    rows = []
    pairs = dict.fromkeys((o.load, o.policy) for o in found.main)
    for name, policy in pairs:
        chosen = found.pick(name, policy)
        rows.append({"workload": name, "policy": policy, **summary(chosen)})
    return rows


def summary(chosen: Sequence[Outcome]) -> dict[str, Any]:
    """Return what some outcomes of one kind say together."""

    def mid(values: Sequence[float]) -> dict[str, float]:
        found = median(values)
        return {key: round(getattr(found, key), 3) for key in ("value", "low", "high")}

    waits = [o.of() for o in chosen]
    return {
        "seeds": len(chosen),
        "ready_p95_s": chosen[0].setting.ready_p95_s,
        "seats_per_worker": chosen[0].setting.seats,
        "wait_p50_s": mid([percentile(w, 0.5) for w in waits]),
        "wait_p95_s": mid([percentile(w, 0.95) for w in waits]),
        "wait_max_s": round(max(max(w) for w in waits), 3),
        "share_within_10s": mid([_within(w) for w in waits]),
        "node_hours": mid([o.node_seconds / 3600 for o in chosen]),
        "ratio_lb0": mid([o.node_seconds / o.lb0 for o in chosen]),
        "ratio_lb1": mid([o.node_seconds / o.lb1 for o in chosen]),
        "ratio_greedy": mid([o.node_seconds / o.greedy for o in chosen]),
        "saving_static": mid([1 - o.node_seconds / o.static for o in chosen]),
        "starts": mid([float(o.starts) for o in chosen]),
        "starts_greedy": mid([float(o.greedy_starts) for o in chosen]),
        "killed": sum(o.killed for o in chosen),
        "reclaimed": sum(o.reclaimed for o in chosen),
        "unserved": sum(o.unserved for o in chosen),
        "densest": max(o.densest for o in chosen),
    }


def show_table(console: Console, found: Study) -> None:
    """Print one row per workload and policy."""
    columns = ("workload", "policy", "p95 s", "max s", "<= 10 s", "node-hours", "x greedy")
    rows = [
        (
            row["workload"],
            row["policy"],
            f"{row['wait_p95_s']['value']:.1f}",
            f"{row['wait_max_s']:.0f}",
            f"{row['share_within_10s']['value']:.1%}",
            f"{row['node_hours']['value']:.0f}"
            f" ({row['node_hours']['low']:.0f}-{row['node_hours']['high']:.0f})",
            f"{row['ratio_greedy']['value']:.2f}",
            f"{row['saving_static']['value']:.0%}",
            f"{row['starts']['value']:.0f}",
            row["killed"],
            row["densest"],
        )
        for row in table(found)
    ]
    console.table((*columns, "below static", "starts", "ended", "most on one"), rows)
    console.out("")


def sweeps(found: Study) -> list[dict[str, Any]]:
    """Return one row per time to ready, and per size of a worker, for W2 and W3."""
    groups: dict[tuple[str, float, int], list[Outcome]] = {}
    for one in found.sweep:
        key = (one.load, one.setting.ready_p95_s, one.setting.seats)
        groups.setdefault(key, []).append(one)
    return [{"workload": name, **summary(chosen)} for (name, _, _), chosen in groups.items()]


def _share(outcome: Outcome) -> float:
    return _within(outcome.of("background"))


def _within(waits: Sequence[float]) -> float:
    return sum(seconds <= AT_ONCE_S for seconds in waits) / len(waits)


def _mid(values: Any) -> float:
    return median(values).value
