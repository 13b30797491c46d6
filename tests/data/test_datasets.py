"""Every data set on a miniature in its true layout, and what it says of one that is wrong."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.config.component import adapter
from segkit.config.datasets import DatasetConfig
from segkit.errors import ConfigError, DatasetError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX, Dataset

Write = Callable[[Path, np.ndarray], Path]
SIZE = (24, 32)
IMAGE = np.arange(24 * 32 * 3, dtype=np.uint32).reshape(24, 32, 3).astype(np.uint8)


def config(name: str, **options: Any) -> DatasetConfig:
    text = json.dumps(options, default=str)
    return adapter(DATASETS.config(name)).validate_json(text, strict=True)


def build(name: str, split: str = "train", **options: Any) -> Dataset:
    return DATASETS.build(config(name, **options), split)


def stripes(*values: int) -> np.ndarray:
    """Columns of label values."""
    return np.repeat(np.array(values, np.uint8), SIZE[1] // len(values))[None].repeat(SIZE[0], axis=0)


def palette_png(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label).convert("P")
    image.putpalette([(37 * i) % 256 for i in range(768)])
    image.putdata(label.ravel().tolist())
    image.save(path)


def make_ade20k(root: Path, write: Write) -> Path:
    for folder in ("training", "validation"):
        for name in ("ADE_1", "ADE_2"):
            write(root / f"ADEChallengeData2016/images/{folder}/{name}.jpg", IMAGE)
            write(root / f"ADEChallengeData2016/annotations/{folder}/{name}.png", stripes(0, 1, 2, 150))
    return root


def make_cityscapes(root: Path, write: Write) -> Path:
    for split in ("train", "val"):
        for name in ("bonn/bonn_0_1", "ulm/ulm_0_2"):
            write(root / f"leftImg8bit/{split}/{name}_leftImg8bit.png", IMAGE)
            write(root / f"gtFine/{split}/{name}_gtFine_labelIds.png", stripes(0, 7, 8, 33))
    return root


def make_voc(root: Path, write: Write) -> Path:
    for name in ("2007_1", "2007_2"):
        write(root / f"JPEGImages/{name}.jpg", IMAGE)
        palette_png(root / f"SegmentationClass/{name}.png", stripes(255, 0, 1, 20))
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split in ("train", "trainaug", "val"):
        (lists / f"{split}.txt").write_text("2007_1\n2007_2\n")
    return root


def make_camvid(root: Path, write: Write) -> Path:
    for split in ("train", "val"):
        for name in ("0001TP_006690", "0016E5_07959"):
            write(root / f"images/{split}/{name}.jpg", IMAGE)
            write(root / f"labels/{split}/{name}.png", stripes(11, 0, 1, 10))
    return root


def make_folder(root: Path, write: Write) -> Path:
    for split in ("train", "val"):
        for name in ("a", "sub/b"):
            write(root / f"images/{split}/{name}.png", IMAGE)
            write(root / f"labels/{split}/{name}.png", stripes(255, 0, 1, 2))
    return root


MAKERS: dict[str, Callable[[Path, Write], Path]] = {
    "ADE20kDataset": make_ade20k,
    "CityScapesDataset": make_cityscapes,
    "VOCDataset": make_voc,
    "CamVidDataset": make_camvid,
    "FolderDataset": make_folder,
    "Shapes": lambda root, write: root,
}
OPTIONS: dict[str, dict[str, Any]] = {"FolderDataset": {"class_names": ["zero", "one", "two"]}}
ON_DISK = sorted(set(MAKERS) - {"Shapes"})
every_dataset = pytest.mark.parametrize("name", DATASETS.names())
every_on_disk = pytest.mark.parametrize("name", ON_DISK)


def test_every_data_set_has_a_miniature() -> None:
    assert sorted(MAKERS) == DATASETS.names()


@every_dataset
@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_are_what_the_record_promises(name: str, split: str, tmp_path: Path, write: Write) -> None:
    dataset = build(name, split, root=MAKERS[name](tmp_path, write), **OPTIONS.get(name, {}))
    assert len(dataset) >= 2
    names = set()
    for i in range(min(len(dataset), 8)):
        sample = dataset[i]
        names.add(sample.name)
        assert (sample.image.dtype, sample.image.ndim) == (np.uint8, 3)
        assert sample.mask is not None
        assert sample.mask.dtype == np.uint8
        assert sample.mask.shape == sample.image.shape[:2] == sample.size
        assert set(np.unique(sample.mask)) <= {*range(len(dataset.info.names)), IGNORE_INDEX}
        assert sample.image.flags.c_contiguous
    assert len(names) == min(len(dataset), 8)


@every_dataset
def test_classes_palette_and_inverse_belong_together(name: str, tmp_path: Path, write: Write) -> None:
    info = build(name, root=MAKERS[name](tmp_path, write), **OPTIONS.get(name, {})).info
    assert len(info.names) == len(info.palette) == len(info.inverse) == len(set(info.names))
    assert sorted(info.inverse) == list(range(len(info.names)))


@every_dataset
def test_data_sets_travel_to_spawned_workers(name: str, tmp_path: Path, write: Write) -> None:
    dataset = build(name, root=MAKERS[name](tmp_path, write), **OPTIONS.get(name, {}))
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[1].image, dataset[1].image)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("ADE20kDataset", [255, 0, 1, 149]),
        ("CityScapesDataset", [255, 0, 1, 18]),
        ("VOCDataset", [255, 0, 1, 20]),
        ("CamVidDataset", [255, 0, 1, 10]),
        ("FolderDataset", [255, 0, 1, 2]),
    ],
)
def test_labels_become_class_ids(name: str, ids: list[int], tmp_path: Path, write: Write) -> None:
    sample = build(name, root=MAKERS[name](tmp_path, write), **OPTIONS.get(name, {}))[0]
    assert sample.mask is not None
    assert sample.mask[0, :: SIZE[1] // 4].tolist() == ids


@every_on_disk
def test_a_missing_root_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        build(name, root=tmp_path / "nowhere", **OPTIONS.get(name, {}))
    message = str(caught.value)
    assert "nowhere" in message
    assert "dataset.root" in message
    assert "\n" not in message


@every_on_disk
def test_an_unknown_split_is_told(name: str, tmp_path: Path, write: Write) -> None:
    with pytest.raises(DatasetError, match="holdout"):
        build(name, "holdout", root=MAKERS[name](tmp_path, write), **OPTIONS.get(name, {}))


@every_on_disk
def test_an_empty_folder_is_told(name: str, tmp_path: Path, write: Write) -> None:
    root = MAKERS[name](tmp_path, write)
    for path in [*root.rglob("*.jpg"), *root.rglob("*.png"), *root.rglob("*.txt")]:
        if path.suffix == ".txt":
            path.write_text("")
        else:
            path.unlink()
    with pytest.raises(DatasetError, match="has no images"):
        build(name, root=root, **OPTIONS.get(name, {}))


@every_on_disk
def test_a_label_map_replaces_the_own_one(name: str, tmp_path: Path, write: Write) -> None:
    root = MAKERS[name](tmp_path, write)
    label_map = {str(value): "ignore" for value in range(256)} | {"1": 0}
    dataset = build(name, root=root, label_map=label_map, **OPTIONS.get(name, {}))
    mask = dataset[0].mask
    assert mask is not None
    assert set(np.unique(mask)) <= {0, IGNORE_INDEX}


@every_on_disk
def test_unknown_labels_are_an_error_or_ignored(name: str, tmp_path: Path, write: Write) -> None:
    root = MAKERS[name](tmp_path, write)
    for path in root.rglob("*.png"):
        if np.asarray(Image.open(path)).ndim == 2:
            path.unlink()
            write(path, stripes(201, 1))
    with pytest.raises(DatasetError, match=r"\.png: label value 201 \(384 pixels\)"):
        build(name, root=root, **OPTIONS.get(name, {}))[0]
    ignoring = build(name, root=root, unknown_labels="ignore", **OPTIONS.get(name, {}))
    assert ignoring[0].mask is not None
    assert ignoring[0].mask[0, 0] == IGNORE_INDEX


def test_image_and_label_of_different_size_are_both_named(tmp_path: Path, write: Write) -> None:
    root = make_camvid(tmp_path, write)
    write(root / "labels/train/0001TP_006690.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(DatasetError, match=r"0001TP_006690\.jpg: .*24 x 32.*0001TP_006690\.png is 12 x 16"):
        build("CamVidDataset", root=root)[0]


def test_an_exif_turn_that_the_label_lacks_gets_its_own_advice(tmp_path: Path, write: Write) -> None:
    root = make_camvid(tmp_path, write)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(root / "images/train/0001TP_006690.jpg", exif=exif)
    with pytest.raises(DatasetError, match="apply_exif: false"):
        build("CamVidDataset", root=root)[0]
    assert build("CamVidDataset", root=root, apply_exif=False)[0].size == SIZE


def test_a_missing_label_is_named(tmp_path: Path, write: Write) -> None:
    root = make_ade20k(tmp_path, write)
    (root / "ADEChallengeData2016/annotations/training/ADE_2.png").unlink()
    with pytest.raises(DatasetError, match=r"training/ADE_2\.png: no such file"):
        build("ADE20kDataset", root=root)[1]


def test_ade20k_may_be_named_by_its_own_folder_and_chosen_by_a_list(tmp_path: Path, write: Write) -> None:
    inner = make_ade20k(tmp_path, write) / "ADEChallengeData2016"
    assert len(build("ADE20kDataset", root=inner)) == 2
    (inner / "train.txt").write_text("ADE_2\n")
    assert build("ADE20kDataset", root=tmp_path)[0].name == "ADE_2"


def test_cityscapes_lists_name_the_city(tmp_path: Path, write: Write) -> None:
    root = make_cityscapes(tmp_path, write)
    (root / "train.txt").write_text("ulm/ulm_0_2_leftImg8bit\n")
    dataset = build("CityScapesDataset", root=root)
    assert (len(dataset), dataset[0].name) == (1, "ulm_0_2")


def test_voc_takes_sbd_labels_from_either_folder(tmp_path: Path, write: Write) -> None:
    root = make_voc(tmp_path / "VOCdevkit/VOC2012", write)
    (root / "SegmentationClass/2007_2.png").unlink()
    write(root / "SegmentationClassAug/2007_2.png", stripes(5, 5))
    dataset = build("VOCDataset", "trainaug", root=tmp_path)
    assert dataset[1].mask is not None
    assert dataset[1].mask[0, 0] == 5
    (root / "ImageSets/Segmentation/trainaug.txt").unlink()
    with pytest.raises(DatasetError, match="SBD"):
        build("VOCDataset", "trainaug", root=tmp_path)


def test_camvid_in_segnet_s_layout(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "train/0001.png", IMAGE)
    write(tmp_path / "trainannot/0001.png", stripes(11, 3))
    (tmp_path / "train.txt").write_text("/SegNet/CamVid/train/0001.png /SegNet/CamVid/trainannot/0001.png\n")
    sample = build("CamVidDataset", root=tmp_path)[0]
    assert sample.mask is not None
    assert sample.mask[0, [0, -1]].tolist() == [255, 3]


def test_the_real_camvid(shared: Callable[..., Path]) -> None:
    root = shared("data", "camvid")
    train, val = build("CamVidDataset", root=root), build("CamVidDataset", "val", root=root)
    assert (len(train), len(val)) == (367, 101)
    sample = train[0]
    assert sample.image.shape == (360, 480, 3)
    assert sample.mask is not None
    assert set(np.unique(sample.mask)) <= {*range(11), 255}


# FolderDataset


def test_folder_without_labels_has_no_masks(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "images/test/a.png", IMAGE)
    dataset = build("FolderDataset", "test", root=tmp_path, class_names=["a", "b"])
    assert dataset[0].mask is None


def test_folder_lists_name_pairs_or_images(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "x/one.png", IMAGE)
    write(tmp_path / "y/one_mask.png", stripes(0, 1))
    (tmp_path / "pairs.txt").write_text("x/one.png y/one_mask.png\n\n")
    (tmp_path / "bare.csv").write_text("x/one.png\n")
    splits = {"train": {"images": "pairs.txt"}, "val": {"images": "bare.csv", "labels": "y"}}
    for split in splits:
        options = {"splits": splits, "class_names": ["a", "b"], "label_suffix": "_mask.png"}
        sample = build("FolderDataset", split, root=tmp_path, **options)[0]
        assert sample.mask is not None
        assert sample.mask[0, [0, -1]].tolist() == [0, 1]
    (tmp_path / "pairs.txt").write_text("a b c\n")
    with pytest.raises(DatasetError, match=r"pairs\.txt:1: has 3 columns"):
        build("FolderDataset", "train", root=tmp_path, splits=splits, class_names=["a"])


def test_folder_one_class_is_yes_or_no(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "images/train/a.png", IMAGE)
    path = write(tmp_path / "labels/train/a.png", stripes(0, 255))
    with pytest.raises(DatasetError, match=r"label_map: \{0: 0, 255: 1\}"):
        build("FolderDataset", root=tmp_path, class_names=["crack"])[0]
    mapped = build("FolderDataset", root=tmp_path, class_names=["crack"], label_map={"0": 0, "255": 1})[0]
    write(path, stripes(0, 1))
    plain = build("FolderDataset", root=tmp_path, class_names=["crack"])[0]
    for sample in (mapped, plain):
        assert sample.mask is not None
        assert sample.mask[0, [0, -1]].tolist() == [0, 1]


def test_folder_reads_palette_and_colour_labels(tmp_path: Path, write: Write) -> None:
    colors = [[0, 0, 0], [200, 10, 10], [0, 0, 250]]
    ids = stripes(0, 1, 2, 1)
    for name in ("a", "b"):
        write(tmp_path / f"images/train/{name}.png", IMAGE)
    palette_png(tmp_path / "labels/train/a.png", ids)
    write(tmp_path / "colored/a.png", np.array(colors, np.uint8)[ids])
    write(tmp_path / "colored/b.png", np.array([*colors[:2], [9, 9, 9]], np.uint8)[ids])
    classes = {"class_names": ["x", "y", "z"], "root": tmp_path}
    by_index = build("FolderDataset", **classes)[0]
    split = {"train": {"images": "images/train", "labels": "colored"}}
    colored: dict[str, Any] = {"splits": split, "label_format": "color", "colors": colors, **classes}
    dataset = build("FolderDataset", **colored)
    for sample in (by_index, dataset[0]):
        np.testing.assert_array_equal(sample.mask, ids)
    with pytest.raises(DatasetError, match=r"b\.png: \[9, 9, 9\] \(192 pixels\) are colours of no class"):
        dataset[1]
    for more in ({"ignore_colors": [[9, 9, 9]]}, {"unknown_labels": "ignore"}):
        mask = build("FolderDataset", **colored, **more)[1].mask
        np.testing.assert_array_equal(mask, np.where(ids == 2, IGNORE_INDEX, ids))


def test_folder_reads_many_channels_of_16_bit(tmp_path: Path, write: Write) -> None:
    bands = np.arange(24 * 32 * 6, dtype=np.uint16).reshape(24, 32, 6)
    (tmp_path / "images/train").mkdir(parents=True)
    np.save(tmp_path / "images/train/a.npy", bands)
    write(tmp_path / "labels/train/a.png", stripes(0, 1))
    dataset = build("FolderDataset", root=tmp_path, class_names=["a", "b"], channels=6)
    np.testing.assert_array_equal(dataset[0].image, bands)


def test_folder_mistakes_are_told(tmp_path: Path, write: Write) -> None:
    make_folder(tmp_path, write)
    with pytest.raises(ConfigError, match="class_names"):
        build("FolderDataset", root=tmp_path)
    with pytest.raises(ConfigError, match="one RGB triple for each class"):
        build("FolderDataset", root=tmp_path, class_names=["a", "b"], colors=[[1, 2, 3]], label_format="color")
    with pytest.raises(DatasetError, match="no 'val'; it has train"):
        build("FolderDataset", "val", root=tmp_path, class_names=["a"], splits={"train": {"images": "x"}})
    write(tmp_path / "images/train/a.bmp", IMAGE)
    with pytest.raises(DatasetError, match="same name"):
        build("FolderDataset", root=tmp_path, class_names=["a"])
