"""Overlapping windows, averaged."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.errors import ConfigError, Problem
from segkit.inference.batches import WindowBatch, Work
from segkit.inference.look import Look, Model, scores_of
from segkit.ops.resize import resize
from segkit.ops.windows import Blend, Window, covered, window_profile, windows

CANVAS_BYTES = 2**28
"""A canvas for the whole image is laid out at once up to this size; above it, for the rows at work only."""

Size = tuple[int, int]
Crop = tuple[Window, Tensor]
"""A window, and its (N, C, h, w) normalised pixels."""


@dataclass(frozen=True)
class Grid:
    """The windows over an image.

    Attributes:
        size: (height, width) of the image.
        crop: of a window.
        stride: pixels between windows.
        blend: what a window counts where several overlap.
    """

    size: Size
    crop: Size
    stride: Size
    blend: Blend = "uniform"

    @classmethod
    def over(cls, size: Size, config: InferenceConfig) -> "Grid":
        """The grid of a configuration.

        Raises:
            ConfigError: if ``crop_size`` or ``stride`` is missing.
        """
        crop, stride = config.crop_size, config.stride
        if crop is None or stride is None:
            missing = [key for key in ("crop_size", "stride") if getattr(config, key) is None]
            text = "slide mode needs it; give [height, width]"
            raise ConfigError([Problem(f"inference.{key}", text) for key in missing])
        return cls(size, crop, stride, config.blend)

    @property
    def places(self) -> list[Window]:
        """The windows from the top, each row from the left."""
        return windows(self.size, self.crop, self.stride)

    def profiles(self) -> tuple[Tensor, Tensor]:
        """What a window's pixels count, down and across."""
        height, width = (min(pair) for pair in zip(self.crop, self.size, strict=True))
        return window_profile(height, self.blend), window_profile(width, self.blend)

    def sums(self) -> tuple[Tensor, Tensor]:
        """What all windows count together, down and across."""
        down, across = (covered(*side, self.blend) for side in zip(self.size, self.crop, self.stride, strict=True))
        return down, across


def slide_look(model: Model, images: Tensor, config: InferenceConfig) -> Look:
    """Scores of (N, C, H, W) images at the images' resolution, averaged where windows overlap.

    Raises:
        ConfigError: if ``crop_size`` or ``stride`` is missing.
        SegkitError: a single window is too large for the memory.
    """
    grid = Grid.over((images.shape[2], images.shape[3]), config)
    crops = ((w, images[:, :, w.top : w.bottom, w.left : w.right]) for w in grid.places)

    def work(crops: Tensor) -> Tensor:
        return window_scores(model, crops, config.average)

    area = Window(0, 0, *grid.size)
    return Look(grid.size[0], (band for _, band in bands(model, crops, work, grid, area, config)))


def bands(
    model: object, crops: Iterable[Crop], work: Work, grid: Grid, area: Window, config: InferenceConfig
) -> Iterator[tuple[int, Tensor]]:
    """Averages windows; yields rows as soon as no later window touches them.

    Args:
        model: whose memory limits the batches.
        crops: windows of ``grid`` that touch ``area``, in its order; those without anything to see may be left out.
        work: (n, C, h, w) pixels to (n, K, h, w) scores.
        grid: all windows.
        area: the part of the image that is wanted.
        config: for ``window_batch``.

    Yields:
        Pairs (first row, (N, K, rows, area.width) float32), from the top down; without rows that no crop covers.
    """
    iterator = iter(crops)
    first = next(iterator, None)
    if first is None:
        return
    waiting = [first]
    num_images, device = len(first[1]), first[1].device
    batch = WindowBatch(model, config.window_batch, first[1], work)
    down, across = (side.to(device) for side in grid.sums())
    across = across[area.left : area.right]
    weights = None if grid.blend == "uniform" else _outer(grid.profiles(), device)
    canvas = _Canvas(area, weights)
    while waiting:
        step = max(batch.limit // num_images, 1)
        waiting += islice(iterator, step + 1 - len(waiting))  # and one to know how far the rows are complete
        chunk, waiting = waiting[:step], waiting[step:]
        canvas.skip_to(chunk[0][0].top)
        scores = batch(torch.cat([pixels for _, pixels in chunk]))
        for (place, _), patch in zip(chunk, scores.split(num_images), strict=True):
            canvas.add(place, patch)
        done = min(waiting[0][0].top if waiting else area.bottom, canvas.bottom)
        if done > canvas.first:
            start = canvas.first
            yield start, canvas.take(done).div_(down[start:done, None] * across)


def window_scores(model: Model, crops: Tensor, average: str) -> Tensor:
    """(n, K, h, w) scores of (n, C, h, w) windows, at the windows' resolution."""
    logits = model(crops).float().contiguous()  # resizing is fastest on planes
    if logits.shape[2:] != crops.shape[2:]:
        logits = resize(logits, (crops.shape[2], crops.shape[3]), align_corners=model.align_corners)
    return scores_of(logits, average)


def _outer(profiles: Sequence[Tensor], device: torch.device) -> Tensor:
    down, across = (profile.to(device) for profile in profiles)
    return down[:, None] * across


class _Canvas:
    """Sums of patches over ``area`` of an image, from row ``first`` down; float32, whatever the model computes in."""

    def __init__(self, area: Window, weights: Tensor | None) -> None:
        self.area = area
        self.weights = weights
        self.first = self.bottom = area.top
        self._sums = torch.empty(0, 0, 0, area.width)  # (N, K, rows, width)

    def add(self, place: Window, patch: Tensor) -> None:
        """Adds (N, K, h, w) scores; into a slice, as padding a patch to the image's size costs 20 times the traffic."""
        part = place.overlap(Window(self.first, self.area.left, self.area.bottom - self.first, self.area.width))
        rows = slice(part.top - place.top, part.bottom - place.top)
        columns = slice(part.left - place.left, part.right - place.left)
        if self._sums.shape[2] < part.bottom - self.first:
            self._sums = self._stretched(part.bottom - self.first, patch)
        top, left = part.top - self.first, part.left - self.area.left
        target = self._sums[:, :, top : top + part.height, left : left + part.width]
        if self.weights is None:
            target += patch[:, :, rows, columns]
        else:
            target.addcmul_(patch[:, :, rows, columns], self.weights[rows, columns])
        self.bottom = max(self.bottom, part.bottom)

    def skip_to(self, row: int) -> None:
        """Leaves out the rows above ``row`` if nothing was added below ``first``."""
        if self.bottom <= self.first < row:
            self.first = self.bottom = row
            self._sums = self._sums[:, :, :0]

    def take(self, until: int) -> Tensor:
        """Hands over the rows above ``until``."""
        rows = until - self.first
        band, self._sums, self.first = self._sums[:, :, :rows], self._sums[:, :, rows:], until
        return band

    def _stretched(self, rows: int, patch: Tensor) -> Tensor:
        """The sums with zeros below: ``rows`` rows, or more where CANVAS_BYTES allow."""
        num_images, num_classes = patch.shape[:2]
        affordable = CANVAS_BYTES // (4 * num_images * num_classes * self.area.width)
        left = self.area.bottom - self.first
        sums = patch.new_zeros(num_images, num_classes, min(max(rows, affordable), left), self.area.width)
        kept = self._sums.shape[2]
        if kept:
            sums[:, :, :kept] = self._sums
        return sums
