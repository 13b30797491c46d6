"""Images that are not 3 x 8 bits: from files to a trained model, its evaluation and its predictions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.runs import tiny_config

import segkit
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.photometric import AdjustGammaConfig, RandomGaussianBlurConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.transforms import (
    NormalizeConfig,
    PaddingConfig,
    RandomCropConfig,
    RandomFlipConfig,
    RandomRotationConfig,
    ResizeConfig,
)
from segkit.engine.launch import train

TYPES = {"uint8": 255.0, "uint16": 60_000.0, "float32": 1.0}
"""Type of the pixels -> their greatest value."""


def write_scenes(root: Path, bands: int, dtype: str, suffix: str) -> None:
    """Discs that only the last band shows."""
    rng = np.random.default_rng(0)
    rows, cols = np.indices((40, 48))
    for split, count in (("train", 12), ("val", 3)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            row, col, radius = rng.integers(8, 32), rng.integers(8, 40), rng.integers(6, 14)
            label = ((rows - row) ** 2 + (cols - col) ** 2 < radius**2).astype(np.uint8)
            image = rng.uniform(0.3, 0.5, (40, 48, bands))
            image[..., -1] += 0.5 * label
            pixels = (image * TYPES[dtype]).astype(dtype)
            path = root / f"images/{split}/{index}{suffix}"
            if suffix == ".npy":
                np.save(path, pixels)
            else:
                tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
            Image.fromarray(label).save(root / f"labels/{split}/{index}.png")


def configured(root: Path, bands: int, dtype: str) -> SegmentorConfig:
    normalize = NormalizeConfig(mean=(0.4 * TYPES[dtype],) * bands, std=(0.2 * TYPES[dtype],) * bands)
    photometric = {"blur": RandomGaussianBlurConfig()} | ({} if dtype == "float32" else {"gamma": AdjustGammaConfig()})
    dataset = FolderDatasetConfig(
        root=root,
        class_names=("ground", "disc"),
        channels=bands,
        train_transforms={
            "resize": ResizeConfig(output_size=(48, 40), scale_range=(0.8, 1.5)),
            "crop": RandomCropConfig(crop_size=(32, 32)),
            "flip": RandomFlipConfig(),
            "rotation": RandomRotationConfig(),
            **photometric,
            "normalize": normalize,
            "padding": PaddingConfig(output_size=(32, 32)),
        },
        val_transforms={"normalize": normalize},
    )
    config = tiny_config(dataset=dataset, dataloader={"total_batch_size": 4}, trainer={"eval_interval_epochs": 14})
    optimizer = replace(config.scheduler.optimizer, lr=0.1)
    return replace(config, scheduler=replace(config.scheduler, max_epochs=14, optimizer=optimizer))


@pytest.mark.parametrize(
    ("bands", "dtype", "suffix"),
    [
        (2, "float32", ".tif"),
        pytest.param(5, "uint16", ".tif", marks=pytest.mark.slow),
        pytest.param(1, "uint8", ".npy", marks=pytest.mark.slow),
        pytest.param(4, "float32", ".npy", marks=pytest.mark.slow),
    ],
)
def test_from_files_to_predictions(bands: int, dtype: str, suffix: str, tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", bands, dtype, suffix)
    result = train(configured(tmp_path / "data", bands, dtype), tmp_path / "run")
    assert result.metrics["miou"] > 0.65
    predictor = segkit.load(result.checkpoint, device="cpu")
    path = tmp_path / f"data/images/val/0{suffix}"
    pixels = np.load(path) if suffix == ".npy" else tifffile.imread(path)
    label = np.array(Image.open(tmp_path / "data/labels/val/0.png"))
    mask = predictor(path).mask
    assert (mask == label).mean() > 0.85
    np.testing.assert_array_equal(predictor(pixels).mask, mask)
