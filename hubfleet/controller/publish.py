"""What the controller says: the report for the hub, one JSON line per decision, metrics."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hubfleet.controller.act import Outcome
from hubfleet.controller.model import Decision, NodeState, Observation, Rules
from hubfleet.controller.report import FleetReport, Notice, Phase, WorkerReport

BIRTH_BUCKETS = (15, 30, 45, 60, 90, 120, 180, 300, 600)
"""Seconds."""

STOPPERS = ("the day's budget is spent", "every pool has failed and rests")
"""How the notes end that say why nothing is ordered for a while."""

Births = Mapping[str, tuple[Phase, float | None]]
"""Of each worker that is not ready: its phase, and when it is expected to be ready."""


def report_of(
    seen: Observation,
    decision: Decision,
    rules: Rules,
    births: Births,
    notices: Sequence[Notice],
    members: Mapping[str, str],
) -> FleetReport:
    """Return what students are told of a decision; `members`: Swarm ids by instance id. Pure."""
    figures = decision.figures
    short = figures.queued > figures.free + figures.coming
    reasons = [note for note in decision.notes if note.endswith(STOPPERS)]
    return FleetReport(
        at=seen.at,
        workers=tuple(
            WorkerReport(
                id=node.id,
                state=node.state.value,
                phase=births.get(node.id, (_phase(node.state), None))[0],
                seats=node.seats,
                used=node.used,
                ordered_at=node.launched_at,
                member=members.get(node.id, ""),
                ready_at=births.get(node.id, (None, None))[1],
            )
            for node in seen.nodes
        ),
        maximum=rules.maximum,
        queued=seen.queued,
        ready_s=figures.ready_s,
        placement=decision.placement,
        notices=tuple(notices),
        blocked="; ".join(reasons) if short else "",
    )


def _phase(state: NodeState) -> Phase:
    return Phase.BOOTING if state is NodeState.BOOTING else Phase.READY


class Journal:
    """One JSON line per event on standard output, which is where a container's log comes from."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, event: str, at: float, **fields: Any) -> None:
        """Write one line."""
        line = {"at": round(at, 3), "event": event, **fields}
        sys.stdout.write(json.dumps(line, default=str, sort_keys=False) + "\n")
        sys.stdout.flush()

    def decision(
        self, seen: Observation, decision: Decision, outcomes: Sequence[Outcome], took: float
    ) -> None:
        """Write a decision that does something, or that says something new.

        `took` are the seconds from the look, which gives the line its time, until all was done.
        """
        acts = [
            {
                "do": type(action).__name__.lower(),
                **asdict(action),
                **({"failed": failed} if failed else {}),
            }
            for action, failed in outcomes
        ]
        figures = asdict(decision.figures)
        said = json.dumps([decision.notes, seen.queued, figures["wanted"]])
        if acts or said != self._last:
            self._last = said
            self.write(
                "decision",
                seen.at,
                took=round(took, 3),
                actions=acts,
                notes=decision.notes,
                **figures,
            )


class Metrics:
    """Prometheus metrics of the controller; names end in their unit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.workers = Gauge("hubfleet_workers", "Workers by state.", ["state"], registry=registry)
        self.seats = Gauge("hubfleet_seats", "Seats by use.", ["use"], registry=registry)
        self.wanted = Gauge("hubfleet_workers_wanted", "Workers wanted.", registry=registry)
        self.ready = Gauge(
            "hubfleet_ready_seconds", "Time to ready that is reckoned with.", registry=registry
        )
        self.read = Gauge(
            "hubfleet_source_last_success_timestamp_seconds",
            "When a source was last read.",
            ["source"],
            registry=registry,
        )
        self.actions = Counter(
            "hubfleet_actions", "Actions by kind and outcome.", ["do", "outcome"], registry=registry
        )
        self.births = Histogram(
            "hubfleet_birth_seconds",
            "From the order of a worker until it takes students.",
            buckets=BIRTH_BUCKETS,
            registry=registry,
        )
        self.reaper = Counter(
            "hubfleet_departures",
            "What has happened to workers that leave, and to messages about them.",
            ["event"],
            registry=registry,
        )
        self._births = 0
        self._departures: dict[str, int] = {}

    def update(self, seen: Observation, decision: Decision, outcomes: Sequence[Outcome]) -> None:
        """Take over a decision."""
        for state in NodeState:
            count = sum(node.state is state for node in seen.nodes)
            self.workers.labels(state.value).set(count)
        figures = decision.figures
        for use in ("used", "queued", "free", "coming", "headroom"):
            self.seats.labels(use).set(getattr(figures, use))
        self.wanted.set(figures.wanted)
        self.ready.set(figures.ready_s)
        for source in ("hub", "swarm", "fleet"):
            self.read.labels(source).set(getattr(seen.read, source))
        for action, failed in outcomes:
            kind = type(action).__name__.lower()
            self.actions.labels(kind, "failed" if failed else "done").inc()
        for seconds in seen.ready_times[self._births :]:
            self.births.observe(seconds)
        self._births = len(seen.ready_times)

    def departures(self, counts: Mapping[str, int]) -> None:
        """Take over what the reaper has counted since it began."""
        for event, count in counts.items():
            self.reaper.labels(event).inc(count - self._departures.get(event, 0))
        self._departures = dict(counts)
