"""What a finished run leaves to look at: a table, curves, pictures, and what to do next."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from rich.table import Table

from segkit.engine.curves import draw_panels, read_runs
from segkit.engine.log import RunLog
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder, RunResult, write_result
from segkit.inference.drawing import Pixels, overlay
from segkit.inference.gallery import Exhibit
from segkit.metrics.scores import Scores
from segkit.types import ClassInfo

_GAP = 4
_CAPTION = 22


def write_report(log: RunLog, result: RunResult, scores: Scores, info: ClassInfo, *, monitor: str) -> None:
    """Prints the table and the next command, draws the curves, and writes the final figures.

    Args:
        log: of the run.
        result: of the run.
        scores: of the checkpoint to use.
        info: names and colours of the classes.
        monitor: the metric that chose the checkpoint.
    """
    folder, checkpoint = log.folder, result.checkpoint
    where = f"epoch {int(result.best['epoch'])}" if result.best else "the end"
    log.console.print(class_table(scores, info, f"validation, in percent, after {where}"))
    _draw_curves(folder, monitor)
    per_class = {
        name: {key: _or_none(float(values[index])) for key, values in scores.per_class.items()}
        for index, name in enumerate(info.names)
    }
    write_result(folder, result, {"classes": per_class})
    places = {"page": folder.report, "curves": folder.curves, "overlays": folder.overlays}
    written = {name: path for name, path in places.items() if path.exists()}
    for name, path in {"results": folder.path, "checkpoint": checkpoint, **written}.items():
        log.say(f"{name + ':':<12}{path}")
    log.say(f"predict:    segkit-predict {checkpoint} YOUR_IMAGES --output predictions")


def _draw_curves(folder: RunFolder, monitor: str) -> None:
    """The loss with its terms, the monitored metric, and the learning rate."""
    if not read_log(folder.log):
        return
    runs = read_runs([folder.path])
    names = runs[0].names
    plain = monitor.removeprefix("ema/")
    panels = {
        "loss": [name for name in names if name == "train/loss" or name.startswith("train/terms/")],
        monitor: [name for name in (f"val/{plain}", f"val/ema/{plain}") if name in names],
        "learning rate": [name for name in names if name == "train/lr"],
    }
    draw_panels(runs, {title: lines for title, lines in panels.items() if lines}, folder.curves)


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


def draw_overlays(rows: Sequence[Exhibit], info: ClassInfo, *, width: int = 320) -> Pixels:
    """A grid with one row a sample, under a caption: image, image with label, image with prediction.

    Args:
        rows: what to draw.
        info: colours of the classes.
        width: pixels of each picture.

    Returns:
        (H, W, 3) RGB.
    """
    lines = [_caption(("image", "label", "prediction"), width)]
    for row in rows:
        image = row.image
        pictures = [image, overlay(image, row.label, info), overlay(image, row.preds, info)]
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
