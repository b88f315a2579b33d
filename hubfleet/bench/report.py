"""Figures: what a benchmark measured, against its target."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from hubfleet.console import Console
from hubfleet.errors import HubfleetError

DIGITS = 3
"""Decimals of a figure: milliseconds."""


@dataclass(frozen=True)
class Figure:
    """One measured number. Targets are upper bounds, with `least` lower ones.

    `baseline` is what the same run measured for stock software, `ratio` is value / baseline; both
    are None where there is nothing to compare with.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    target: float
    ok: bool
    least: bool = False

    @classmethod
    def at_most(
        cls, name: str, value: float, unit: str, target: float, baseline: float | None = None
    ) -> Self:
        """Return a figure that is all right up to `target`, inclusive."""
        return cls(
            name,
            round(value, DIGITS),
            unit,
            None if baseline is None else round(baseline, DIGITS),
            None if not baseline else round(value / baseline, DIGITS),
            target,
            value <= target,
        )

    @classmethod
    def at_least(cls, name: str, value: float, unit: str, target: float) -> Self:
        """Return a figure that is all right from `target` on, inclusive."""
        rounded = round(value, DIGITS)
        return cls(name, rounded, unit, None, None, target, value >= target, least=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of all are not above, by nearest rank.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return the figures as JSON objects; `ok` knows which way a target bounds."""
    return [
        {key: value for key, value in asdict(figure).items() if key != "least"}
        for figure in figures
    ]


def show(console: Console, figures: Sequence[Figure]) -> None:
    """Print the figures: one JSON list in JSON mode, else a table."""
    if console.json_mode:
        console.emit_json(as_json(figures))
    columns = ("figure", "value", "unit", "stock", "ratio", "target", "")
    rows = [
        (f.name, f.value, f.unit or None, f.baseline, f.ratio, _bound(f), _word(f)) for f in figures
    ]
    console.table(columns, rows)


def require_all(figures: Sequence[Figure]) -> None:
    """Raise HubfleetError (exit code 1) where a figure misses its target."""
    missed = [f"{f.name} is {f.value:g}, target {f.target:g}" for f in figures if not f.ok]
    if missed:
        raise HubfleetError(f"targets missed: {'; '.join(missed)}")


def _bound(figure: Figure) -> str:
    return f"{'>=' if figure.least else '<='} {figure.target:g}"


def _word(figure: Figure) -> str:
    return "ok" if figure.ok else "missed"
