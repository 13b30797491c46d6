"""CPU time of training samples of two published recipes: each stage, and the whole in several ways."""

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from segkit.config.cache import CacheConfig
from segkit.config.datasets import ADE20kDatasetConfig, CityScapesDatasetConfig, DatasetConfig
from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.config.transforms import RandomCropConfig, RandomFlipConfig, ResizeConfig
from segkit.data.io import read_image, read_label
from segkit.data.loader import collate, to_batch
from segkit.data.pipeline import Pipeline
from segkit.data.preprocess import Preprocessor
from segkit.data.sampler import sample_rng
from segkit.registry import DATASETS, TRANSFORMS
from segkit.types import Dataset, Sample

Size = tuple[int, int]
Step = Callable[[int, np.random.Generator], Any]


@dataclass(frozen=True)
class Case:
    """A recipe and its images.

    Attributes:
        title: for the table.
        config: of the data set, its root not set.
        size: (height, width) of the images.
        bounds: ``output_size`` of the resize.
        crop: (height, width).
        image: path of an image below the root, ``{}`` being its number.
        label: likewise.
        count: how many images.
        bars: row -> milliseconds that it shall not exceed.
    """

    title: str
    config: DatasetConfig
    size: Size
    bounds: Size
    crop: Size
    image: str
    label: str
    count: int
    bars: Mapping[str, float]


_AFTER, _WHOLE, _CACHED = "all after decoding", "decoded, augmented, joined", "   with the cache of decoded files"
_ADE, _CITY = "ADEChallengeData2016/{kind}/training/{{}}{end}", "{kind}/train/city/{{}}_{end}"
CASES = (
    Case(
        title="ADE20K 512 x 512, JPEG and PNG of 683 x 512",
        config=ADE20kDatasetConfig(),
        size=(512, 683),
        bounds=(2048, 512),
        crop=(512, 512),
        image=_ADE.format(kind="images", end=".jpg"),
        label=_ADE.format(kind="annotations", end=".png"),
        count=12,
        bars={_AFTER: 2.2, _WHOLE: 5.0, _CACHED: 3.0},
    ),
    Case(
        title="Cityscapes 512 x 1024, PNGs of 2048 x 1024",
        config=CityScapesDatasetConfig(),
        size=(1024, 2048),
        bounds=(2048, 1024),
        crop=(512, 1024),
        image=_CITY.format(kind="leftImg8bit", end="leftImg8bit.png"),
        label=_CITY.format(kind="gtFine", end="gtFine_labelIds.png"),
        count=4,
        bars={},
    ),
)
_EPOCHS = 3
"""Draws of each image; all repeats and ways see the same."""


def run(repeats: int = 7) -> None:
    """Prints milliseconds of CPU time an image, on one thread: the least of the repeats."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            root = Path(folder) / str(number)
            write_files(case, root)
            Console().print(table(case, measure(case, steps(case, root), repeats)))


@contextmanager
def one_thread() -> Any:
    """OpenCV and torch compute on one thread meanwhile."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def write_files(case: Case, root: Path) -> None:
    """A data set of generated images, JPEG with quality 90 or PNG."""
    rng = np.random.default_rng(0)
    for index in range(case.count):
        for path, pixels in zip((case.image, case.label), scene(rng, case.size), strict=True):
            file = root / path.format(index)
            file.parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"quality": 90} if file.suffix == ".jpg" else {}
            Image.fromarray(pixels).save(file, **options)


