"""A page of a data set: its figures, and samples as they are and as the training would see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from segkit.data.loader import Source
from segkit.data.sampler import Key
from segkit.data.survey import Survey, class_rows, class_weights
from segkit.errors import DatasetError
from segkit.inference.drawing import data_uri, mask_classes, to_rgb
from segkit.types import IGNORE_INDEX, ClassInfo, Sample

_WIDTH = 400
"""Pixels of a picture, at most."""


@dataclass(frozen=True)
class Picture:
    """An image and, to lay over it, its classes; each as a data URI."""

    caption: str
    image: str
    mask: str
    classes: tuple[int, ...]
    aspect: float
    """Width over height."""


@dataclass(frozen=True)
class Row:
    """A sample: as read, and augmented."""

    name: str
    pictures: tuple[Picture, ...]


def draw_rows(source: Source, indices: Sequence[int], augmentations: int) -> list[Row]:
    """Draws samples as read and as the training would see them in its first epochs.

    Args:
        source: of the training split.
        indices: of the samples.
        augmentations: how many of each.
    """
    rows = []
    for index in indices:
        sample = source.dataset[index]
        seen = [_augmented(source, index, epoch) for epoch in range(augmentations)]
        pictures = [_picture("as read", sample, source.dataset.info)]
        pictures += [_picture(f"augmented {i}", s, source.dataset.info) for i, s in enumerate(seen, 1) if s is not None]
        rows.append(Row(sample.name, tuple(pictures)))
    return rows


def render(title: str, surveys: Sequence[Survey], rows: Sequence[Row], **facts: Any) -> str:
    """The page, in one piece.

    Args:
        title: the heading.
        surveys: of the splits, that of training first.
        rows: samples to show.
        facts: what else the template shows.
    """
    info = surveys[0].found.dataset.info
    template = files("segkit.engine").joinpath("data_page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    return page.render(
        title=title,
        splits=[_split(survey) for survey in surveys],
        classes=_classes(surveys, mask_classes(info)),
        rows=rows,
        **facts,
    )


def _augmented(source: Source, index: int, epoch: int) -> Sample | None:
    try:
        return source.load(Key(epoch, index, index), [])
    except DatasetError:  # a partner that a mixing step drew cannot be read; the report tells of it
        return None


def _split(survey: Survey) -> dict[str, Any]:
    sizes = survey.sizes.most_common(4)
    sides = np.array([size for size, count in survey.sizes.items() for _ in range(count)]).reshape(-1, 2)
    return {
        "name": survey.split,
        "samples": survey.found.total,
        "read": survey.found.read,
        "sizes": [{"text": f"{h} x {w}", "images": n} for (h, w), n in sizes],
        "more_sizes": len(survey.sizes) - len(sizes),
        "range": [sides.min(axis=0), np.median(sides, axis=0).astype(int), sides.max(axis=0)] if len(sides) else [],
        "dtype": ", ".join(survey.dtypes),
        "mean": survey.mean.round(2).tolist(),
        "std": survey.std.round(2).tolist(),
        "ignored": _share(survey.found.histogram[IGNORE_INDEX], survey.found.histogram),
    }


def _classes(surveys: Sequence[Survey], shown: ClassInfo) -> list[dict[str, Any]]:
    weights = class_weights(surveys[0].found.counts)
    rows = []
    for index, name in enumerate(class_rows(surveys[0].found.dataset)):
        shares = [_share(s.found.counts[index], s.found.counts) for s in surveys]
        images = [int(s.images[index]) for s in surveys]
        color = "#{:02x}{:02x}{:02x}".format(*shown.palette[index])
        rows.append({"name": name, "color": color, "shares": shares, "images": images, "weight": weights[index]})
    return rows


def _share(part: Any, of: NDArray[np.int64]) -> float:
    return 100 * float(part) / max(int(of.sum()), 1)


def _picture(caption: str, sample: Sample, info: ClassInfo) -> Picture:
    height, width = sample.image.shape[:2]
    scale = min(1.0, _WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(to_rgb(sample.image), size, interpolation=cv2.INTER_AREA)
    mask = sample.mask
    if mask is None:
        return Picture(f"{caption}, {height} x {width}, no label", data_uri(image, quality=95), "", (), width / height)
    classes = tuple(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORE_INDEX]).tolist())
    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    colors = np.zeros((256, 4), np.uint8)  # RGBA
    palette = mask_classes(info).palette
    colors[: len(palette)] = [(*color, 255) for color in palette]
    colors[IGNORE_INDEX] = (255, 255, 255, 255)
    drawn = data_uri(colors[small])
    return Picture(f"{caption}, {height} x {width}", data_uri(image, quality=95), drawn, classes, width / height)
