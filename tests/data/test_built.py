"""From a composed configuration to data sets, pipelines, preprocessor and loaders."""

import subprocess
import sys
import textwrap
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkit.build import build_dataset, build_loader, build_pipeline, build_preprocessor
from segkit.config.component import adapter, to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError, DatasetError

NORMALIZE = {"type": "Normalize", "mean": [100.0, 110.0, 120.0], "std": [50.0, 60.0, 70.0]}
CROP = {"type": "RandomCrop", "crop_size": [32, 32]}
PAD = {"type": "Padding", "output_size": [40, 48], "fill": -1.0}


def configured(**dataset: Any) -> SegmentorConfig:
    plain = {
        "dataset": {"type": "Shapes", "num_train": 16, "num_val": 5, "image_size": [36, 48], **dataset},
        "dataloader": {"total_batch_size": 4, "val_batch_size": 2, "num_workers": 0},
    }
    return adapter(SegmentorConfig).validate_python(plain)


def test_a_training_batch_is_cropped_padded_and_normalised() -> None:
    config = configured(train_transforms={"crop": CROP, "normalize": NORMALIZE, "pad": PAD})
    batch = next(build_loader(config, "train").stream())
    assert batch.images.shape == (4, 3, 40, 48)
    assert batch.boxes.tolist() == [[4, 8, 32, 32]] * 4
    x = build_preprocessor(config)(batch.images, batch.boxes)
    assert (x[:, :, :4] == -1).all()
    pixel = batch.images[0, :, 20, 20].float()
    wanted = (pixel - torch.tensor([100.0, 110, 120])) / torch.tensor([50.0, 60, 70])
    torch.testing.assert_close(x[0, :, 20, 20], wanted)


def test_evaluation_scales_images_and_keeps_labels() -> None:
    resize = {"type": "Resize", "output_size": [24, 18], "scale_range": None}
    config = configured(val_transforms={"resize": resize, "normalize": NORMALIZE})
    batches = list(build_loader(config, "val"))
    assert [len(b.names) for b in batches] == [2, 2, 1]
    assert batches[0].images.shape == (2, 3, 18, 24)
    assert batches[0].masks is not None
    assert batches[0].masks.shape == (2, 36, 48)
    assert batches[0].sizes == [(36, 48)] * 2


def test_splits_are_named_by_the_config() -> None:
    config = configured()
    assert (len(build_dataset(config, "train")), len(build_dataset(config, "val"))) == (16, 5)
    assert build_dataset(config, "val")[0].name == "val_00000"


def test_the_seed_of_the_trainer_decides_the_order() -> None:
    plain = to_plain(configured())
    names = []
    for seed in (0, 0, 1):
        config = adapter(SegmentorConfig).validate_python({**plain, "trainer": {"seed": seed}})
        names.append([batch.names for batch in islice(build_loader(config, "train").stream(), 4)])
    assert names[0] == names[1] != names[2]


def test_transforms_of_the_device_come_last_and_agree() -> None:
    late = configured(train_transforms={"normalize": NORMALIZE, "crop": CROP})
    with pytest.raises(ConfigError, match=r"dataset\.train_transforms\.crop: must come before normalize"):
        build_pipeline(late, "train")
    apart = configured(train_transforms={"n": NORMALIZE}, val_transforms={"n": {"type": "Normalize"}})
    with pytest.raises(ConfigError, match=r"dataset\.val_transforms: Normalize and the fill"):
        build_preprocessor(apart)


def test_without_normalize_pixels_stay_as_they_are() -> None:
    images = torch.full((1, 3, 2, 2), 200, dtype=torch.uint8)
    assert (build_preprocessor(configured())(images) == 200).all()


def test_missing_data_is_told_in_one_line(tmp_path: Path) -> None:
    plain = {"dataset": {"type": "ADE20kDataset", "root": str(tmp_path / "nowhere")}}
    with pytest.raises(DatasetError) as caught:
        build_loader(adapter(SegmentorConfig).validate_python(plain), "train")
    assert "ADEChallengeData2016.zip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_on_error_skip_is_for_training_only(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (tmp_path / folder / split).mkdir(parents=True)
        for name in "abcdef":
            np.save(tmp_path / f"images/{split}/{name}.npy", np.zeros((8, 8, 3), np.uint8))
            np.save(tmp_path / f"labels/{split}/{name}.npy", np.zeros((8, 8), np.uint8))
        (tmp_path / f"images/{split}/c.npy").write_bytes(b"torn")
    dataset = {"type": "FolderDataset", "root": str(tmp_path), "class_names": ["x", "y"], "label_suffix": ".npy"}
    plain = {
        "dataset": {**dataset, "on_error": "skip"},
        "dataloader": {"total_batch_size": 6, "num_workers": 0},
    }
    config = adapter(SegmentorConfig).validate_python(plain)
    loader = build_loader(config, "train")
    assert len(next(loader.stream()).names) == 6
    assert sum(loader.skipped.values()) == 1
    with pytest.raises(DatasetError, match=r"c\.npy"):
        list(build_loader(config, "val"))


ENDINGS = {
    "a bug": "raise ZeroDivisionError",
    "an error that is kept": "\ntry:\n    stream.throw(ZeroDivisionError)\nexcept ZeroDivisionError as e:\n    kept = e",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_with_workers_ends(ending: str) -> None:
    program = """
        from segkit.build import build_loader
        from segkit.config.component import adapter
        from segkit.config.segmentor import SegmentorConfig
        plain = {"dataloader": {"total_batch_size": 4, "num_workers": 2}}
        stream = build_loader(adapter(SegmentorConfig).validate_python(plain), "train").stream()
        next(stream)
        print("started", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program) + ENDINGS[ending]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # else it hangs for ever
    assert done.stdout == "started\n"
