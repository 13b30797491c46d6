"""Curves of one run or several, from their logs: as a picture, or as a table. Imports no torch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from segkit.config.spelling import hint
from segkit.engine.records import Record, read_log, scalars
from segkit.engine.run import RunFolder
from segkit.errors import ConfigError, Problem, SegkitError, some_of

Axis = Literal["step", "hours"]
PICTURES = (".png", ".svg", ".pdf")
"""Kinds of picture, by their suffix."""
DEFAULT_KEYS = ("loss", "miou", "lr")
_PREFIXES = ("train/", "val/", "val_")
_COLUMNS = 3
_LEGEND = 24
"""Lines that are named; the names of more would hide them."""


@dataclass(frozen=True)
class Run:
    """One run's figures.

    Attributes:
        label: what tells it from the others.
        rows: kind, step, hours since the first record, and figures by name, of each record.
    """

    label: str
    rows: Sequence[tuple[str, int, float, dict[str, float]]]

    @property
    def names(self) -> list[str]:
        """Names of all figures, in the order of their appearance."""
        return list(dict.fromkeys(name for *_, figures in self.rows for name in figures))

    def points(self, name: str, axis: Axis = "step") -> list[tuple[float, float]]:
        """(x, value) of one figure."""
        return [
            (hours if axis == "hours" else step, figures[name])
            for _, step, hours, figures in self.rows
            if name in figures
        ]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Runs by their folders, their logs, or folders that hold runs.

    Raises:
        SegkitError: there is no run, or its log has no record yet.
    """
    logs = list(dict.fromkeys(log for path in paths for log in _logs(path)))
    labels = _labels([log.parent for log in logs])
    return [_read(log, label) for log, label in zip(logs, labels, strict=True)]


def choose_panels(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, list[str]]:
    """The figures of each panel: a key is a figure's name, with or without ``train/`` or ``val/``, or a pattern.

    Raises:
        ConfigError: a key fits no figure.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.names))
    short = {name: _short(name) for name in names}
    panels = {}
    problems = []
    for key in keys:
        exact = [name for name in names if key in (name, short[name])]
        panels[key] = exact or [n for n in names if fnmatchcase(n, key) or fnmatchcase(short[n], key)]
        if not panels[key]:
            known = sorted(set(short.values()))
            listed = some_of(known, 20) + ("; --list shows all" if len(known) > 20 else "")
            problems.append(Problem(f"--keys {key}", f"no figure is called so{hint(key, known)}; known: {listed}"))
    if problems:
        raise ConfigError(problems)
    return panels


def draw_panels(
    runs: Sequence[Run], panels: dict[str, list[str]], target: Path, *, axis: Axis = "step", smooth: float = 0.0
) -> None:
    """Draws one panel a key, with one line for each run and figure, into a file whose suffix tells its kind.

    Args:
        runs: what to draw.
        panels: of :func:`choose_panels`.
        target: where to write; .png, .svg or .pdf.
        axis: optimiser steps, or hours since the run's first record.
        smooth: share of the last value kept in each step of a running mean, 0 to 1; what was measured stays, pale.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: its state belongs to the user
    from matplotlib.figure import Figure

    columns = min(len(panels), _COLUMNS)
    height = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.6 * height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(height, columns, squeeze=False)
    for axes, (key, names) in zip(grid.flat, panels.items(), strict=False):
        for run in runs:
            for name in (name for name in names if name in run.names):
                xs, ys = zip(*run.points(name, axis), strict=True)
                label = " ".join(
                    filter(None, (run.label if len(runs) > 1 else "", _short(name) if len(names) > 1 else ""))
                )
                marker = "." if len(xs) <= 30 else ""
                (line,) = axes.plot(xs, running_mean(ys, smooth), marker=marker, label=label or None, linewidth=1.3)
                if smooth:
                    axes.plot(xs, ys, color=line.get_color(), alpha=0.25, linewidth=0.8)
        axes.set(title=key, xlabel=axis)
        axes.grid(alpha=0.3)
        if 0 < len(axes.get_legend_handles_labels()[1]) <= _LEGEND:
            axes.legend(fontsize="small")
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def to_csv(runs: Sequence[Run], names: Sequence[str]) -> str:
    """A line for each record that has any of the figures: run, kind, step, hours and the figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "kind", "step", "hours", *names])
    for run in runs:
        for kind, step, hours, figures in run.rows:
            if any(name in figures for name in names):
                values = [f"{figures[name]:.7g}" if name in figures else "" for name in names]
                writer.writerow([run.label, kind, step, f"{hours:.5f}", *values])
    return text.getvalue()


def running_mean(values: Sequence[float], share: float) -> list[float]:
    """An exponential mean that does not lean towards its start."""
    mean, weight, means = 0.0, 0.0, []
    for value in values:
        mean = share * mean + (1 - share) * value
        weight = share * weight + 1 - share
        means.append(mean / weight)
    return means


def _logs(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    log = RunFolder(path).log
    found = [log] if log.exists() else sorted(path.glob(f"*/{log.name}")) or sorted(path.glob(f"*/*/{log.name}"))
    if not found:
        text = f"holds no {log.name}, nor do its folders" if path.is_dir() else "no such run"
        raise SegkitError(f"{path}: {text}; name a run folder, such as runs/<name>/<date>-<time>")
    return found


def _read(log: Path, label: str) -> Run:
    records = [record for record in read_log(log) if _is_record(record)]
    if not records:
        raise SegkitError(f"{log}: holds no record of a training (yet)")
    times = [datetime.fromisoformat(record["time"]) if "time" in record else None for record in records]
    began = next((time for time in times if time is not None), None)
    hours = [(time - began).total_seconds() / 3600 if time and began else 0.0 for time in times]
    rows = [(r["kind"], int(r["step"]), hour, scalars(r)) for r, hour in zip(records, hours, strict=True)]
    return Run(label, rows)


def _is_record(record: Record) -> bool:
    return isinstance(record, dict) and isinstance(record.get("kind"), str) and isinstance(record.get("step"), int)


def _labels(folders: Sequence[Path]) -> list[str]:
    """The parts of the folders' paths in which they differ."""
    parts = [folder.resolve().parts for folder in folders]
    if len(parts) == 1:
        return [folders[0].resolve().name]
    shared = next((i for i, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1), 0)
    return ["/".join(part[shared:]) or part[-1] for part in parts]


def _short(name: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    return name.removeprefix(prefix)
