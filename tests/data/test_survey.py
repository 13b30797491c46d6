"""Figures of whole splits."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.data import ids, noise, write_folder, write_pixels

from segkit.config.datasets import FolderDatasetConfig
from segkit.data.datasets.folder import FolderDataset
from segkit.data.look import look_at, look_through, useful_workers
from segkit.data.survey import Survey, between_splits, class_weights, plain

CLASSES = ("a", "b", "c")


def survey(root: Path, split: str = "train", workers: int = 1, **options: object) -> Survey:
    config = replace(FolderDatasetConfig(root=root, class_names=CLASSES), **options)
    dataset = FolderDataset(config, split)
    found = Survey.of(split, dataset)
    for look in look_through(dataset, range(len(dataset)), workers=workers, thorough=True):
        found.add(look)
    return found


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    images = [noise(i, 20 + i, 30, 3) for i in range(3)]  # of different sizes
    for i, image in enumerate(images):
        write_pixels(tmp_path / "images" / "train" / f"{i}.png", image)
        write_pixels(tmp_path / "labels" / "train" / f"{i}.png", ids(i, 20 + i, 30))
    found = survey(tmp_path)
    pixels = np.concatenate([i.reshape(-1, 3) for i in images]).astype(np.float64)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=0), rtol=1e-12)
    assert found.sizes == {(20, 30): 1, (21, 30): 1, (22, 30): 1}
    labels = np.concatenate([ids(i, 20 + i, 30).ravel() for i in range(3)])
    assert found.found.counts.tolist() == np.bincount(labels).tolist()
    assert found.images.tolist() == [3, 3, 3]


def test_many_channels_and_16_bits(tmp_path: Path) -> None:
    image = noise(0, 20, 30, 6, dtype=np.uint16)
    (tmp_path / "images" / "train").mkdir(parents=True)
    np.save(tmp_path / "images" / "train" / "x.npy", image)
    write_pixels(tmp_path / "labels" / "train" / "x.png", ids(0, 20, 30))
    found = survey(tmp_path, channels=6)
    np.testing.assert_allclose(found.mean, image.reshape(-1, 6).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, image.reshape(-1, 6).std(axis=0), rtol=1e-12)
    assert found.dtypes == {"uint16": 1}


@pytest.mark.slow
def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": 40})
    (tmp_path / "images" / "train" / "train7.png").write_bytes(b"no image")
    write_pixels(tmp_path / "labels" / "train" / "train9.png", ids(9, 32, 40, (0, 7)))
    alone, together = survey(tmp_path), survey(tmp_path, workers=2)
    assert plain(alone, alone.judge()) == plain(together, together.judge())
    assert [f.kind for f in alone.judge()] == ["unreadable", "unknown_values"]


def test_images_that_occur_twice(tmp_path: Path) -> None:
    write_folder(tmp_path)
    train, val = tmp_path / "images" / "train", tmp_path / "images" / "val"
    again = cv2.imread(str(train / "train1.png"))
    cv2.imwrite(str(val / "val0.png"), again, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # other bytes, the same pixels
    assert (val / "val0.png").read_bytes() != (train / "train1.png").read_bytes()
    (train / "train3.png").write_bytes((train / "train2.png").read_bytes())
    splits = [survey(tmp_path, "train"), survey(tmp_path, "val")]
    [shared] = between_splits(splits)
    assert (shared.kind, shared.severity, shared.where) == ("shared_images", "warning", ("train: train1 = val: val0",))
    [twice] = splits[0].judge()
    assert (twice.kind, twice.where) == ("duplicates", ("train2 = train3",))


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        ("truncate", "unreadable", "train0.png: the file is truncated"),
        ("values", "unknown_values", "train0.png: 9 (64 pixels), 17 (32 pixels)"),
        ("colors", "color_labels", "train0.png: is a colour image"),
        ("size", "size_mismatch", "the image is 32 x 40"),
    ],
)
def test_each_kind_of_mistake_is_told_apart(tmp_path: Path, spoil: str, kind: str, says: str) -> None:
    write_folder(tmp_path)
    image, label = tmp_path / "images" / "train" / "train0.png", tmp_path / "labels" / "train" / "train0.png"
    values = np.zeros((32, 40), np.uint8)
    if spoil == "truncate":
        image.write_bytes(image.read_bytes()[:300])
    elif spoil == "values":
        values[:8, :8], values[16:20, :8] = 9, 17
        write_pixels(label, values)
    elif spoil == "colors":
        write_pixels(label, np.stack([values, values + 128, values], axis=2))
    else:
        write_pixels(label, np.zeros((40, 32), np.uint8))
    [found] = survey(tmp_path).judge()
    assert (found.kind, found.severity, len(found.where)) == (kind, "error", 1)
    assert says in found.where[0]
    if spoil == "values":
        assert found.remedy == "label_map: {0: 0, 1: 1, 2: 2, 9: ignore, 17: ignore, 255: ignore}"
    if spoil == "colors":
        assert found.remedy == "label_format: color\ncolors: [[0, 128, 0]]"


def test_weights_are_the_roots_of_the_shares() -> None:
    assert class_weights([100, 100, 100]) == [1, 1, 1]
    weights = class_weights([400, 100, 0])
    assert weights == [0.667, 1.33, 1]  # one class four times as frequent weighs half; one never seen stays out
    assert class_weights([0, 0]) == [1, 1]


def test_picked_samples_show_rare_classes(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": 12})
    for i in range(12):
        write_pixels(
            tmp_path / "labels" / "train" / f"train{i}.png", np.full((32, 40), 2 * (i == 5) + (i == 9), np.uint8)
        )
    found = survey(tmp_path)
    records = [found.found.dataset[i].name for i in found.pick(3)]
    assert {"train5", "train9"} < set(records)
    assert len(found.pick(50)) == 12


def test_a_look_at_a_sample_without_labels(tmp_path: Path) -> None:
    write_pixels(tmp_path / "images" / "train" / "x.png", noise(0, 8, 8, 3))
    dataset = FolderDataset(FolderDatasetConfig(root=tmp_path, class_names=CLASSES), "train")
    look = look_at(dataset, 0, thorough=True)
    assert (look.counts, look.kind, look.image.shape) == (None, "", (8, 8, 3))
    assert useful_workers(10) == 1
