"""Loaders give the same batches for any number of workers, from any step on, and speak plainly when they fail."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pytest
import torch

from segkit.config.datasets import ShapesConfig
from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.config.training import DataloaderConfig
from segkit.config.transforms import RandomCropConfig, RandomFlipConfig, ResizeConfig
from segkit.data.datasets.shapes import Shapes
from segkit.data.loader import EvalLoader, Source, TrainLoader, collate, to_batch
from segkit.data.pipeline import Pipeline
from segkit.errors import DatasetError
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Batch, ClassInfo, Sample

TRANSFORM_CONFIGS = (
    ResizeConfig(output_size=(64, 48)),
    RandomCropConfig(crop_size=(32, 32)),
    RandomFlipConfig(),
    PhotoMetricDistortionConfig(),
)


def train_loader(workers: int = 0, **options: int) -> TrainLoader:
    dataset = Shapes(ShapesConfig(num_train=20, image_size=(48, 64)), "train")
    pipeline = Pipeline([TRANSFORMS.build(config) for config in TRANSFORM_CONFIGS])
    config = DataloaderConfig(total_batch_size=8, num_workers=workers)
    return TrainLoader(Source(dataset, pipeline, seed=5, pad_to=(32, 32)), config, **options)


def take(loader: TrainLoader, count: int, start: int = 0) -> list[Batch]:
    stream = loader.stream(start)
    try:
        return list(islice(stream, count))
    finally:
        stream.close()


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.names == b.names
        for key in ("images", "masks", "boxes"):
            torch.testing.assert_close(getattr(a, key), getattr(b, key), rtol=0, atol=0)


@dataclass
class Photographs:
    """Samples of given sizes; those in ``broken`` cannot be read, one in ``bug`` shows a mistake of ours."""

    sizes: list[tuple[int, int]]
    broken: tuple[int, ...] = ()
    bug: tuple[int, ...] = ()
    info: ClassInfo = field(default_factory=lambda: ClassInfo(("a", "b"), ((0, 0, 0), (1, 1, 1))))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Sample:
        if index in self.broken:
            raise DatasetError(f"img{index}.jpg: the file is truncated")
        if index in self.bug:
            raise ZeroDivisionError("ours")
        size = self.sizes[index]
        return Sample(f"img{index}", np.full((*size, 3), index + 1, np.uint8), np.full(size, index % 2, np.uint8))


def loaders(dataset: Photographs, workers: int, **source: bool) -> tuple[TrainLoader, EvalLoader]:
    made = Source(dataset, Pipeline([]), seed=1, **source)
    config = DataloaderConfig(total_batch_size=4, val_batch_size=3, num_workers=workers)
    return TrainLoader(made, config), EvalLoader(made, config)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    assert_same(take(train_loader(workers), 6), take(train_loader(0), 6))


@pytest.mark.parametrize(("workers", "start"), [(0, 1), (0, 2), (2, 3), (0, 5)])
def test_resuming_at_any_step_changes_nothing(workers: int, start: int) -> None:
    assert_same(take(train_loader(workers), 3, start), take(train_loader(0), start + 3)[start:])


def test_the_model_s_random_numbers_are_not_used_up() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    take(train_loader(0), 2)
    take(train_loader(1), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_processes_see_the_images_of_one() -> None:
    alone = take(train_loader(0), 2)
    ranks = [take(train_loader(0, rank=rank, world_size=2), 2) for rank in range(2)]
    for step in range(2):
        together = torch.cat([ranks[rank][step].images for rank in range(2)])
        torch.testing.assert_close(together, alone[step].images, rtol=0, atol=0)
    parts = take(train_loader(0, accumulation_steps=2), 4)
    torch.testing.assert_close(torch.cat([parts[0].images, parts[1].images]), alone[0].images, rtol=0, atol=0)


def test_repeats_are_augmented_anew() -> None:
    loader = train_loader(0, repeat_times=2)
    assert loader.steps_per_epoch == 5
    seen: dict[str, list[bytes]] = {}
    for batch in take(loader, 5):
        for name, image in zip(batch.names, batch.images, strict=True):
            seen.setdefault(name, []).append(image.numpy().tobytes())
    assert all(len(images) == len(set(images)) == 2 for images in seen.values())
    assert len(seen) == 20


def test_batches_are_channels_last_uint8_with_their_boxes() -> None:
    batch = to_batch(collate([Photographs([(3, 5)])[0], Photographs([(4, 2)])[0]], (4, 8)))
    assert batch.images.shape == (2, 3, 4, 8)
    assert batch.images.dtype == batch.masks.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.boxes.tolist() == [[0, 1, 3, 5], [0, 3, 4, 2]]
    assert (batch.images[0, :, :3, 1:6] == 1).all()
    assert batch.images[0].sum() == 3 * 3 * 5
    assert (batch.masks[1] != IGNORE_INDEX).sum() == 4 * 2
    assert batch.sizes == [(3, 5), (4, 2)]


def test_masks_may_keep_their_own_size_and_be_absent() -> None:
    sample = Photographs([(6, 8)])[0]
    small = replace(sample, image=sample.image[::2, ::2])
    fields = collate([small, small], (5, 5))
    assert fields["images"].shape == (2, 5, 5, 3)
    assert fields["masks"].shape == (2, 6, 8)
    assert collate([sample, replace(sample, mask=None)])["masks"] is None


def test_16_bit_images_become_floats() -> None:
    sample = replace(Photographs([(2, 2)])[0], image=np.full((2, 2, 5), 60000, np.uint16))
    batch = to_batch(collate([sample]))
    assert batch.images.dtype == torch.float32
    assert (batch.images == 60000).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_passes_once_and_never_mixes_sizes(workers: int) -> None:
    dataset = Photographs([(4, 6), (6, 4), (4, 6), (5, 5), (5, 5), (4, 6), (6, 4)])
    _, loader = loaders(dataset, workers)
    for _ in range(2):  # a second evaluation starts anew
        batches = list(loader)
        assert sorted(name for batch in batches for name in batch.names) == [f"img{i}" for i in range(7)]
        for batch in batches:
            assert len(set(batch.sizes)) == 1
            assert batch.images.shape[2:] == batch.sizes[0]
    assert loader.num_samples == 7


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_told_without_a_traceback_of_the_worker(workers: int) -> None:
    train, _ = loaders(Photographs([(4, 4)] * 8, broken=(5,)), workers)
    with pytest.raises(DatasetError) as caught:
        take(train, 2)
    assert str(caught.value) == "img5.jpg: the file is truncated"


def test_a_bug_keeps_its_traceback() -> None:
    train, _ = loaders(Photographs([(4, 4)] * 8, bug=(5,)), 1)
    with pytest.raises(ZeroDivisionError, match=r"in __getitem__|ours"):
        take(train, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_replaced_counted_and_told_once(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    train, _ = loaders(Photographs([(4, 4)] * 8, broken=(5,)), workers, skip_errors=True)
    with caplog.at_level(logging.WARNING, logger="segkit"):
        batches = take(train, 6)
    assert all(len(batch.names) == 4 for batch in batches)
    assert "img5" not in {name for batch in batches for name in batch.names}
    assert train.skipped["img5.jpg: the file is truncated"] >= 3
    assert [r.message for r in caplog.records] == ["skipped: img5.jpg: the file is truncated"]
    again, _ = loaders(Photographs([(4, 4)] * 8, broken=(5,)), 0, skip_errors=True)
    assert_same(batches, take(again, 6))


def test_a_set_of_broken_files_is_given_up() -> None:
    train, _ = loaders(Photographs([(4, 4)] * 8, broken=tuple(range(8))), 0, skip_errors=True)
    with pytest.raises(DatasetError, match="10 samples in a row are unreadable; the last: img"):
        take(train, 1)


@pytest.fixture
def worker_pids() -> Callable[[], set[int]]:
    def children() -> set[int]:
        return {p.pid for p in torch.multiprocessing.active_children() if p.pid is not None}

    return children


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signals here")
def test_workers_ignore_the_trainer_s_signals_and_end_with_the_stream(worker_pids: Callable[[], set[int]]) -> None:
    heard: list[int] = []
    kept = {s: signal.signal(s, lambda number, _: heard.append(number)) for s in (signal.SIGTERM, signal.SIGUSR1)}
    before = worker_pids()
    try:
        stream: Iterator[Batch] = train_loader(2).stream()
        first = [next(stream) for _ in range(2)]
        started = worker_pids() - before
        assert len(started) == 2
        for pid in started:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGUSR1)
        assert_same([*first, *(next(stream) for _ in range(8))], take(train_loader(0), 10))
        stream.close()
        assert worker_pids() <= before
        assert heard == []
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
