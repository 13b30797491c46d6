"""What one sample on disk is like, and what is wrong with it; looked at in this process, or by several."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.io import Array, read_color_label
from segkit.data.labels import UnknownLabelError
from segkit.errors import ColorLabelError, DatasetError, SizeMismatchError, UnknownColorError
from segkit.types import Dataset

_KINDS: dict[type[DatasetError], str] = {
    UnknownLabelError: "unknown_values",
    UnknownColorError: "unknown_colors",
    ColorLabelError: "color_labels",
    SizeMismatchError: "size_mismatch",
}
_CHUNK = 16
_WORTH_A_PROCESS = 200
"""Samples from which on a further process, which takes seconds to start, saves time."""
_MAX_COLORS = 64


@dataclass(frozen=True)
class ImageFacts:
    """An image in figures.

    Attributes:
        shape: (height, width, channels).
        dtype: of its pixels.
        mean: (C,) over its pixels.
        square: (C,) mean of their squares.
        digest: of shape and pixels; equal images have equal digests.
    """

    shape: tuple[int, int, int]
    dtype: str
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    digest: bytes


@dataclass(frozen=True)
class Look:
    """What was found in one sample.

    Attributes:
        name: the sample's id, or its number where it cannot be read.
        kind: what is wrong, in a word; "" if it can be read.
        problem: the error's message.
        unknown: label value that is neither a class nor ignored -> pixels.
        colors: packed RGB in a colour mask, the most frequent first.
        counts: (256,) pixels of each class id; None without a label.
        image: figures of the image, where they were asked for.
    """

    name: str
    kind: str = ""
    problem: str = ""
    unknown: Mapping[int, int] = field(default_factory=dict)
    colors: tuple[int, ...] = ()
    counts: NDArray[np.int64] | None = None
    image: ImageFacts | None = None

    @property
    def case(self) -> str:
        """What is wrong, in as few words as a list of many leaves room for."""
        if not self.unknown:
            return self.problem
        return f"{self.problem.split(': ')[0]}: " + ", ".join(f"{v} ({n} pixels)" for v, n in self.unknown.items())


def look_at(dataset: Dataset, index: int, *, thorough: bool = False) -> Look:
    """Reads a sample, and puts what is wrong into words instead of raising it.

    Args:
        dataset: the split.
        index: of the sample.
        thorough: measure the image as well.
    """
    try:
        sample = dataset[index]
    except DatasetError as error:
        kind = _KINDS.get(type(error), "unreadable")
        unknown = error.counts if isinstance(error, UnknownLabelError) else {}
        colors = _colors(error) if isinstance(error, ColorLabelError) else ()
        return Look(_name(dataset, index), kind, str(error), unknown, colors)
    counts = None if sample.mask is None else np.bincount(sample.mask.ravel(), minlength=256)
    return Look(sample.name, counts=counts, image=measure(sample.image) if thorough else None)


def look_through(dataset: Dataset, indices: Sequence[int], *, workers: int, thorough: bool = False) -> Iterator[Look]:
    """Looks at samples, in order.

    Args:
        dataset: the split.
        indices: of the samples.
        workers: processes; 1 stays in this one.
        thorough: measure the images as well.

    Raises:
        DatasetError: a process died.
    """
    if workers <= 1:
        yield from (look_at(dataset, index, thorough=thorough) for index in indices)
        return
    parts = [(indices[i : i + _CHUNK], thorough) for i in range(0, len(indices), _CHUNK)]
    # Spawned, not forked: this process has threads, of OpenCV and of the progress bar.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(dataset,))
    try:
        for looks in pool.map(_look_at_part, parts):
            yield from looks
    except BrokenProcessPool:
        text = "a process that read samples was killed, perhaps for want of memory; try again with --workers 1"
        raise DatasetError(text) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def useful_workers(samples: int) -> int:
    """Processes that pay off for a number of samples on this machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, samples // _WORTH_A_PROCESS))


_dataset: Any = None
"""The split, in a process that looks at its samples."""


def _start(dataset: Dataset) -> None:
    global _dataset  # noqa: PLW0603 - sent once for each process, not once for each part
    _dataset = dataset
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it


def _look_at_part(part: tuple[Sequence[int], bool]) -> list[Look]:
    indices, thorough = part
    return [look_at(_dataset, index, thorough=thorough) for index in indices]


def _name(dataset: Dataset, index: int) -> str:
    records = getattr(dataset, "records", None)
    return str(records[index].name) if records is not None else f"number {index}"


def measure(pixels: Array) -> ImageFacts:
    """Figures of an image, (H, W, C)."""
    image = np.ascontiguousarray(pixels)
    height, width, channels = image.shape
    # OpenCV sums up any type in double precision, but no more than four channels at a time.
    groups: list[Any] = [image] if channels <= 4 else [np.ascontiguousarray(image[..., i]) for i in range(channels)]
    means, deviations = zip(*(cv2.meanStdDev(group) for group in groups), strict=True)
    mean = np.concatenate(means).ravel()[:channels]
    square = np.concatenate(deviations).ravel()[:channels] ** 2 + mean**2
    digest = hashlib.blake2b(image.data, digest_size=16)
    digest.update(f"{image.shape} {image.dtype}".encode())
    return ImageFacts((height, width, channels), str(image.dtype), mean, square, digest.digest())


def _colors(error: ColorLabelError) -> tuple[int, ...]:
    try:
        label = read_color_label(error.path)
    except DatasetError:
        return ()
    packed = label.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colors, counts = np.unique(packed, return_counts=True)
    return tuple(colors[np.argsort(-counts, kind="stable")][:_MAX_COLORS].tolist())
