"""What a finished run leaves to look at: a table, curves, pictures, and what to do next."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from segkit.engine.log import RunLog
from segkit.engine.records import read_log
from segkit.engine.run import RunResult, write_result
from segkit.inference.drawing import overlay, to_rgb
from segkit.metrics.scores import Scores
from segkit.types import IGNORE_INDEX, ClassInfo

Pixels = NDArray[np.uint8]

_GAP = 4
_CAPTION = 22


def write_report(
    log: RunLog,
    result: RunResult,
    scores: Scores,
    info: ClassInfo,
    rows: Sequence[tuple[Pixels, Pixels | None, Pixels]],
    *,
    monitor: str,
) -> None:
    """Prints the table and the next command, draws curves and pictures, and writes the final figures.

    Args:
        log: of the run.
        result: of the run.
        scores: of the checkpoint to use.
        info: names and colours of the classes.
        rows: samples to draw: image, label or None, prediction.
        monitor: the metric that chose the checkpoint.
    """
    folder, checkpoint = log.folder, result.checkpoint
    where = f"epoch {int(result.best['epoch'])}" if result.best else "the end"
    log.console.print(class_table(scores, info, f"validation, in percent, after {where}"))
    drawn = {"results": folder.path, "checkpoint": checkpoint}
    if draw_curves(folder.log, folder.path / "curves.png", monitor):
        drawn["curves"] = folder.path / "curves.png"
    if rows:
        grid = draw_overlays(rows, info)
        drawn["overlays"] = folder.path / "overlays.png"
        cv2.imwrite(str(drawn["overlays"]), grid[..., ::-1])
        log.image("val/overlays", grid, result.step)
    per_class = {
        name: {key: _or_none(float(values[index])) for key, values in scores.per_class.items()}
        for index, name in enumerate(info.names)
    }
    write_result(folder, result, {"classes": per_class})
    for name, path in drawn.items():
        log.say(f"{name + ':':<12}{path}")
    log.say(f"predict:    segkit-predict {checkpoint} YOUR_IMAGES --output predictions")


def class_table(scores: Scores, info: ClassInfo, title: str) -> Table:
    """Figures of every class, and their means."""
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    columns = ("iou", "accuracy", "precision", "dice")
    for name in ("IoU", "accuracy", "precision", "Dice", "labelled pixels"):
        table.add_column(name, justify="right")
    for index, name in enumerate(info.names):
        figures = [_percent(float(scores.per_class[column][index])) for column in columns]
        table.add_row(name, *figures, f"{int(scores.support[index]):,}")
    means = [scores.overall[name] for name in ("miou", "macc", "mprecision", "mdice")]
    table.add_section()
    table.add_row("mean", *map(_percent, means), f"{int(scores.support.sum()):,}", style="bold")
    return table


def draw_curves(log: Path, target: Path, monitor: str) -> bool:
    """Draws loss, learning rate and the monitored metric over the steps; returns whether there was anything to draw."""
    records = read_log(log)
    train = [r for r in records if r["kind"] == "train"]
    val = [r for r in records if r["kind"] == "val" and r.get(monitor) is not None]
    if not train:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: its state belongs to the user
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    steps = [r["step"] for r in train]
    left.plot(steps, [r["loss"] for r in train], label="loss")
    terms = train[-1]["terms"]
    for name in terms if len(terms) > 1 else ():
        left.plot(steps, [r["terms"].get(name, math.nan) for r in train], label=name, linewidth=0.8)
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    left.legend()
    rate = left.twinx()
    rate.plot(steps, [r["lr"] for r in train], color="grey", linestyle=":", linewidth=0.8)
    rate.set_ylabel("learning rate (dotted)")
    names = [monitor, *(n for n in (f"ema/{monitor}", monitor.removeprefix("ema/")) if n != monitor)]
    for name in (n for n in names if val and val[-1].get(n) is not None):
        right.plot([r["step"] for r in val], [r.get(name, math.nan) for r in val], marker="o", label=name)
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    if val:
        right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=100)
    return True


def draw_overlays(rows: Sequence[tuple[Pixels, Pixels | None, Pixels]], info: ClassInfo, *, width: int = 320) -> Pixels:
    """A grid with one row a sample, under a caption: image, image with label, image with prediction.

    Args:
        rows: (image, label or None, prediction).
        info: colours of the classes.
        width: pixels of each picture.

    Returns:
        (H, W, 3) RGB.
    """
    lines = [_caption(("image", "label", "prediction"), width)]
    for image, label, preds in rows:
        blank = np.full_like(preds, IGNORE_INDEX)
        pictures = [to_rgb(image), *(overlay(image, m, info) for m in (blank if label is None else label, preds))]
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        size = (width, height)
        pictures = [cv2.resize(p, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8) for p in pictures]
        gap = np.full((height, _GAP, 3), 255, np.uint8)
        lines.append(np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=1))
        lines.append(np.full((_GAP, lines[0].shape[1], 3), 255, np.uint8))
    return np.concatenate(lines[:-1], axis=0)


def _caption(words: Sequence[str], width: int) -> Pixels:
    """A white line with a word over each picture."""
    line = np.full((_CAPTION, len(words) * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for index, word in enumerate(words):
        place = (index * (width + _GAP) + _GAP, _CAPTION - 7)
        cv2.putText(line, word, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
