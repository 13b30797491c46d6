"""What conversions write, value for value."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.archives import CONTEXT_VALUES, H, W, isprs_values, write_archives
from support.data import ids, noise

from segkit.data.io import read_image, read_label
from segkit.data.prepare.aerial import Box, tiles
from segkit.data.prepare.recipes import find_recipe
from segkit.data.prepare.run import prepare
from segkit.errors import DatasetError


def prepared(name: str, tmp_path: Path) -> Path:
    archives = write_archives(name, tmp_path / "archives")
    prepare(find_recipe(name), tmp_path / "root", archives=archives, say=lambda *_: None, warn=lambda _: None)
    return tmp_path / "root"


def names(path: Path) -> list[str]:
    return path.read_text().split()


def test_sbd_adds_to_voc_and_leaves_its_validation_images_out(tmp_path: Path) -> None:
    voc = prepared("vocaug", tmp_path)
    assert names(voc / "ImageSets" / "Segmentation" / "trainaug.txt") == [
        "2007_000032",
        "2007_000039",
        "2008_000001",
        "2008_000002",
    ]
    added = voc / "SegmentationClassAug"
    assert sorted(p.stem for p in added.glob("*.png")) == ["2008_000001", "2008_000002"]  # VOC's own labels count
    np.testing.assert_array_equal(read_label(added / "2008_000001.png"), ids(50, H, W, (0, 5, 20)))


def test_context_keeps_59_of_459_classes(tmp_path: Path) -> None:
    voc = prepared("pascalcontext59", tmp_path)
    found = read_label(voc / "SegmentationClassContext" / "2007_000039.png")
    raw = CONTEXT_VALUES[ids(1, H, W)]
    np.testing.assert_array_equal(found, np.select([raw == 201, raw == 259], [1, 59], 0))
    lists = voc / "ImageSets" / "SegmentationContext"
    assert (names(lists / "train.txt"), names(lists / "val.txt")) == (["2007_000032", "2007_000039"], ["2007_000033"])


@pytest.mark.parametrize(
    ("name", "train", "val", "mask"),
    [
        ("chasedb1", ("Image_01L", 20), ("Image_11L", 8), "{}_1stHO.png"),
        ("stare", ("im0001", 10), ("im0011", 10), "{}.ah.png"),
        ("drive", ("21", 20), ("01", 20), "{}_manual1.png"),
        ("hrf", ("01_h", 15), ("06_h", 30), "{}.png"),
    ],
)
def test_retina(name: str, train: tuple[str, int], val: tuple[str, int], mask: str, tmp_path: Path) -> None:
    root = prepared(name, tmp_path)
    for split, folder, (first, count) in (("train", "training", train), ("val", "validation", val)):
        listed = names(root / f"{split}.txt")
        assert (listed[0], len(listed)) == (f"{first}.png", count)
        assert read_image(root / "images" / folder / f"{first}.png").shape == (H, W, 3)
        assert sorted(np.unique(read_label(root / "annotations" / folder / mask.format(first)))) == [0, 1]


def test_retina_masks_are_those_of_the_archive(tmp_path: Path) -> None:
    root = prepared("stare", tmp_path)
    np.testing.assert_array_equal(
        read_label(root / "annotations" / "training" / "im0003.ah.png") * 255, ids(3, H, W, (0, 255))
    )
    np.testing.assert_array_equal(read_image(root / "images" / "training" / "im0003.png"), noise(3, H, W, 3))


def test_tiles_cover_all_and_the_last_is_shifted_back() -> None:
    assert list(tiles(600, 1100, 512, 512)) == [
        Box(0, 0, 512, 512), Box(0, 512, 512, 1024), Box(0, 588, 512, 1100),
        Box(88, 0, 600, 512), Box(88, 512, 600, 1024), Box(88, 588, 600, 1100),
    ]  # fmt: skip
    assert len(list(tiles(6000, 6000, 512, 512))) == 144  # as published for Potsdam
    assert list(tiles(512, 300, 512, 512)) == [Box(0, 0, 512, 300)]
    assert [b.left for b in tiles(896, 2000, 896, 512)] == [0, 512, 1024, 1104]


@pytest.mark.slow
def test_potsdam_tiles(tmp_path: Path) -> None:
    root = prepared("potsdam", tmp_path)
    assert len(list((root / "img_dir" / "train").iterdir())) == 6
    assert [p.name for p in (root / "img_dir" / "val").iterdir()] == ["2_13_0_0_512_512.png"]
    name = "2_10_588_88_1100_600.png"
    np.testing.assert_array_equal(
        read_image(root / "img_dir" / "train" / name), noise(0, 600, 1100, 3)[88:600, 588:1100]
    )
    np.testing.assert_array_equal(
        read_label(root / "ann_dir" / "train" / name), isprs_values(0, 600, 1100)[88:600, 588:1100]
    )


@pytest.mark.slow
def test_vaihingen_leaves_area_9_out(tmp_path: Path) -> None:
    root = prepared("vaihingen", tmp_path)
    areas = {split: {p.name.split("_")[0] for p in (root / "ann_dir" / split).iterdir()} for split in ("train", "val")}
    assert areas == {"train": {"area1"}, "val": {"area2"}}


@pytest.mark.slow
def test_isaid_pads_small_images_and_keeps_test_images(tmp_path: Path) -> None:
    root = prepared("isaid", tmp_path)
    assert sorted(p.name for p in (root / "img_dir" / "train").iterdir()) == [
        f"P0000_{y}_{x}.png" for y in ("0_896", "4_900") for x in ("0_896", "512_1408", "604_1500")
    ]
    small = read_label(root / "ann_dir" / "val" / "P0003_0_896_0_896_instance_color_RGB.png")
    assert small.shape == (896, 896)
    np.testing.assert_array_equal(small[:300, :400], ids(1, 300, 400, tuple(range(16))))
    assert (small[300:] == 255).all()
    assert (small[:, 400:] == 255).all()
    assert not read_image(root / "img_dir" / "val" / "P0003_0_896_0_896.png")[300:].any()
    assert [p.name for p in (root / "img_dir" / "test").iterdir()] == ["P0006.png"]


@pytest.mark.slow
def test_a_colour_of_no_class_is_told(tmp_path: Path) -> None:
    from support.archives import encoded, zipped

    archives = write_archives("potsdam", tmp_path / "archives")
    wrong = np.full((512, 512, 3), 7, np.uint8)
    label = {"top_potsdam_2_13_label_noBoundary.tif": encoded(wrong, ".tif")}
    label["top_potsdam_2_10_label_noBoundary.tif"] = encoded(np.zeros((600, 1100, 3), np.uint8), ".tif")
    (archives / "5_Labels_all_noBoundary.zip").write_bytes(zipped(label))
    with pytest.raises(DatasetError, match=r"2_13_label_noBoundary\.tif: \[7, 7, 7\] are no colours"):
        prepare(find_recipe("potsdam"), tmp_path / "root", archives=archives, say=lambda *_: None, warn=lambda _: None)


def test_an_archive_without_its_files_is_told(tmp_path: Path) -> None:
    from support.archives import photo, zipped

    archives = write_archives("drive", tmp_path / "archives")
    (archives / "test.zip").write_bytes(zipped({"test/images/01_test.tif": photo(0, ".tif")}))
    with pytest.raises(DatasetError, match=r"test\.zip of DRIVE has no 1st_manual"):
        prepare(find_recipe("drive"), tmp_path / "root", archives=archives, say=lambda *_: None, warn=lambda _: None)
    assert cv2.imread(str(tmp_path / "root" / "images" / "training" / "21.png")) is None  # nothing half done
