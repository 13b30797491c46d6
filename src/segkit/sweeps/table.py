"""Swept values against metrics: on the console, as CSV, and as a plot for each swept parameter."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segkit.sweeps.folder import short_names, swept
from segkit.sweeps.status import JobStatus

_SHOWN = ("miou", "macc", "aacc", "mdice")
_LOG_FROM = 20
"""Ratio of the largest to the smallest value from which on an axis is logarithmic."""


def ranked(states: Sequence[JobStatus], metric: str | None = None) -> list[JobStatus]:
    """The jobs, the best metric first; those without one last."""
    return sorted(states, key=lambda state: -state.metrics.get(metric or state.monitor, -math.inf))


def print_table(states: Sequence[JobStatus], metric: str | None = None) -> None:
    """Prints the jobs, the best first: their swept values, how far they are, and their figures in percent."""
    keys, monitor = swept([state.job for state in states]), metric or (states[0].monitor if states else "")
    others = [name for name in _SHOWN if name != monitor and any(name in state.metrics for state in states)]
    table = Table()
    table.add_column("job", justify="right")
    for name in short_names(keys):
        table.add_column(escape(name), overflow="fold")
    for name in ("state", "progress"):
        table.add_column(name, no_wrap=True)
    for name in (monitor, *others):
        table.add_column(name, justify="right")
    for state in ranked(states, metric):
        values = [escape(state.job.values.get(key, "")) for key in keys]
        figures = [_percent(state.metrics.get(name)) for name in (monitor, *others)]
        table.add_row(str(state.job.number), *values, _coloured(state.state), state.progress, *figures)
    Console().print(table)


def write_csv(file: Path, states: Sequence[JobStatus], metric: str | None = None) -> None:
    """Writes the jobs, the best first, with every metric."""
    keys = swept([state.job for state in states])
    names = sorted({name for state in states for name in state.metrics})
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["job", *keys, "state", "progress", *names, "folder"])
        for state in ranked(states, metric):
            values = [state.job.values.get(key, "") for key in keys]
            figures = [state.metrics.get(name, "") for name in names]
            folder = str(state.job.folder.path)
            writer.writerow([state.job.number, *values, state.state, state.progress, *figures, folder])


def draw(file: Path, states: Sequence[JobStatus], metric: str | None = None) -> bool:
    """Draws the metric against each swept parameter, a point a job and a line through the means.

    Returns:
        Whether there was anything to draw.
    """
    keys = swept([state.job for state in states])
    monitor = metric or (states[0].monitor if states else "")
    scored = [(state.job.values, state.metrics[monitor]) for state in states if monitor in state.metrics]
    if not keys or not scored:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: its state belongs to the user
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(keys), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False, sharey=True)[0], keys, strict=True):
        points = [(values[key], value) for values, value in scored if key in values]
        texts = list(dict.fromkeys(text for text, _ in points))
        places, scale = _places(texts)
        axes.scatter([places[text] for text, _ in points], [value for _, value in points])
        means = {text: [value for other, value in points if other == text] for text in texts}
        line = sorted((places[text], sum(values) / len(values)) for text, values in means.items())
        axes.plot([x for x, _ in line], [y for _, y in line], linewidth=0.8, alpha=0.6)
        axes.set_xscale(scale)
        axes.set_xticks([places[text] for text in texts], texts)
        axes.minorticks_off()
        axes.set(xlabel=key, ylabel=monitor)
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=100)
    return True


def _places(texts: Sequence[str]) -> tuple[dict[str, float], str]:
    """Where values stand on an axis, and its scale: numbers in their order, other values side by side."""
    try:
        numbers = {text: float(text) for text in texts}
    except ValueError:
        return {text: float(index) for index, text in enumerate(texts)}, "linear"
    low, high = min(numbers.values(), default=0), max(numbers.values(), default=0)
    return numbers, "log" if low > 0 and high / low >= _LOG_FROM else "linear"


_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "stopped": "yellow"}


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else state


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
