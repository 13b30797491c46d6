"""The run's page: figures, curves, classes, confusions and images in one file that needs no other."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import yaml
from jinja2 import Environment
from markupsafe import Markup

from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.charts import Points, Scale, line_chart, spark_line
from segkit.engine.records import Record
from segkit.files import write_file
from segkit.inference.confusion import confusion_svg, most_confused
from segkit.inference.drawing import Pixels, data_uri, mask_classes, overlay
from segkit.inference.gallery import Exhibit, Gallery
from segkit.metrics.scores import Scores
from segkit.types import IGNORE_INDEX, ClassInfo

State = Literal["running", "finished", "stopped", "failed"]

_CONFUSED = 20
_QUALITY = 80
"""Of the pictures, as JPEG."""


@dataclass(frozen=True)
class RunView:
    """What a page shows.

    Attributes:
        title: name of the run.
        place: its folder.
        state: whether it goes on, or how it ended.
        config: of the run.
        info: names and colours of the classes.
        records: of the log, all up to now.
        scores: of the evaluation that is shown.
        prefix: of its metrics in the log, "" or "ema/".
        evaluation: which evaluation that is, in words.
        gallery: its images.
        tiles: the figures on top, by what they are.
        command: what to do with the result.
        patience_s: seconds without a word after which a running run must be taken for dead.
    """

    title: str
    place: str
    state: State
    config: SegmentorConfig
    info: ClassInfo
    records: Sequence[Record]
    scores: Scores
    prefix: str
    evaluation: str
    gallery: Gallery
    tiles: Mapping[str, str]
    command: str
    patience_s: float = 0.0


def render_page(view: RunView) -> str:
    """The page; its size grows with classes and images shown, not with the length of the run."""
    template = files("segkit.engine").joinpath("run_page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    config, scores = view.config, view.scores
    return page.render(
        title=view.title,
        place=view.place,
        badge=_badge(view.state, view.patience_s),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"),
        model=f"{config.head.type} on {config.backbone.type}, {config.dataset.type}, {len(view.info.names)} classes",  # type: ignore[attr-defined]
        tiles=[{"name": name, "value": value} for name, value in view.tiles.items()],
        charts=_charts(view.records),
        classes=_classes(view),
        mean={name: _percent(scores.overall[f"m{name}" if name != "accuracy" else "macc"]) for name in _FIGURES},
        evaluation=view.evaluation,
        confusion=None if scores.confusion is None else Markup(confusion_svg(scores.confusion, view.info)),
        confused=_confused(scores, view.info),
        sections=_sections(view),
        command=view.command,
        config=yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True),
    )


def change_state(page: Path, state: State, patience_s: float = 0.0) -> None:
    """Says on a page that was written before, if there is one, how the run is now.

    Args:
        page: the file.
        state: of the run.
        patience_s: as in :class:`RunView`; what the page has already stays if it is more.
    """
    if page.exists():
        text = page.read_text("utf-8")
        known = re.search(r'data-patience="(\d+)"', text)
        badge = _badge(state, max(patience_s, float(known[1]) if known else 0.0))
        write_file(page, re.sub(r'<span class="state [^>]*>[^<]*</span>', badge, text, count=1))


def _badge(state: State, patience_s: float) -> Markup:
    """The state, and of a run that goes on the time, as it may die without a word; the page's script compares."""
    now = datetime.now(UTC).replace(microsecond=0)
    numbers = f'data-written="{now.timestamp():.0f}" data-patience="{patience_s:.0f}"'
    words = f"running, as of {now:%Y-%m-%d %H:%M:%S} UTC" if state == "running" else state
    return Markup(f'<span class="state {state}" {numbers}>{words}</span>')


_FIGURES = ("iou", "accuracy", "precision", "dice")


