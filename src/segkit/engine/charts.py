"""Line charts as SVG, drawn without a plotting library: a page is written often, and its size is bounded."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal

Points = Sequence[tuple[float, float]]
Scale = Literal["plain", "zero", "log"]

COLORS = ("#2b6cb0", "#d9480f", "#2f8f4e", "#8a4fbf", "#b58900", "#0b8a94", "#c2255c", "#5b6673")
_MOST = 300
"""Points of a line: about as many as it has pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 8, 34


def line_chart(
    lines: Mapping[str, Points], *, label: str, scale: Scale = "plain", width: int = 620, height: int = 240
) -> str:
    """A chart with a legend; "" if there is nothing to draw.

    Args:
        lines: (step, value) by name; values are finite.
        label: what the chart shows, for readers of screens.
        scale: of the values: around them, from zero on, or logarithmic where all are positive.
        width: of the drawing, which is scaled to its place.
        height: of the drawing.
    """
    drawn = {name: thin(points) for name, points in lines.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    log, low = scale == "log" and min(ys) > 0, min(0.0, *ys) if scale == "zero" else min(ys)
    x_ticks, y_ticks = ticks(min(xs), max(xs), 6), log_ticks(low, max(ys)) if log else ticks(low, max(ys), 5)
    x_axis = _Axis(min(xs), max(xs), _LEFT, width - _RIGHT)
    y_axis = _Axis(min(low, y_ticks[0]), max(*ys, y_ticks[-1]), height - _BOTTOM, _TOP, log=log)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">']
    for tick in y_ticks:
        at = y_axis(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in x_ticks:
        at = x_axis(tick)
        parts.append(f'<text x="{at:.1f}" y="{height - _BOTTOM + 14}" text-anchor="middle">{number(tick)}</text>')
    parts.append(f'<text class="soft" x="{width - _RIGHT}" y="{height - 4}" text-anchor="end">step</text>')
    for index, points in enumerate(drawn.values()):
        color = COLORS[index % len(COLORS)]
        path = "M" + "L".join(f"{x_axis(x):.1f} {y_axis(y):.1f}" for x, y in points)
        parts.append(f'<path class="line" stroke="{color}" d="{path}"/>')
        if len(points) <= 30:
            parts += [f'<circle cx="{x_axis(x):.1f}" cy="{y_axis(y):.1f}" r="2.4" fill="{color}"/>' for x, y in points]
    return "".join(parts) + "</svg>" + _legend(drawn)


def spark_line(points: Points, *, high: float = 1.0, width: int = 90, height: int = 18) -> str:
    """A small line from 0 to ``high`` without axes; "" if there are not two points."""
    if len(points) < 2:
        return ""
    kept = thin(points, most=40)
    x_axis = _Axis(kept[0][0], kept[-1][0], 1, width - 1)
    y_axis = _Axis(0.0, high, height - 2, 2)
    path = "M" + "L".join(f"{x_axis(x):.0f} {y_axis(y):.1f}" for x, y in kept)
    line = f'<path class="line" stroke="{COLORS[0]}" d="{path}"/>'
    return f'<svg class="spark" viewBox="0 0 {width} {height}">{line}</svg>'


def thin(points: Points, *, most: int = _MOST) -> list[tuple[float, float]]:
    """As many points as can be seen; of a run of points, the lowest and the highest stay, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    kept: list[tuple[float, float]] = [points[0]]
    buckets = most // 2 - 1
    for bucket in range(buckets):
        part = points[1 + bucket * (len(points) - 2) // buckets : 1 + (bucket + 1) * (len(points) - 2) // buckets]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, ``most`` at most; at least one."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (step * factor) <= most - 1)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)] or [low]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten around ``low`` to ``high``, five at most."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / 4))
    return [10.0**power for power in range(first, last + every, every)]


def number(value: float) -> str:
    """A short number for an axis: 1500 as 1.5k."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{unit}"
    return f"{value:.4g}"


def _legend(lines: Mapping[str, Points]) -> str:
    keys = [
        f'<span><i style="background: {COLORS[index % len(COLORS)]}"></i>{escape(name)} '
        f"<b>{points[-1][1]:.4g}</b></span>"
        for index, (name, points) in enumerate(lines.items())
    ]
    return f'<div class="legend">{"".join(keys)}</div>'


class _Axis:
    """Places values between two ends of a drawing."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self.log = log
        self.low, self.high = (math.log10(low), math.log10(high)) if log else (low, high)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = ((math.log10(value) if self.log else value) - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)
