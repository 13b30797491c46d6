"""Layouts that data sets take besides their first one, and folders of a user's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.miniatures import IMAGE, SIZE, save_palette, stripes, write_mini

from segkit.config.component import adapter
from segkit.config.datasets import DatasetConfig
from segkit.errors import ConfigError, DatasetError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX, Dataset

Write = Callable[[Path, np.ndarray], Path]


def config(name: str, **options: Any) -> DatasetConfig:
    text = json.dumps(options, default=str)
    return adapter(DATASETS.config(name)).validate_json(text, strict=True)


def build(name: str, split: str = "train", **options: Any) -> Dataset:
    return DATASETS.build(config(name, **options), split)


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


def test_ade20k_may_be_named_by_its_own_folder_and_chosen_by_a_list(tmp_path: Path) -> None:
    inner = write_mini("ADE20kDataset", tmp_path) / "ADEChallengeData2016"
    assert len(build("ADE20kDataset", root=inner)) == 2
    (inner / "train.txt").write_text("ADE_00000002\n")
    assert build("ADE20kDataset", root=tmp_path)[0].name == "ADE_00000002"
    (inner / "train.txt").unlink()
    assert len(build("ADE20kDataset", root=tmp_path)) == 2


def test_cityscapes_lists_name_the_city(tmp_path: Path) -> None:
    root = write_mini("CityScapesDataset", tmp_path)
    (root / "train.txt").write_text("ulm/ulm_000000_000002_leftImg8bit\n")
    dataset = build("CityScapesDataset", root=root)
    assert (len(dataset), dataset[0].name) == (1, "ulm_000000_000002")


def test_loveda_as_unpacked(tmp_path: Path, write: Write) -> None:
    for area, name in (("Rural", "0"), ("Urban", "1366")):
        write(tmp_path / f"Train/{area}/images_png/{name}.png", IMAGE)
        write(tmp_path / f"Train/{area}/masks_png/{name}.png", stripes(0, 7))
    write(tmp_path / "Test/Rural/images_png/4191.png", IMAGE)
    train, test = build("LoveDADataset", root=tmp_path), build("LoveDADataset", "test", root=tmp_path)
    assert ([train[0].name, train[1].name], test[0].mask) == (["0", "1366"], None)
    assert train[1].mask is not None
    assert train[1].mask[0, [0, -1]].tolist() == [255, 6]


def test_stuff_maps_may_lie_in_their_own_folder(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "train2017/000000000009.jpg", IMAGE)
    write(tmp_path / "stuffthingmaps/train2017/000000000009.png", stripes(255, 181))
    mask = build("COCOStuffDataset", root=tmp_path)[0].mask
    assert mask is not None
    assert mask[0, [0, -1]].tolist() == [255, 181]


def test_voc_takes_sbd_labels_from_either_folder(tmp_path: Path, write: Write) -> None:
    root = write_mini("VOCDataset", tmp_path / "VOCdevkit/VOC2012")
    (root / "SegmentationClass/2007_000039.png").unlink()
    write(root / "SegmentationClassAug/2007_000039.png", stripes(5, 5))
    dataset = build("VOCDataset", "trainaug", root=tmp_path)
    assert dataset[1].mask is not None
    assert dataset[1].mask[0, 0] == 5
    (root / "ImageSets/Segmentation/trainaug.txt").unlink()
    with pytest.raises(DatasetError, match=r"SBD.*lists there: train\.txt, val\.txt"):
        build("VOCDataset", "trainaug", root=tmp_path)


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
    save_palette(tmp_path / "labels/train/a.png", ids)
    write(tmp_path / "labels/train/b.png", ids)
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


def test_folder_pairs_are_counted_and_matched(tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folder(tmp_path, write)
    write(root / "images/train/sub/c.JPG", IMAGE)
    write(root / "labels/train/sub/cc.png", stripes(0, 1))
    with pytest.raises(DatasetError) as caught:
        build("FolderDataset", root=root, class_names=["a", "b", "c"])
    told = str(caught.value)
    assert f"1 of 3 images have no label: {root}/labels/train/sub/c.png, did you mean 'sub/cc'?" in told
    assert "1 of 3 labels have no image: sub/cc" in told
    skipping = build("FolderDataset", root=root, class_names=["a", "b", "c"], on_error="skip")
    assert [skipping[i].name for i in range(len(skipping))] == ["a", "sub/b"]
    (root / "images/train/sub/c.JPG").unlink()
    caplog.clear()
    assert len(build("FolderDataset", root=root, class_names=["a", "b", "c"])) == 2
    assert "1 of 3 labels have no image: sub/cc" in caplog.text
    (root / "labels/train/a.png").rename(root / "labels/train/a.PNG")
    assert build("FolderDataset", root=root, class_names=["a", "b", "c"])[0].mask is not None


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
