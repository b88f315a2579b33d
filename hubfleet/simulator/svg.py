"""Charts as inline SVG: areas over time, curves, bars. No script, no outside file."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 30, 34

COLOURS = ("#0b6e99", "#d1495b", "#edae49", "#6a4c93", "#3d8b5f", "#8a6d3b", "#7a7a7a", "#b85c9e")
"""Told apart with the common kinds of colour blindness, and in print by their order."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve of a chart; `step` holds a value until the next one, `fill` colours below it."""

    label: str
    points: Sequence[Point]
    colour: str
    step: bool = False
    fill: bool = False


@dataclass(frozen=True)
class Axis:
    """Range of an axis, its ticks with their texts, and its title."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str


def chart(lines: Sequence[Line], x: Axis, y: Axis, label: str) -> str:
    """Return a chart of lines; `label` describes it to who cannot see it."""
    parts = [_open(HEIGHT, label), *_grid(x, y, HEIGHT)]
    for line in lines:
        points = _steps(line.points) if line.step else list(line.points)
        inside = [(_x(px, x), _y(py, y, HEIGHT)) for px, py in points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in inside)
        if line.fill and inside:
            floor = _y(y.low, y, HEIGHT)
            path = f"{inside[0][0]:.1f},{floor:.1f} {path} {inside[-1][0]:.1f},{floor:.1f}"
            parts.append(f'<polygon points="{path}" fill="{line.colour}" fill-opacity="0.25"/>')
            continue
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>'
        )
    return "\n".join([*parts, "</svg>", _legend([(line.label, line.colour) for line in lines])])


@dataclass(frozen=True)
class Bar:
    """One bar with its interval and a remark behind it."""

    label: str
    value: float
    low: float
    high: float
    remark: str
    colour: str


def bars(items: Sequence[Bar], unit: str, label: str) -> str:
    """Return horizontal bars."""
    row, names = 30, 250
    height = TOP + row * len(items) + 8
    most = max(item.high for item in items) or 1.0
    scale = (WIDTH - names - 340) / most
    parts = [_open(height, label)]
    for index, item in enumerate(items):
        top = TOP + index * row
        middle = top + row / 2 - 3
        end = names + item.value * scale
        low, high = names + item.low * scale, names + item.high * scale
        parts += [
            f'<text x="{names - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{_text(item.label)}</text>",
            f'<rect x="{names}" y="{top}" width="{max(1.0, item.value * scale):.1f}"'
            f' height="{row - 8}" fill="{item.colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
            ' stroke="#222" stroke-width="1.5"/>',
            f'<text x="{max(end, high) + 8:.1f}" y="{middle + 4:.1f}">'
            f"{item.value:.0f} {_text(unit)}{_text(item.remark)}</text>",
        ]
    return "\n".join([*parts, "</svg>"])


def _open(height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{_text(label)}"'
        ' xmlns="http://www.w3.org/2000/svg">'
    )


def _grid(x: Axis, y: Axis, height: float) -> list[str]:
    parts = []
    for value, text in y.ticks:
        place = _y(value, y, height)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}"'
            f' stroke="#ddd"/><text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">'
            f"{_text(text)}</text>"
        )
    for value, text in x.ticks:
        place = _x(value, x)
        parts.append(
            f'<text x="{place:.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">'
            f"{_text(text)}</text>"
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{height - 3}" text-anchor="end" fill="#666">'
        f"{_text(x.title)}</text>"
        f'<text x="4" y="{TOP - 16}" fill="#666">{_text(y.title)}</text>'
    )
    return parts


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<span><i style="background:{colour}"></i>{_text(name)}</span>' for name, colour in entries
    )
    return f'<p class="legend">{items}</p>'


def _steps(points: Sequence[Point]) -> list[Point]:
    found: list[Point] = []
    for px, py in points:
        if found:
            found.append((px, found[-1][1]))
        found.append((px, py))
    return found


def _x(value: float, axis: Axis) -> float:
    return LEFT + (value - axis.low) / (axis.high - axis.low) * (WIDTH - LEFT - RIGHT)


def _y(value: float, axis: Axis, height: float) -> float:
    inside = height - TOP - BOTTOM
    return height - BOTTOM - (value - axis.low) / (axis.high - axis.low) * inside


def _text(value: str) -> str:
    return html.escape(value, quote=True)
