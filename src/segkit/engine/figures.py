"""Figures of an evaluation as files: tables for papers and spreadsheets, pictures, scores of single images."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: its state belongs to the user
from matplotlib.figure import Figure

from segkit.engine.evaluate import Evaluation
from segkit.engine.report import draw_overlays
from segkit.errors import SegkitError
from segkit.inference.confusion import draw_confusion
from segkit.inference.drawing import mask_classes
from segkit.metrics.images import Comparison, ImageScores, Interval
from segkit.metrics.scores import MEANS
from segkit.types import ClassInfo

COLUMNS = {
    "iou": "IoU",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "dice": "Dice",
    "fscore": "F-score",
    "boundary_iou": "boundary IoU",
    "boundary_fscore": "boundary F1",
}
"""Figure of a class -> its title."""

_MEAN_OF = {figure: mean for mean, figure in MEANS.items()} | {
    "boundary_iou": "mboundary_iou",
    "boundary_fscore": "mboundary_fscore",
}


def write_figures(folder: Path, evaluation: Evaluation, info: ClassInfo) -> list[Path]:
    """Writes all that an evaluation has, and returns the files.

    ``classes.csv`` and ``classes.tex`` (a table for LaTeX's booktabs, in percent), ``confusion.png``; ``images.csv``
    (lowest mean IoU first), ``worst.png`` and ``best.png`` of single images; ``reliability.png`` of the calibration.

    Raises:
        SegkitError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = _class_rows(evaluation, info)
        written = [_write_csv(folder / "classes.csv", rows), _write_latex(folder / "classes.tex", rows)]
        if evaluation.scores.confusion is not None:
            written.append(_draw_confusion(folder / "confusion.png", evaluation.scores.confusion, info))
        if evaluation.further.images is not None:
            written.append(_write_csv(folder / "images.csv", _image_rows(evaluation.further.images, info)))
        for name, exhibits in (("worst", evaluation.worst), ("best", evaluation.best)):
            if exhibits:
                path = folder / f"{name}.png"
                cv2.imwrite(str(path), draw_overlays(exhibits, info)[..., ::-1])
                written.append(path)
        if evaluation.further.reliability is not None:
            written.append(_draw_reliability(folder / "reliability.png", evaluation))
    except OSError as error:
        raise SegkitError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return written


def write_comparison(path: Path, names: Sequence[str], comparisons: Sequence[Comparison]) -> None:
    """A line for each checkpoint after the first, which the others are compared with.

    Raises:
        SegkitError: the file cannot be written.
    """
    header = ["checkpoint", "miou", "low", "high", "difference", "difference_low", "difference_high", "share_better"]
    first: Interval = comparisons[0].first
    rows: list[list[Any]] = [header, [names[0], *first, "", "", "", ""]]
    rows += [
        [name, *found.second, *found.difference, found.share_better]
        for name, found in zip(names[1:], comparisons, strict=True)
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_csv(path, rows)
    except OSError as error:
        raise SegkitError(f"{path}: cannot be written ({error.strerror or error})") from error


def _class_rows(evaluation: Evaluation, info: ClassInfo) -> list[list[Any]]:
    """A header, a line a class, and the means; figures between 0 and 1, empty where not defined."""
    scores = evaluation.scores
    columns = [name for name in COLUMNS if name in scores.per_class]
    rows: list[list[Any]] = [["class", *(COLUMNS[name] for name in columns), "labelled pixels"]]
    for index, name in enumerate(info.names):
        figures = [_defined(float(scores.per_class[column][index])) for column in columns]
        rows.append([name, *figures, int(scores.support[index])])
    means = [_defined(scores.overall[_MEAN_OF[column]]) for column in columns]
    return [*rows, ["mean", *means, int(scores.support.sum())]]


def _image_rows(images: ImageScores, info: ClassInfo) -> list[list[Any]]:
    """A header and a line an image, the worst first: its mean IoU, its accuracy, and each class's IoU in it."""
    miou, iou = images.miou, images.iou
    rows: list[list[Any]] = [["image", "miou", "accuracy", *info.names]]
    order = [*images.worst(len(miou)), *(i for i, value in enumerate(miou) if math.isnan(value))]
    for index in order:
        right, labelled, _ = images.counts[index]
        accuracy = right.sum() / labelled.sum() if labelled.any() else math.nan
        rows.append([images.names[index], *(_defined(float(value)) for value in (miou[index], accuracy, *iou[index]))])
    return rows


def _defined(value: float) -> float | str:
    return "" if math.isnan(value) else round(value, 6)


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def _write_latex(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    header, *classes, mean = [row[:-1] for row in rows]
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule", _latex_row(header), r"\midrule"]
    lines += [*map(_latex_row, classes), r"\midrule", _latex_row(mean), r"\bottomrule", r"\end{tabular}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _latex_row(row: Sequence[Any]) -> str:
    cells = [f"{100 * cell:.2f}" if isinstance(cell, float) else _latex_text(str(cell)) or "--" for cell in row]
    return " & ".join(cells) + r" \\"


def _latex_text(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, rf"\{c}" if c in "&%$#_{}" else c) for c in text)


def _draw_confusion(path: Path, counts: Any, info: ClassInfo) -> Path:
    names = mask_classes(info).names
    side = 3 + 0.28 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(draw_confusion(counts), interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="prediction", ylabel="label", title="share of each label's pixels (square root)")
    figure.savefig(path, dpi=100)
    return path


def _draw_reliability(path: Path, evaluation: Evaluation) -> Path:
    confidence, right, pixels = evaluation.further.reliability or ((), (), ())
    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="as sure as right")
    axes.plot(confidence, right, marker="o", label="model")
    axes.bar(confidence, [count / max(sum(pixels), 1) for count in pixels], width=0.03, alpha=0.3, label="pixels")
    error = evaluation.scores.overall["calibration_error"]
    axes.set(
        xlabel="confidence", ylabel="share right", title=f"calibration error {error:.4f}", xlim=(0, 1), ylim=(0, 1)
    )
    axes.legend()
    figure.savefig(path, dpi=100)
    return path
