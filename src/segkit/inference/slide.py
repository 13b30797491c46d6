"""Overlapping windows, averaged."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.errors import ConfigError, Problem
from segkit.inference.look import Look, Model, scores_of
from segkit.ops.resize import resize
from segkit.ops.windows import Window, window_starts, windows

CANVAS_BYTES = 2**28
"""A canvas for the whole image is laid out at once up to this size; above it, for the rows at work only."""

Size = tuple[int, int]


def slide_look(model: Model, images: Tensor, config: InferenceConfig) -> Look:
    """Scores of (N, C, H, W) images at the images' resolution, averaged where windows overlap.

    Raises:
        ConfigError: if ``crop_size`` or ``stride`` is missing.
    """
    crop, stride = config.crop_size, config.stride
    if crop is None or stride is None:
        missing = [key for key in ("crop_size", "stride") if getattr(config, key) is None]
        raise ConfigError([Problem(f"inference.{key}", "slide mode needs it; give [height, width]") for key in missing])
    return Look(images.shape[2], _bands(model, images, config, crop, stride))


def _bands(model: Model, images: Tensor, config: InferenceConfig, crop: Size, stride: Size) -> Iterator[Tensor]:
    """Yields the rows that no later window touches, as soon as they are complete."""
    size = (images.shape[2], images.shape[3])
    places = windows(size, crop, stride)
    vertical, horizontal = (_visits(*side).to(images.device) for side in zip(size, crop, stride, strict=True))
    canvas = _Canvas(size)
    step = max(config.window_batch // len(images), 1)
    for index in range(0, len(places), step):
        chunk = places[index : index + step]
        scores = _window_scores(model, images, chunk, config.average)
        for place, patch in zip(chunk, scores.split(len(images)), strict=True):
            canvas.add(place, patch)
        first, done = canvas.first, places[index + step].top if index + step < len(places) else size[0]
        if done > first:
            yield canvas.take(done).div_(vertical[first:done, None] * horizontal)


def _window_scores(model: Model, images: Tensor, chunk: Sequence[Window], average: str) -> Tensor:
    """(len(chunk) * N, K, crop height, crop width): the N patches of the first place, of the second, ..."""
    crops = torch.cat([images[:, :, w.top : w.bottom, w.left : w.right] for w in chunk])
    logits = model(crops).float().contiguous()  # resizing is fastest on planes
    if logits.shape[2:] != crops.shape[2:]:
        logits = resize(logits, (crops.shape[2], crops.shape[3]), align_corners=model.align_corners)
    return scores_of(logits, average)


def _visits(length: int, crop: int, stride: int) -> Tensor:
    """How many windows cover each pixel of one side; an image's count is the product of its two sides'."""
    counts = torch.zeros(length)
    for start in window_starts(length, crop, stride):
        counts[start : start + crop] += 1
    return counts


class _Canvas:
    """Sums of patches over an image of ``size``, from row ``first`` down."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.first = 0
        self._sums = torch.empty(0, 0, 0, size[1])  # (N, K, rows, width)

    def add(self, place: Window, patch: Tensor) -> None:
        """Adds (N, K, h, w) scores; into a slice, as padding a patch to the image's size costs 20 times the traffic."""
        top, bottom = place.top - self.first, place.bottom - self.first
        if self._sums.shape[2] < bottom:
            self._sums = self._stretched(bottom, patch)
        self._sums[:, :, top:bottom, place.left : place.right] += patch

    def take(self, until: int) -> Tensor:
        """Hands over the rows above ``until``."""
        rows = until - self.first
        band, self._sums, self.first = self._sums[:, :, :rows], self._sums[:, :, rows:], until
        return band

    def _stretched(self, rows: int, patch: Tensor) -> Tensor:
        """The sums with zeros below: ``rows`` rows, or more where CANVAS_BYTES allow."""
        num_images, num_classes = patch.shape[:2]
        affordable = CANVAS_BYTES // (4 * num_images * num_classes * self.size[1])
        sums = patch.new_zeros(
            num_images, num_classes, min(max(rows, affordable), self.size[0] - self.first), self.size[1]
        )
        kept = self._sums.shape[2]
        if kept:
            sums[:, :, :kept] = self._sums
        return sums
