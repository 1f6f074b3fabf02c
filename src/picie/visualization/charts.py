"""Line charts as SVG text for HTML pages.

Text and grid use the current text colour, so charts are legible on light and dark backgrounds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeGuard

__all__ = ["PANELS", "Line", "chart", "epoch_points", "is_number", "stroke", "ticks"]

_WIDTH, _HEIGHT = 300, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 26, 30  # margins for the tick labels and the title
_NO_SPREAD = 1e-6

# Okabe and Ito, "Color Universal Design" (2008), without the yellow, which is hard to see on white;
# the current text colour replaces their black.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "currentColor")
_DASHES = ("", "6 3", "2 2", "8 3 2 3")


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: tooltip of the line.
        style: SVG attributes of the line, from `stroke`.
        points: (x, y) by increasing x.
        faint: thin and pale, for single runs behind their mean.
    """

    name: str
    style: str
    points: tuple[tuple[float, float], ...]
    faint: bool = False


def stroke(number: int) -> str:
    """SVG attributes of the `number`-th line: seven colours, then the same colours dashed."""
    dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{_COLOURS[number % len(_COLOURS)]}"{dashed}'


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that enclose low..high.

    Args:
        low: smallest value.
        high: largest value.
        most: approximate number of steps.

    Example:
        >>> ticks(11.2, 47)
        [10.0, 20.0, 30.0, 40.0, 50.0]
    """
    spread = high - low
    if spread <= abs(high) * _NO_SPREAD:  # constant up to rounding errors
        spread = abs(high) or 1.0
    rough = spread / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def chart(title: str, lines: Sequence[Line]) -> str:
    """An SVG element of 300 x 200 units; "" if no line has a point.

    Args:
        title: title above the chart.
        lines: drawn in order, so faint lines should come first.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    across, up = _whole(ticks(min(xs), max(xs))), ticks(min(ys), max(ys))
    place = _Place(min(xs), max(xs), up[0], up[-1])
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="15" class="title">{escape(title)}</text>',
        *(_grid_line(place, value) for value in up),
        *(_mark(place, value) for value in across if min(xs) <= value <= max(xs)),
        *(_draw(place, line) for line in lines if line.points),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclass(frozen=True)
class _Place:
    """Maps values to SVG units."""

    left: float
    right: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        width = self.right - self.left
        share = (value - self.left) / width if width else 0.5
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _whole(values: list[float]) -> list[float]:
    return [value for value in values if value == int(value)]


def _grid_line(place: _Place, value: float) -> str:
    y = place.y(value)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" class="grid"/>'
        f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    )


def _mark(place: _Place, value: float) -> str:
    x = place.x(value)
    return f'<text x="{x}" y="{_HEIGHT - 10}" text-anchor="middle">{value:g}</text>'


def _draw(place: _Place, line: Line) -> str:
    width, opacity = ("1", "0.35") if line.faint else ("2", "1")
    name = f"<title>{escape(line.name)}</title>"
    if len(line.points) == 1:
        x, y = line.points[0]
        colour = line.style.split('"')[1]
        return (
            f'<circle cx="{place.x(x)}" cy="{place.y(y)}" r="{2 if line.faint else 3}" '
            f'fill="{colour}" opacity="{opacity}">{name}</circle>'
        )
    path = " ".join(f"{place.x(x)},{place.y(y)}" for x, y in line.points)
    return (
        f'<polyline points="{path}" fill="none" {line.style} stroke-width="{width}" '
        f'opacity="{opacity}">{name}</polyline>'
    )


PANELS = {
    "accuracy": "accuracy %",
    "miou": "mIoU %",
    "loss": "loss",
    "within": "within-view loss",
    "cross": "cross-view loss",
    "effective_clusters": "effective clusters (view 1)",
}
"""Title of each chart, by key of metrics.jsonl."""


def epoch_points(curves: Sequence[Mapping[str, Any]], key: str) -> dict[float, float]:
    """Values by epoch, counted from 1; those of view 1 if there is one per view.

    Args:
        curves: records of metrics.jsonl; records without a finite number for the key are skipped.
        key: key of the value.
    """
    points = {}
    for record in curves:
        value = record.get(key)
        if isinstance(value, list):
            value = value[0] if value else None
        if is_number(value):
            points[float(record["epoch"] + 1)] = float(value)
    return points


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a record is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
