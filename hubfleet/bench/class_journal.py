"""What the controller's journal says of a class: orders, ends, and how soon an order came. Pure.

Times are POSIX seconds.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Act:
    """One action that the controller has carried out."""

    at: float
    do: str
    node: str
    reason: str
    done: float = 0.0
    """When it had been carried out, at the latest; `at` is the look that it rests on."""


@dataclass(frozen=True)
class Journal:
    """The decisions of a stretch of time, in their order."""

    lines: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, text: str) -> "Journal":
        """Return the journal of a log; lines that are none of it are left out."""
        found = []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"at", "event"} <= entry.keys():
                found.append(entry)
        return cls(sorted(found, key=lambda entry: float(entry["at"])))

    def acts(self, do: str) -> list[Act]:
        """Return what was carried out of one kind: `launch`, `terminate`, `pause` or another."""
        return [
            Act(
                at=float(line["at"]),
                do=do,
                node=str(each.get("node", "")),
                reason=str(each["reason"]),
                done=float(line["at"]) + float(line.get("took", 0)),
            )
            for line in self.lines
            for each in line.get("actions", ())
            if each["do"] == do and "failed" not in each
        ]

    def order_lags(self, needs: Iterable[float]) -> list[float]:
        """Return for each order how long before its end the first need arose that it may answer.

        `needs` are the moments at which more workers were wanted: a click, a notice, a death. What
        was there at the decision before an order was no reason for one, so the first need after
        that decision counts; an order without such a need came by the clock and is left out.
        """
        moments = sorted(needs)
        decided = [float(line["at"]) for line in self.lines if line["event"] == "decision"]
        lags = []
        for order in self.acts("launch"):
            before = max((at for at in decided if at < order.at), default=float("-inf"))
            first = next((at for at in moments if before < at <= order.at), None)
            if first is not None:
                lags.append(order.done - first)
        return lags


@dataclass(frozen=True)
class Stay:
    """A server's time on a worker; `until` is None while it is there."""

    node: str
    since: float
    until: float | None = None


def killed_by_scale_in(ended: Iterable[Act], stays: Iterable[Stay]) -> int:
    """Return how many servers were on a worker when the controller decided to end it."""
    known = list(stays)
    return sum(
        stay.node == act.node
        and stay.since <= act.at
        and (stay.until is None or act.at < stay.until)
        for act in ended
        for stay in known
    )
