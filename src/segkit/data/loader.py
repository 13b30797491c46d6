"""Loaders: samples read, transformed and joined to batches, here or in worker processes."""

import atexit
import logging
import multiprocessing.util  # noqa: F401 - before this module registers its exit function, see the end
import os
import signal
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.sharedctypes import RawValue
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from segkit.config.training import DataloaderConfig
from segkit.data.labels import require_classes
from segkit.data.orders import Order, Repeated, order_of
from segkit.data.pipeline import Pipeline
from segkit.data.sampler import Key, TrainBatches, eval_batches, sample_rng
from segkit.data.transforms.base import Opened, Opens
from segkit.errors import DatasetError, SegkitError
from segkit.types import IGNORE_INDEX, Batch, Dataset, Sample

logger = logging.getLogger(__name__)

_MAX_REPLACEMENTS = 10
Size = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """What a loader, or its worker process, makes samples from.

    Attributes:
        dataset: the split.
        pipeline: the host's transforms.
        seed: of all augmentation.
        skip_errors: replace a sample whose files are bad instead of raising.
        pad_to: least (height, width) of a batch; None pads to the largest image only.
        lazy: let the transforms say how much of an image is read, where the data set can.
    """

    dataset: Dataset
    pipeline: Pipeline
    seed: int = 0
    skip_errors: bool = False
    pad_to: Size | None = None
    lazy: bool = False

    def load(self, key: Key, skipped: list[str]) -> Sample:
        """One transformed sample; the messages of samples that were replaced are added to ``skipped``."""
        rng = sample_rng(self.seed, key.epoch, key.visit)
        index = key.sample
        for _ in range(_MAX_REPLACEMENTS):
            try:
                sample = self.pipeline(self._read(index), rng, self._draw)
                return require_classes(sample, len(self.dataset.info.names))
            except DatasetError as error:
                if not self.skip_errors:
                    raise
                skipped.append(str(error))
                index = int(rng.integers(len(self.dataset)))
        raise DatasetError(f"{_MAX_REPLACEMENTS} samples in a row are unreadable; the last: {skipped[-1]}")

    def _draw(self, rng: np.random.Generator) -> Sample | Opened:
        """Another sample of the split."""
        return self._read(int(rng.integers(len(self.dataset))))

    def _read(self, index: int) -> Sample | Opened:
        return self.dataset.open(index) if self.lazy and isinstance(self.dataset, Opens) else self.dataset[index]


def collate(samples: Sequence[Sample], pad_to: Size | None = None) -> dict[str, Any]:
    """Joins samples to the fields of a :class:`Batch`, images as (N, H, W, C).

    Images stand in the middle of frames of one size: the largest side of any, and at least ``pad_to``. Masks are
    padded likewise where they have their image's size; else they must all have one size.
    """
    frame = _frame([s.image.shape[:2] for s in samples], pad_to)
    # OpenCV and torch have no arithmetic on uint16.
    dtype = np.uint8 if all(s.image.dtype == np.uint8 for s in samples) else np.float32
    images = np.zeros((len(samples), *frame, samples[0].image.shape[2]), dtype)
    boxes = np.zeros((len(samples), 4), np.int64)
    for i, sample in enumerate(samples):
        boxes[i] = _place(images[i], sample.image)
    masks = None
    if all(s.mask is not None for s in samples):
        follow = all(s.mask.shape == s.image.shape[:2] for s in samples if s.mask is not None)
        shape = frame if follow else _frame([s.mask.shape for s in samples if s.mask is not None], None)
        masks = np.full((len(samples), *shape), IGNORE_INDEX, np.uint8)
        for i, sample in enumerate(samples):
            _place(masks[i], sample.mask)
    edges = None
    if all(s.edges is not None for s in samples):
        edges = np.full((len(samples), *frame), IGNORE_INDEX, np.uint8)
        for i, sample in enumerate(samples):
            _place(edges[i], sample.edges)
    return {
        "images": torch.from_numpy(images),
        "masks": None if masks is None else torch.from_numpy(masks),
        "boxes": torch.from_numpy(boxes),
        "edges": None if edges is None else torch.from_numpy(edges),
        "names": [s.name for s in samples],
        "sizes": [s.size for s in samples],
    }


def _frame(shapes: Sequence[tuple[int, ...]], least: Size | None) -> Size:
    least = least or (0, 0)
    return max(least[0], *(s[0] for s in shapes)), max(least[1], *(s[1] for s in shapes))


def _place(frame: Any, pixels: Any) -> tuple[int, int, int, int]:
    """Copies pixels into the middle of a frame; returns (top, left, height, width)."""
    height, width = pixels.shape[:2]
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    frame[top : top + height, left : left + width] = pixels
    return top, left, height, width


def to_batch(fields: dict[str, Any]) -> Batch:
    """The batch of what :func:`collate` made; (N, H, W, C) pixels become a channels-last (N, C, H, W) tensor."""
    return Batch(**{**fields, "images": fields["images"].permute(0, 3, 1, 2)})


