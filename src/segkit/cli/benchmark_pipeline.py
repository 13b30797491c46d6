"""CPU time of a training sample of the published ADE20K recipe: decoding, and augmentation in three ways."""

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from segkit.config.datasets import ADE20kDatasetConfig
from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.config.transforms import RandomCropConfig, RandomFlipConfig, ResizeConfig
from segkit.data.loader import collate, to_batch
from segkit.data.pipeline import Pipeline
from segkit.data.preprocess import Preprocessor
from segkit.data.sampler import sample_rng
from segkit.registry import DATASETS, TRANSFORMS
from segkit.types import Dataset, Sample

_IMAGES = 16
_SIZE = (512, 683)
_CROP = (512, 512)
_GEOMETRY = (ResizeConfig(), RandomCropConfig(), RandomFlipConfig())
_COLOR = PhotoMetricDistortionConfig()
_AFTER_DECODING_MS = 2.4

Step = Callable[[int, np.random.Generator], Any]


def run(repeats: int = 15) -> None:
    """Prints milliseconds an image, on one thread: the median over repeats of the mean over images."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            times = _measure(_steps(make_dataset(Path(folder))), repeats)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    Console().print(_table(times))


def make_dataset(root: Path) -> Dataset:
    """An ADE20K folder of generated 683 x 512 photographs (JPEG, quality 90) and labels (PNG)."""
    rng = np.random.default_rng(0)
    base = root / "ADEChallengeData2016"
    for folder in ("images", "annotations"):
        (base / folder / "training").mkdir(parents=True)
    for i in range(_IMAGES):
        image, mask = scene(rng)
        Image.fromarray(image).save(base / f"images/training/{i}.jpg", quality=90)
        Image.fromarray(mask).save(base / f"annotations/training/{i}.png")
    dataset: Dataset = DATASETS.build(ADE20kDatasetConfig(root=root), "train")
    return dataset


def scene(rng: np.random.Generator) -> tuple[Any, Any]:
    """Something as rich as a photograph: blotches at several scales, and rounded regions of some 20 classes."""
    size = _SIZE[::-1]
    image = np.zeros((*_SIZE, 3), np.float32)
    for cells, weight in ((4, 0.55), (16, 0.25), (64, 0.15), (256, 0.05)):
        coarse = rng.uniform(0, 255, (cells * 3 // 4, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    classes = rng.choice(np.arange(151, dtype=np.uint8), 20, replace=False)
    field = cv2.resize(rng.uniform(0, 20, (9, 12)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8), classes[np.clip(field, 0, 19).astype(int)]


def _steps(dataset: Dataset) -> dict[str, Step]:
    """What is timed, by name: functions of an image's number and a generator."""
    samples = [dataset[i] for i in range(len(dataset))]
    geometry = [TRANSFORMS.build(config) for config in _GEOMETRY]
    color = TRANSFORMS.build(_COLOR)
    planned, moved = Pipeline([*geometry, color]), Pipeline(geometry)
    others = _albumentations()
    preprocessor = Preprocessor((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    crops = [planned(sample, sample_rng(0, 0, i)) for i, sample in enumerate(samples)]

    def one_by_one(i: int, rng: np.random.Generator) -> Sample:
        sample = samples[i]
        for transform in (*geometry, color):
            sample = transform(sample, rng)
        return sample

    def device(i: int, rng: np.random.Generator) -> torch.Tensor:
        batch = to_batch(collate([crops[i]], _CROP))
        x: torch.Tensor = preprocessor(batch.images, batch.boxes)
        return x

    return {
        "decode JPEG and PNG, map labels": lambda i, rng: dataset[i],
        "augment: planned": lambda i, rng: planned(samples[i], rng),
        "   of which resize, crop, flip": lambda i, rng: moved(samples[i], rng),
        "   of which photometric": lambda i, rng: color(crops[i], rng),
        "augment: step by step": one_by_one,
        "augment: albumentations": lambda i, rng: others(image=samples[i].image, mask=samples[i].mask),
        "join, normalise, pad (here on the CPU)": device,
    }


def _albumentations() -> Callable[..., Mapping[str, Any]]:
    """The same kinds of change with the same ranges; it has no test for one category."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    library: Any = importlib.import_module("albumentations")
    compose: Callable[..., Mapping[str, Any]] = library.Compose(
        [
            library.RandomScale(scale_limit=(-0.5, 1.0), p=1.0),
            library.RandomCrop(*_CROP, pad_if_needed=True, fill_mask=255),
            library.HorizontalFlip(p=0.5),
            library.RandomBrightnessContrast(brightness_limit=32 / 255, contrast_limit=0.5, p=0.75),
            library.HueSaturationValue(hue_shift_limit=18, sat_shift_limit=64, val_shift_limit=0, p=0.75),
        ],
        seed=0,
    )
    return compose


def _measure(steps: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Name -> milliseconds an image. The ways take turns, so that all meet the same disturbances."""
    means: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(-1, repeats):  # the first warms up
        for name, step in steps.items():
            generators = [sample_rng(0, repeat + 1, i) for i in range(_IMAGES)]
            start = time.thread_time()
            for i, rng in enumerate(generators):
                step(i, rng)
            if repeat >= 0:
                means[name].append((time.thread_time() - start) / _IMAGES * 1e3)
    return {name: statistics.median(values) for name, values in means.items()}


def _table(times: Mapping[str, float]) -> Table:
    planned = times["augment: planned"]
    title = f"training pipeline, ADE20K 512 x 512, images of {_SIZE[1]} x {_SIZE[0]}, one thread"
    table = Table("", "ms an image", "of planned", "bar", title=title)
    for name, value in times.items():
        verdict = ""
        if name == "augment: planned":
            verdict = f"{_AFTER_DECODING_MS} ms, {'met' if value <= _AFTER_DECODING_MS else 'missed'}"
        table.add_row(name, f"{value:.2f}", f"{value / planned:.2f}", verdict)
    total = times["decode JPEG and PNG, map labels"] + planned
    table.add_row("decode and augment", f"{total:.2f}", f"{total / planned:.2f}", f"{1e3 / total:.0f} images/s a core")
    return table
