"""Many runs: every workload, every policy, many seeds, all cores; medians with intervals."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import comb

from hubfleet.controller.model import Rules
from hubfleet.simulator import baselines
from hubfleet.simulator.bounds import bounds
from hubfleet.simulator.entities import Accounts, Policy, Setting
from hubfleet.simulator.production import Production
from hubfleet.simulator.workload import Workload, workload
from hubfleet.simulator.world import World

OURS = "hubfleet"

POLICIES: dict[str, tuple[str, Callable[[Rules], Policy]]] = {
    OURS: ("hubfleet: seats, calendar, pause", Production),
    "cpu40": ("CPU target 40 %, no reservations", lambda _: baselines.CpuTarget(False)),
    "cpu40-reserved": ("CPU target 40 %, reservations", lambda _: baselines.CpuTarget(True)),
    "placeholders-3": ("3 placeholders", lambda _: baselines.Placeholders(3)),
    "placeholders-half": (
        "placeholders: half a worker",
        lambda rules: baselines.Placeholders(rules.seats // 2),
    ),
    "placeholders-node": (
        "one placeholder of a whole worker",
        lambda rules: baselines.Placeholders(rules.seats, whole=True),
    ),
    "calendar-nodes": ("calendar of placeholder workers", lambda _: baselines.CalendarNodes()),
    "static": ("peak, all day", lambda _: baselines.Static()),
    "pending": ("script: add when one waits 3 min", lambda _: baselines.Pending()),
}
"""Titles and makers by name; the baselines are described in their module."""


@dataclass(frozen=True)
class Job:
    """One run."""

    load: str | Workload
    policy: str
    seed: int
    rules: Rules
    setting: Setting
    series: bool = False
    """Keep the course of the day, for a chart."""


@dataclass(frozen=True)
class Outcome:
    """What one run gave. Node-seconds of the bounds are for the same sessions."""

    load: str
    policy: str
    seed: int
    setting: Setting
    waits: tuple[tuple[str, float], ...]
    node_seconds: float
    lb0: float
    lb1: float
    greedy: float
    static: float
    starts: int
    greedy_starts: int
    killed: int
    reclaimed: int
    densest: int
    unserved: int
    most_workers: int
    series: tuple[tuple[float, int, int, int, int], ...]

    def of(self, *kinds: str) -> list[float]:
        """Return the waits of some kinds of students, of all without a kind."""
        return [seconds for kind, seconds in self.waits if not kinds or kind in kinds]


def rules_for(rules: Rules, setting: Setting) -> Rules:
    """Return rules that fit a setting: its sizes, and its time to ready as the prior."""
    prior = round(setting.ready_p95_s)
    ready = rules.scaling.ready.model_copy(
        update={"prior_s": prior, "boot_timeout_s": max(300, 3 * prior)}
    )
    scaling = rules.scaling.model_copy(
        update={
            "ready": ready,
            # What is spare by default is half a worker.
            "headroom": rules.scaling.headroom.model_copy(
                update={"seats": max(1, setting.seats // 2)}
            ),
        }
    )
    limits = {"minimum": setting.minimum, "maximum": setting.maximum, "seats": setting.seats}
    return replace(rules, scaling=scaling, **limits)


def run(job: Job) -> Outcome:
    """Run one job."""
    load = workload(job.load, job.seed) if isinstance(job.load, str) else job.load
    policy = POLICIES[job.policy][1](job.rules)
    accounts = World(load, job.setting, policy, job.seed).run()
    known = bounds(load, job.setting.seats, job.setting.minimum, job.setting.ready_p95_s)
    return Outcome(
        load=load.name,
        policy=job.policy,
        seed=job.seed,
        setting=job.setting,
        waits=tuple(accounts.waits),
        node_seconds=accounts.node_seconds,
        lb0=known.lb0,
        lb1=known.lb1,
        greedy=known.greedy,
        static=known.static,
        starts=accounts.launches,
        greedy_starts=known.greedy_starts,
        killed=accounts.killed,
        reclaimed=accounts.reclaimed,
        densest=accounts.densest,
        unserved=accounts.unserved,
        most_workers=_most_workers(accounts, job.setting),
        series=tuple(accounts.series) if job.series else (),
    )


def run_all(jobs: Sequence[Job], workers: int | None = None) -> list[Outcome]:
    """Run jobs on all cores and return the outcomes in their order."""
    count = workers or os.cpu_count() or 1
    if count == 1 or len(jobs) < 4:
        return [run(job) for job in jobs]
    with ProcessPoolExecutor(count) as pool:
        return list(pool.map(run, jobs, chunksize=2))


@dataclass(frozen=True)
class Median:
    """A median over seeds and its interval: 95 % or, with less than six values, their range."""

    value: float
    low: float
    high: float


def median(values: Iterable[float]) -> Median:
    """Return the median with its distribution-free interval from order statistics.

    Ranks r and n + 1 - r enclose the median with probability 1 - 2 * P(Binomial(n, 1/2) < r).
    """
    ordered = sorted(values)
    count = len(ordered)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    rank, tail = 0, 0.0
    while rank < count // 2:
        tail += comb(count, rank) / 2**count
        if 2 * tail > 0.05:
            break
        rank += 1
    rank = max(rank, 1)
    return Median(middle, ordered[rank - 1], ordered[count - rank])


def _most_workers(accounts: Accounts, setting: Setting) -> int:
    return max((r + b for _, _, r, b, _ in accounts.series), default=0) // setting.seats