class _Fetcher(torch.utils.data.Dataset[Any]):
    """Makes whole batches from keys, in the training process or in a worker."""

    def __init__(self, source: Source, *, by_size: bool) -> None:
        self.source = source
        self.by_size = by_size

    def __getitems__(self, keys: list[Key]) -> dict[str, Any]:
        """The batches of the keys, one unless images of different sizes stay apart; or the user's error as a value."""
        skipped: list[str] = []
        try:
            samples = [self.source.load(key, skipped) for key in keys]
            groups = _by_size(samples) if self.by_size else [list(range(len(samples)))]
            batches = [
                collate([samples[i] for i in group], self.source.pad_to) | {"samples": [keys[i].sample for i in group]}
                for group in groups
            ]
            return {"batches": batches, "skipped": skipped}
        except SegkitError as error:  # as a value: torch would wrap it in the worker's traceback
            return {"error": error}


def _by_size(samples: Sequence[Sample]) -> list[list[int]]:
    """Groups of samples, by their place, whose images, and whose masks, agree in size."""
    groups: dict[Any, list[int]] = {}
    for index, sample in enumerate(samples):
        shapes = (sample.image.shape, None if sample.mask is None else sample.mask.shape)
        groups.setdefault(shapes, []).append(index)
    return list(groups.values())


class _Loader:
    """What training and evaluation share: worker processes, and what comes back from them."""

    def __init__(self, source: Source, config: DataloaderConfig, *, by_size: bool) -> None:
        self.source = source
        self.config = config
        self.skipped: Counter[str] = Counter()
        """Message -> how often a sample was replaced because of it."""
        self._fetcher = _Fetcher(source, by_size=by_size)

    def _run(self, batches: Any) -> Iterator[Batch]:
        """Loads ``batches``, an iterable of lists of keys. Closing the result ends the workers."""
        workers = self.config.num_workers
        loader: DataLoader[Any] = DataLoader(
            self._fetcher,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_same,
            worker_init_fn=partial(_start_worker, closing=_closing_flag()),
            prefetch_factor=self.config.prefetch_factor if workers else None,
            pin_memory=self.config.pin_memory and torch.cuda.is_available(),
            generator=torch.Generator(),  # of its own: else each start would draw from the model's random numbers
        )
        stream = self._unpack(loader)
        _open_streams.add(stream)
        return stream

    def _unpack(self, loader: DataLoader[Any]) -> Iterator[Batch]:
        for payload in loader:
            if "error" in payload:
                raise payload["error"]
            for message in payload["skipped"]:
                if message not in self.skipped:
                    logger.warning("skipped: %s", message)
                self.skipped[message] += 1
            for fields in payload["batches"]:
                yield to_batch(fields)


class TrainLoader(_Loader):
    """An endless stream of training batches that can be entered at any step.

    Args:
        source: what samples are made from.
        config: batch size and workers.
        order: which samples an epoch visits; None takes the data set's own order.
        repeat_times: how often an epoch goes through that order.
        accumulation_steps: parts that a step is cut into; each is a batch of its own.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        source: Source,
        config: DataloaderConfig,
        *,
        order: Order | None = None,
        repeat_times: int = 1,
        accumulation_steps: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(source, config, by_size=False)
        self.accumulation_steps = accumulation_steps
        self.batches = TrainBatches(
            Repeated(order_of(source.dataset) if order is None else order, repeat_times),
            config.total_batch_size,
            seed=source.seed,
            rank=rank,
            world_size=world_size,
            parts=accumulation_steps,
            drop_last=config.drop_last,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return self.batches.steps_per_epoch

    def stream(self, start_step: int = 0) -> Iterator[Batch]:
        """Batches from a step of the whole training on, ``accumulation_steps`` for each step, epoch after epoch."""
        return self._run(_Restartable(self.batches, start_step))


class EvalLoader(_Loader):
    """One pass over this process's share of a split; shares are disjoint, and nothing is repeated.

    Images of different sizes never share a batch, so there is no padding but that of the pipeline.

    Args:
        source: what samples are made from.
        config: batch size and workers.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(self, source: Source, config: DataloaderConfig, *, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(source, config, by_size=True)
        self.batches = eval_batches(len(source.dataset), config.val_batch_size, rank=rank, world_size=world_size)

    @property
    def num_samples(self) -> int:
        """Images that this process evaluates."""
        return sum(map(len, self.batches))

    def __iter__(self) -> Iterator[Batch]:
        return self._run(self.batches)


class _Restartable:
    """The keys of a training stream, as an iterable."""

    def __init__(self, batches: TrainBatches, start_step: int) -> None:
        self.batches = batches
        self.start_step = start_step

    def __iter__(self) -> Iterator[list[Key]]:
        return self.batches.stream(self.start_step)


def _same(fields: Any) -> Any:
    return fields


_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")


def _start_worker(worker: int, *, closing: Any) -> None:
    """Runs in a new worker: one thread, and no reaction to signals that are meant for the trainer.

    The forked worker has inherited the trainer's handlers, and a scheduler sends its signal to every process. Workers
    end when the trainer tells them, or has died, or sends SIGTERM while it exits itself.
    """
    cv2.setNumThreads(0)

    def end_if_closing(number: int, frame: Any) -> None:
        if closing.value:
            os._exit(0)

    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end_if_closing)


@cache
def _closing_flag() -> Any:
    """A byte in shared memory: whether this process is exiting."""
    return RawValue("b", 0)


_open_streams: weakref.WeakSet[Any] = weakref.WeakSet()


def _close_streams() -> None:
    """Ends all workers at exit."""
    _closing_flag().value = 1
    for stream in list(_open_streams):
        stream.close()


# Exit functions run last to first: this one before that of multiprocessing.util, which sends SIGTERM and waits.
atexit.register(_close_streams)
