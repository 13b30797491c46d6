"""Aerial images cut into tiles, their colour-coded labels turned into values: Potsdam, Vaihingen, iSAID."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import known_classes
from segkit.data.io import read_color_label, read_image
from segkit.data.prepare.pictures import Pixels, for_each, some_files, write_png
from segkit.data.prepare.recipe import Place
from segkit.errors import DatasetError
from segkit.files import write_file

_ISPRS = ((0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))
"""Boundary, impervious surface, building, low vegetation, tree, car, clutter; the position is the value."""
_POTSDAM_TRAIN = {2: (10, 11, 12), 3: (10, 11, 12), 4: (10, 11, 12), 5: (10, 11, 12), 6: range(7, 13), 7: range(7, 13)}
_POTSDAM_VAL = {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: (13,)}
"""Row of the town -> columns."""
_VAIHINGEN_TRAIN = tuple(f"area{i}" for i in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37))
_VAIHINGEN_VAL = tuple(f"area{i}" for i in (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38))

_IGNORED = 255
"""What iSAID's label files hold where nothing counts."""
_ISPRS_TILE = 512
_ISAID_TILE, _ISAID_STEP = 896, 512


class Box(NamedTuple):
    """A tile: pixels from (top, left) to (bottom, right), these not included."""

    top: int
    left: int
    bottom: int
    right: int


def tiles(height: int, width: int, size: int, step: int) -> Iterator[Box]:
    """Tiles that cover an image, ``step`` apart; the last of a row or column is shifted back to the border.

    A side shorter than a tile gives one that is as short.
    """
    for top in _starts(height, size, step):
        for left in _starts(width, size, step):
            yield Box(top, left, min(top + size, height), min(left + size, width))


def _starts(length: int, size: int, step: int) -> list[int]:
    last = max(length - size, 0)
    return [*range(0, last, step), last]


def potsdam(place: Place) -> None:
    """6000 x 6000 pixels an image, 144 tiles of 512."""
    splits = {f"{row}_{column}": "train" for row, columns in _POTSDAM_TRAIN.items() for column in columns}
    splits |= {f"{row}_{column}": "val" for row, columns in _POTSDAM_VAL.items() for column in columns}
    _isprs(place, r"potsdam_(\d+_\d+)_", "*potsdam*_RGB.tif", "*potsdam*_label*.tif", splits)


def vaihingen(place: Place) -> None:
    """The eroded labels count; area 9 is left out, as MMSegmentation does."""
    splits = dict.fromkeys(_VAIHINGEN_TRAIN, "train") | dict.fromkeys(_VAIHINGEN_VAL, "val")
    _isprs(place, r"(area\d+)", "top/top_mosaic*area*.tif", "top_mosaic*area*_noBoundary.tif", splits)


def _isprs(place: Place, name: str, images: str, labels: str, splits: Mapping[str, str]) -> None:
    where = {"image": place.work / "images", "label": place.work / "labels"}
    found = {_name(name, path): path for path in some_files(where["image"], images)}
    masks = {_name(name, path): path for path in some_files(where["label"], labels)}
    jobs = [key for key in sorted(found) if key in splits]
    lonely = [key for key in jobs if key not in masks]
    if lonely or not jobs:
        raise DatasetError(f"no label of {', '.join(lonely) or 'any image'}; is an archive incomplete?")

    def convert(key: str) -> None:
        image, label = read_image(found[key]), read_color_label(masks[key])
        if image.shape != label.shape:
            raise DatasetError(f"{found[key]} is {image.shape[:2]}, but its label {masks[key]} is {label.shape[:2]}")
        values = _values(label, _ISPRS, masks[key])
        for box in tiles(values.shape[0], values.shape[1], _ISPRS_TILE, _ISPRS_TILE):
            file = f"{key}_{box.left}_{box.top}_{box.right}_{box.bottom}.png"
            _write_tile(place.root, splits[key], file, file, _cut(image, box), _cut(values, box))

    _each_image(place, jobs, convert)


def isaid(place: Place) -> None:
    """Tiles of 896, 512 apart; smaller images are padded, labels with what is ignored. Test images stay whole."""
    palette = known_classes("iSAIDDataset")[1]
    for split in ("train", "val"):
        masks = {p.name.removesuffix("_instance_color_RGB.png"): p for p in _masks(place.work / split)}
        images = [p for p in some_files(place.work / split, "P*.png") if p.stem in masks]

        def convert(path: Path, split: str = split, masks: Mapping[str, Path] = masks) -> None:
            image, label = read_image(path), read_color_label(masks[path.stem])
            values = _values(label, palette, masks[path.stem])
            image, values = _grown(image, 0), _grown(values, _IGNORED)
            for box in tiles(values.shape[0], values.shape[1], _ISAID_TILE, _ISAID_STEP):
                name = f"{path.stem}_{box.top}_{box.bottom}_{box.left}_{box.right}"
                label_name = f"{name}_instance_color_RGB.png"
                _write_tile(place.root, split, f"{name}.png", label_name, _cut(image, box), _cut(values, box))

        _each_image(place, images, convert)
    for path in sorted((place.work / "test").rglob("P*.png")):
        target = place.root / "img_dir" / "test" / path.name
        if not target.exists():
            write_file(target, path.read_bytes())


def _masks(folder: Path) -> list[Path]:
    return some_files(folder, "*_instance_color_RGB.png")


def _each_image(place: Place, jobs: Sequence[Any], convert: Callable[[Any], None]) -> None:
    """Converts what no earlier run has finished."""

    def once(job: Any) -> None:
        done = place.work / "done" / Path(job).stem
        if not done.exists():
            convert(job)
            write_file(done, b"")

    for_each(jobs, "tiles of images", place, once)


def _write_tile(root: Path, split: str, image_name: str, label_name: str, image: Pixels, values: Pixels) -> None:
    write_png(root / "img_dir" / split / image_name, image)
    write_png(root / "ann_dir" / split / label_name, values)


def _name(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.name)
    if found is None:
        raise DatasetError(f"{path}: its name does not tell its place")
    return found[1]


def _cut(pixels: Pixels, box: Box) -> Pixels:
    return pixels[box.top : box.bottom, box.left : box.right]


def _grown(pixels: Pixels, fill: int) -> Pixels:
    """At least as large as a tile, the rest to the right and below filled."""
    bottom, right = (max(0, _ISAID_TILE - side) for side in pixels.shape[:2])
    return cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(fill,) * 4).astype(np.uint8)


def _values(label: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]], path: Path) -> Pixels:
    """The position of each pixel's colour in a palette."""
    packed = label.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values = _table(tuple(palette)).take(packed)
    unknown = np.unique(packed[values == _UNKNOWN])
    if unknown.size:
        shown = ", ".join(f"[{c >> 16}, {c >> 8 & 255}, {c & 255}]" for c in unknown[:4].tolist())
        raise DatasetError(f"{path}: {shown} are no colours of these labels")
    return values


_UNKNOWN = 254


@cache
def _table(palette: tuple[tuple[int, int, int], ...]) -> Pixels:
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for value, (red, green, blue) in enumerate(palette):
        table[red << 16 | green << 8 | blue] = value
    return table