def _charts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The curves of the log that have any points."""
    train = [record for record in records if record["kind"] == "train"]
    val = [record for record in records if record["kind"] == "val"]
    terms = list(dict.fromkeys(name for record in train for name in record["terms"]))
    loss = {"loss": _points(train, "loss")}
    if len(terms) > 1:
        loss |= {name: _points(train, "terms", name) for name in terms}
    shown = [f"{prefix}{name}" for name in ("miou", "macc", "all_accuracy") for prefix in ("", "ema/")]
    charts: list[tuple[str, Scale, Mapping[str, Points]]] = [
        ("training loss", "plain", loss),
        ("validation", "zero", {name: _points(val, name) for name in shown}),
        ("learning rate", "zero", {"lr": _points(train, "lr")}),
        ("gradient norm", "log", {"gradient": _points(train, "grad_norm")}),
        ("images per second", "zero", {"images/s": _points(train, "images_per_s")}),
        ("share of the time spent waiting for data", "zero", {"wait": _points(train, "data_wait")}),
    ]
    drawn = ((title, line_chart(lines, label=title, scale=scale)) for title, scale, lines in charts)
    return [{"title": title, "svg": Markup(svg)} for title, svg in drawn if svg]


def _points(records: Iterable[Record], *keys: str) -> Points:
    """(step, value) where a record has a number under the keys."""
    points = []
    for record in records:
        value: Any = record
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and math.isfinite(value):
            points.append((float(record["step"]), float(value)))
    return points


def _classes(view: RunView) -> list[dict[str, Any]]:
    scores = view.scores
    total = max(int(scores.support.sum()), 1)
    val = [record for record in view.records if record["kind"] == "val"]
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(view.info.names):
        iou = float(scores.per_class["iou"][index])
        trend = _points(val, f"{view.prefix}iou", name)
        figures = {figure: _percent(float(scores.per_class[figure][index])) for figure in _FIGURES}
        rows.append(
            {
                **figures,
                "name": name,
                "color": "#{:02x}{:02x}{:02x}".format(*view.info.palette[index]),
                "width": 0 if math.isnan(iou) else round(100 * iou, 1),
                "trend": Markup(spark_line(trend)),
                "share": f"{100 * int(scores.support[index]) / total:.2f}",
            }
        )
    return rows


def _confused(scores: Scores, info: ClassInfo) -> list[dict[str, str]]:
    if scores.confusion is None:
        return []
    names = mask_classes(info).names
    return [
        {
            "label": names[pair.label],
            "preds": names[pair.preds],
            "share": f"{100 * pair.share:.1f} %",
            "pixels": f"{pair.pixels:,}",
        }
        for pair in most_confused(scores.confusion, _CONFUSED)
    ]


def _sections(view: RunView) -> list[dict[str, Any]]:
    gallery = view.gallery
    images = {"Worst images": gallery.worst, "Best images": gallery.best, "Always the same images": gallery.shown}
    return [{"title": title, "rows": [_row(one, view.info) for one in rows]} for title, rows in images.items() if rows]


def _row(exhibit: Exhibit, info: ClassInfo) -> dict[str, Any]:
    pictures = (
        ("image", exhibit.image),
        ("label", overlay(exhibit.image, exhibit.label, info)),
        ("prediction", overlay(exhibit.image, exhibit.preds, info)),
        ("wrong pixels", draw_errors(exhibit)),
    )
    score = "" if math.isnan(exhibit.score) else f"mIoU {100 * exhibit.score:.2f}"
    drawn = [{"caption": caption, "uri": data_uri(pixels, quality=_QUALITY)} for caption, pixels in pictures]
    return {"name": exhibit.name, "score": score, "pictures": drawn}


def draw_errors(exhibit: Exhibit) -> Pixels:
    """The image in pale grey, (h, w, 3) RGB, with what was labelled otherwise than predicted in red."""
    grey = cv2.cvtColor(exhibit.image, cv2.COLOR_RGB2GRAY)[..., None]
    wrong = (exhibit.label != exhibit.preds) & (exhibit.label != IGNORE_INDEX)
    return np.where(wrong[..., None], (214, 40, 30), 110 + grey * 0.55).astype(np.uint8)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
