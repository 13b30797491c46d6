"""Segmenting a raster that is larger than memory."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.config.transforms import RandomCropConfig
from segkit.data.loader import collate, to_batch
from segkit.data.pipeline import Pipeline
from segkit.data.transforms.base import Geometric
from segkit.errors import DatasetError
from segkit.inference.ahead import ahead
from segkit.inference.drawing import Pixels, mask_classes, shares_of
from segkit.inference.precision import autocast
from segkit.inference.predict import decided, predict_scores
from segkit.inference.rasters.source import Array, Raster
from segkit.inference.rasters.target import Plane, bands_of, write_tiff
from segkit.inference.slide import Grid, bands, window_scores
from segkit.ops.windows import Window
from segkit.types import IGNORE_INDEX, Sample

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

STRIP_BYTES = 2**28
"""Sums of scores that are held at a time; where a whole row of windows needs more, the raster is done in strips."""
_WINDOW = 512
_PREVIEW = 2048
_AHEAD = 4
"""Windows that are read while others are at work."""


@dataclass(frozen=True)
class RasterResult:
    """What a raster's segmentation leaves besides the file.

    Attributes:
        size: (height, width).
        shares: share of the pixels with data that each class takes; the largest first.
        image: the raster, made small, (h, w, C).
        mask: its class ids, as small.
    """

    size: tuple[int, int]
    shares: Mapping[str, float]
    image: Array
    mask: Pixels


def segment_raster(
    predictor: "Predictor",
    raster: Raster,
    target: Path,
    *,
    settings: str = "",
    on_progress: Callable[[float], None] | None = None,
) -> RasterResult:
    """Segments a raster window by window and writes its class ids as a TIFF with palette and georeference.

    Memory depends on the window and the number of classes, not on the raster. Windows lie and are averaged as in slide
    mode, and pixels keep their resolution, whatever the validation transforms say of sizes. Several looks are taken at
    each window by itself. Pixels without data become 255, the file's nodata value. A call that was cut off is taken up
    by the next.

    Args:
        predictor: the model.
        raster: the pixels; its channels and type are those of the model's training.
        target: a ``.tif`` file.
        settings: what the result depends on besides; if it has changed, what was cut off is begun anew.
        on_progress: called with the share that is done.

    Raises:
        DatasetError: the raster is damaged, or has other channels than the model wants.
    """
    wanted = predictor.config.dataset.image_channels
    _check(raster, wanted)
    options = _windowed(predictor)
    grid = Grid.over(raster.size, options)
    areas = strips(grid, len(predictor.info.names))
    mark = hashlib.sha256(repr((settings, raster.size, options, areas)).encode()).hexdigest()
    plane = Plane(target.with_name(f".{target.stem}.plane"), raster.size, mark)
    complete = False
    try:
        for area in areas:
            for top, classes in _strip(predictor, raster, grid, _rest(area, plane), options):
                plane.write(top, area.left, classes)
                if on_progress is not None:
                    on_progress(sum(plane.done(a.left) * a.width for a in areas) / (raster.size[0] * raster.size[1]))
            plane.finish(area.left, area.bottom)
        info = mask_classes(predictor.info)
        counts = write_tiff(plane, target, info.palette, raster.georeference)
        image, mask = _small(raster, plane, wanted)
        complete = True
    finally:
        plane.close(discard=complete)
    return RasterResult(raster.size, shares_of(counts, info.names), image, mask)


def strips(grid: Grid, num_classes: int) -> list[Window]:
    """The image in columns that are narrow enough for the sums of one row of windows to fit into ``STRIP_BYTES``.

    Windows across two columns are looked at twice, so a column is never narrower than two windows.
    """
    height, width = grid.size
    fitting = STRIP_BYTES // (4 * num_classes * min(grid.crop[0], height))
    count = math.ceil(width / max(fitting, 2 * grid.crop[1]))
    bounds = [width * index // count for index in range(count + 1)]
    return [Window(0, left, height, right - left) for left, right in pairwise(bounds)]


def _check(raster: Raster, wanted: int) -> None:
    if raster.channels != wanted and not (raster.channels == 1 and wanted == 3):
        raise DatasetError(f"{raster.path}: has {raster.channels} channels, expected {wanted}")
    if raster.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{raster.path}: pixels are {raster.dtype}, expected uint8 or uint16")


def _windowed(predictor: "Predictor") -> InferenceConfig:
    """The way of looking, with windows: those of slide mode, else of the training crop, two thirds of it apart."""
    options = predictor.options
    crop, stride = options.crop_size, options.stride
    if crop is None:
        crops = [t for t in predictor.config.dataset.train_transforms.values() if isinstance(t, RandomCropConfig)]
        crop = crops[-1].crop_size if crops else (_WINDOW, _WINDOW)
    if stride is None or stride[0] > crop[0] or stride[1] > crop[1]:
        stride = (max(crop[0] * 2 // 3, 1), max(crop[1] * 2 // 3, 1))
    return replace(options, mode="slide", crop_size=crop, stride=stride)


def _rest(area: Window, plane: Plane) -> Window:
    """What is still to be done of a strip."""
    done = plane.done(area.left)
    return Window(done, area.left, area.height - done, area.width)


def _strip(
    predictor: "Predictor", raster: Raster, grid: Grid, area: Window, options: InferenceConfig
) -> Iterator[tuple[int, Pixels]]:
    """Pairs (first row, (rows, area.width) class ids), 255 without data; none where a whole row has no data."""
    pipeline = Pipeline([t for t in predictor.pipeline.transforms if not isinstance(t, Geometric)])
    crops = (
        (place, _inputs(predictor, pipeline, pixels)) for place, pixels in ahead(_read(raster, grid, area), _AHEAD)
    )
    plain = options.tta.scales == (1.0,) and not options.tta.flip
    look_once = replace(options, mode="whole")

    @torch.no_grad()
    def work(windows: Tensor) -> Tensor:
        with autocast(predictor.config.amp, predictor.device):
            if plain:
                return window_scores(predictor.model, windows, options.average)
            return predict_scores(predictor.model, windows, look_once)

    for first, scores in bands(predictor.model, crops, work, grid, area, options):
        classes = decided(scores, options)[0].cpu().numpy()
        valid = raster.valid(Window(first, area.left, *classes.shape))
        yield first, classes if valid is None else np.where(valid, classes, np.uint8(IGNORE_INDEX))


def _read(raster: Raster, grid: Grid, area: Window) -> Iterator[tuple[Window, Array]]:
    """The windows that touch ``area`` and hold data, with their pixels."""
    for place in grid.places:
        part = place.overlap(area)
        if part.height and part.width:
            valid = raster.valid(place)
            if valid is None or valid.any():
                yield place, raster.read(place)


def _inputs(predictor: "Predictor", pipeline: Pipeline, pixels: Array) -> Tensor:
    """(1, C, h, w) normalised, on the device."""
    pixels = _spread(pixels, predictor.config.dataset.image_channels)
    sample = pipeline(Sample("window", pixels, None), np.random.default_rng(0))
    images: Tensor = predictor.preprocess(to_batch(collate([sample])).images.to(predictor.device))
    return images


def _spread(pixels: Array, channels: int) -> Array:
    """Grey is repeated where the model wants RGB."""
    return np.ascontiguousarray(pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2))


def _small(raster: Raster, plane: Plane, channels: int) -> tuple[Array, Pixels]:
    """Every nth pixel of the raster and of its class ids."""
    step = math.ceil(max(raster.size) / _PREVIEW)
    images, masks = [], []
    for top, classes in bands_of(plane):
        own = slice(-top % step, None, step), slice(None, None, step)
        images.append(raster.read(Window(top, 0, *classes.shape))[own].copy())
        masks.append(classes[own].copy())
    return _spread(np.concatenate(images), channels), np.concatenate(masks)