def scene(rng: np.random.Generator, size: Size) -> tuple[Any, Any]:
    """Something as rich as a photograph: blotches at several scales, and rounded regions of some 20 label values."""
    width_height = size[::-1]
    image = np.zeros((*size, 3), np.float32)
    for cells, weight in ((4, 0.55), (16, 0.25), (64, 0.15), (256, 0.05)):
        coarse = rng.uniform(0, 255, (cells * 3 // 4, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(coarse, width_height, interpolation=cv2.INTER_CUBIC)
    classes = rng.choice(np.arange(34, dtype=np.uint8), 20, replace=False)
    field = cv2.resize(rng.uniform(0, 20, (9, 12)).astype(np.float32), width_height, interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8), classes[np.clip(field, 0, 19).astype(int)]


def steps(case: Case, root: Path) -> dict[str, Step]:
    """What is timed, by name: functions of an image's number and a generator. Indented rows are parts of that above."""
    config = replace(case.config, root=root)
    dataset: Dataset = DATASETS.build(config, "train")
    cache = CacheConfig(where="disk", folder=root / "cache")
    kept: Dataset = DATASETS.build(replace(config, cache=cache), "train")
    samples = [dataset[i] for i in range(len(dataset))]
    paths = [(root / case.image.format(i), root / case.label.format(i)) for i in range(case.count)]
    moves = (ResizeConfig(output_size=case.bounds), RandomCropConfig(crop_size=case.crop), RandomFlipConfig())
    geometry = [TRANSFORMS.build(move) for move in moves]
    color = TRANSFORMS.build(PhotoMetricDistortionConfig())
    planned, moved = Pipeline([*geometry, color]), Pipeline(geometry)
    crops = [moved(sample, sample_rng(0, 0, i)) for i, sample in enumerate(samples)]
    others, normalise = albumentations(case.crop), Preprocessor((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

    def one_by_one(i: int, rng: np.random.Generator) -> Sample:
        sample = samples[i]
        for transform in (*geometry, color):
            sample = transform(sample, rng)
        return sample

    def by_others(i: int, rng: np.random.Generator) -> Any:
        changed = others(image=samples[i].image, mask=samples[i].mask)
        return collate([replace(samples[i], image=changed["image"], mask=changed["mask"])], case.crop)

    def on_device(i: int, rng: np.random.Generator) -> torch.Tensor:
        batch = to_batch(collate([crops[i]], case.crop))
        x: torch.Tensor = normalise(batch.images, batch.boxes)
        return x

    return {
        "decode": lambda i, rng: dataset[i],
        "   image": lambda i, rng: read_image(paths[i][0]),
        "   label": lambda i, rng: read_label(paths[i][1]),
        "   both from the cache": lambda i, rng: kept[i],
        _AFTER: lambda i, rng: collate([planned(samples[i], rng)], case.crop),
        "   resize, crop, flip": lambda i, rng: moved(samples[i], rng),
        "   photometric": lambda i, rng: color(crops[i], rng),
        "   join to a batch": lambda i, rng: collate([crops[i]], case.crop),
        "after decoding, step by step": lambda i, rng: collate([one_by_one(i, rng)], case.crop),
        "after decoding, albumentations": by_others,
        _WHOLE: lambda i, rng: collate([planned(dataset[i], rng)], case.crop),
        _CACHED: lambda i, rng: collate([planned(kept[i], rng)], case.crop),
        "on the device: normalise (here on the CPU)": on_device,
    }


def albumentations(crop: Size) -> Callable[..., Mapping[str, Any]]:
    """The same kinds of change with the same ranges; it has no test for one category."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    library: Any = importlib.import_module("albumentations")
    compose: Callable[..., Mapping[str, Any]] = library.Compose(
        [
            library.RandomScale(scale_limit=(-0.5, 1.0), p=1.0),
            library.RandomCrop(*crop, pad_if_needed=True, fill_mask=255),
            library.HorizontalFlip(p=0.5),
            library.RandomBrightnessContrast(brightness_limit=32 / 255, contrast_limit=0.5, p=0.75),
            library.HueSaturationValue(hue_shift_limit=18, sat_shift_limit=64, val_shift_limit=0, p=0.75),
        ],
        seed=0,
    )
    return compose


def measure(case: Case, ways: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Name -> milliseconds an image. The ways take turns, so that all meet the same disturbances."""
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats + 1):  # the first warms up
        for name, step in ways.items():
            visits = [(i, sample_rng(0, epoch, i)) for epoch in range(_EPOCHS) for i in range(case.count)]
            start = time.thread_time()
            for i, rng in visits:
                step(i, rng)
            least[name] = min(least[name], (time.thread_time() - start) / len(visits) * 1e3)
    return least


def table(case: Case, times: Mapping[str, float]) -> Table:
    """A row for each way; shares are of the whole."""
    made = Table("", "ms an image", "share", "bar", title=f"{case.title}, one thread")
    for name, value in times.items():
        bar = case.bars.get(name)
        verdict = "" if bar is None else f"{bar:.1f} ms, {'met' if value <= bar else 'missed'}"
        made.add_row(name, f"{value:.2f}", f"{value / times[_WHOLE]:.0%}", verdict)
    others = times["decode"] + times["after decoding, albumentations"]
    rates = {"segkit": times[_WHOLE], "with the cache": times[_CACHED], "albumentations": others}
    made.caption = "images a second and core: " + ", ".join(f"{name} {1e3 / ms:.0f}" for name, ms in rates.items())
    return made
