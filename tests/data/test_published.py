"""Every data set on a miniature in its true layout, and against what is known of it."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.miniatures import IMAGE, MINIS, Mini, save, save_palette, stripes, write_mini

from segkit.config.component import CONFIGS, adapter
from segkit.config.datasets import DatasetConfig
from segkit.errors import DatasetError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX, Dataset

OPTIONS: dict[str, dict[str, Any]] = {"FolderDataset": {"class_names": ["zero", "one", "two"]}}
PUBLISHED = sorted(set(MINIS) - {"FolderDataset"})
NOT_LISTED = sorted(n for n in PUBLISHED if n != "COCOVOCSUBDataset")  # its images and labels are told by one JSON file
every = pytest.mark.parametrize("name", sorted(MINIS))
every_published = pytest.mark.parametrize("name", PUBLISHED)
every_listed = pytest.mark.parametrize("name", [n for n in NOT_LISTED if MINIS[n].lists and n != "VSPWDataset"])


def config(name: str, **options: Any) -> DatasetConfig:
    text = json.dumps({**OPTIONS.get(name, {}), **options}, default=str)
    return adapter(DATASETS.config(name)).validate_json(text, strict=True)


def build(name: str, split: str, **options: Any) -> Dataset:
    return DATASETS.build(config(name, **options), split)


def first(name: str) -> str:
    return next(iter(MINIS[name].splits))


def test_every_data_set_has_a_miniature() -> None:
    assert sorted(MINIS) == sorted(set(DATASETS.names()) - {"Shapes", "MultipleDataset"})


@every
def test_every_split_of_the_miniature_is_read(name: str, tmp_path: Path) -> None:
    mini = MINIS[name]
    root = write_mini(name, tmp_path)
    for split in mini.splits:
        dataset = build(name, split, root=root)
        names = tuple(n.replace("train_video", f"{split}_video") for n in mini.names or mini.ids)
        if name != "COCOVOCSUBDataset":
            assert tuple(dataset[i].name for i in range(len(dataset))) == names
        for i in range(len(dataset)):
            sample = dataset[i]
            assert (sample.image.dtype, sample.image.ndim) == (np.uint8, 3)
            assert sample.image.flags.c_contiguous
            assert sample.mask is not None
            assert sample.mask.dtype == np.uint8
            assert sample.mask.shape == sample.image.shape[:2] == sample.size
            assert sample.mask[0, :: sample.size[1] // 4].tolist() == list(mini.want)
            np.testing.assert_array_equal(dataset.mask(i), sample.mask)


@every
def test_classes_palette_and_inverse_belong_together(name: str, tmp_path: Path) -> None:
    info = build(name, first(name), root=write_mini(name, tmp_path)).info
    assert len(info.names) == len(info.palette) == len(info.inverse) == len(set(info.names))
    assert sorted(info.inverse) == list(range(len(info.names)))


@every
def test_data_sets_travel_to_spawned_workers(name: str, tmp_path: Path) -> None:
    dataset = build(name, first(name), root=write_mini(name, tmp_path))
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[1].image, dataset[1].image)


# Facts

_KEYS = {"CamVid11": "CamVidDataset"}


def test_classes_and_labels_are_those_known(shared: Callable[..., Path]) -> None:
    tables = json.loads(shared("facts", "datasets.json").read_text(encoding="utf-8"))
    rows = {**tables["ssseg"], **tables["other"]}
    for key, row in rows.items():
        name = _KEYS.get(key, key.removesuffix("Dataset") + "Dataset")
        found = config(name)
        assert list(found.classes) == row["class_names"], name
        assert [list(color) for color in found.palette] == row["palette"], name
        assert len(found.classes) == len(found.palette) == row["num_classes"]
        pairs = {tuple(sorted(pair)) for pair in row.get("flip_pairs", [])}
        assert pairs in ({tuple(sorted(p)) for p in found.flip_pairs}, set())
        if name == "COCOStuffDataset":
            continue  # the published PNGs hold category id - 1, which the reference reads off by one
        for raw, want in (row["raw_to_train"] or {}).items():
            new = "ignore" if want in (-100, 255) else want
            assert found.own_label_map[int(raw) % 256] == new, (name, raw)
    assert len(rows) == len(PUBLISHED)


def test_defaults_are_the_splits_of_the_recipes(shared: Callable[..., Path]) -> None:
    for recipe in json.loads(shared("facts", "recipes.json").read_text(encoding="utf-8")):
        data = recipe["dataset"]
        if data["type"] == "MultipleDataset" or data["train_set"] == "trainval":
            continue
        found = config(data["type"])
        assert (found.train_split, found.val_split) == (data["train_set"], data["test_set"]), data["type"]


@every_published
def test_the_facts_are_whole(name: str) -> None:
    found = CONFIGS["dataset"][name]()
    facts = found.facts
    assert found.val_split in facts.splits
    assert {v for v in found.own_label_map.values() if v != "ignore"} == set(range(len(found.classes)))
    assert all(0 <= channel <= 255 for color in found.palette for channel in color)
    for left, right in found.flip_pairs:
        assert found.classes[right].lower() == found.classes[left].lower().replace("left", "right")


def test_unused_classes_of_coco_stuff_can_be_left_out() -> None:
    for name in ("COCOStuffDataset", "COCOStuff10kDataset"):
        small, whole = config(name, leave_out_unused=True), config(name)
        assert (len(small.classes), len(small.palette), len(whole.classes)) == (171, 171, 182)
        for value, new in small.own_label_map.items():
            old = whole.own_label_map[value]
            assert new == "ignore" or small.classes[new] == whole.classes[old]


# What is wrong with files


@every
def test_a_missing_root_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        build(name, first(name), root=tmp_path / "nowhere")
    message = str(caught.value)
    assert "nowhere" in message
    assert "dataset.root" in message
    assert "\n" not in message


@every_published
def test_a_misplaced_root_tells_where_what_is_expected(name: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DatasetError, match="is missing") as caught:
        build(name, first(name), root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert config(name).source in str(caught.value)


@every
def test_an_unknown_split_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holdout"):
        build(name, "holdout", root=write_mini(name, tmp_path))


def test_a_misspelt_split_gets_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no split 'trian', did you mean 'train'\?; it has train, val"):
        build("LoveDADataset", "trian", root=write_mini("LoveDADataset", tmp_path))
    with pytest.raises(DatasetError, match="no split 'train'; it has val"):
        build("NighttimeDrivingDataset", "train", root=write_mini("NighttimeDrivingDataset", tmp_path))


def files_of(name: str, root: Path) -> tuple[Path, Path, Mini]:
    """The first image of a miniature and the first of its labels."""
    mini, split = MINIS[name], first(name)
    words = {"i": mini.ids[0], "s": split, "f": mini.splits[split]}
    return root / mini.image.format(**words), root / mini.label.format(**words), mini


@pytest.mark.parametrize("name", NOT_LISTED)
def test_an_image_without_label_is_named_and_counted(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    _, label, mini = files_of(name, root)
    for path in label.parent.glob(label.name.replace("_02_01", "_02_*")):
        path.unlink()
    told = re.escape(mini.ids[0].rpartition("/")[2]) if name != "VSPWDataset" else "00000001"
    count = "1 of 1" if name == "VSPWDataset" else "1 of 2"
    with pytest.raises(DatasetError, match=f"{count} images have no label: .*{told}.*on_error=skip"):
        build(name, first(name), root=root)
    assert len(build(name, first(name), root=root, on_error="skip")) == 1


@every_listed
def test_a_listed_image_that_is_missing_is_named_and_counted(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    image, _, mini = files_of(name, root)
    image.unlink()
    told = re.escape(mini.ids[0].rpartition("/")[2])
    with pytest.raises(DatasetError, match=f"1 of 2 images that .* names are not in .*: {told}"):
        build(name, first(name), root=root)
    assert len(build(name, first(name), root=root, on_error="skip")) == 1


@every_listed
def test_a_list_that_names_an_id_twice_is_told(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    mini, split = MINIS[name], first(name)
    path = root / mini.lists.format(s=split, f=mini.splits[split])
    path.write_text(path.read_text() * 2)
    with pytest.raises(DatasetError, match=r"more than once.*repeat_times"):
        build(name, split, root=root)


def test_labels_without_images_are_counted_where_no_list_chooses(tmp_path: Path) -> None:
    root = write_mini("LoveDADataset", tmp_path)
    (root / "img_dir/train/0.png").unlink()
    with pytest.raises(DatasetError, match="1 of 2 labels have no image: 0"):
        build("LoveDADataset", "train", root=root)


@pytest.mark.parametrize("name", [n for n in NOT_LISTED if n not in ("CamVidDataset", "VSPWDataset")])
def test_the_case_of_suffixes_does_not_matter(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    image, label, _ = files_of(name, root)
    image.rename(image.with_suffix(image.suffix.upper()))
    label.rename(label.with_suffix(label.suffix.upper()))
    assert build(name, first(name), root=root)[0].mask is not None


def test_two_files_with_one_id_are_both_named(tmp_path: Path) -> None:
    root = write_mini("ADE20kDataset", tmp_path)
    folder = root / "ADEChallengeData2016/images/training"
    save(folder / "ADE_00000001.JPEG", IMAGE)
    with pytest.raises(DatasetError, match=r"ADE_00000001\.jpg and .*ADE_00000001\.JPEG|JPEG and .*jpg"):
        build("ADE20kDataset", "train", root=root)


@pytest.mark.parametrize("name", [n for n in NOT_LISTED if n not in ("SBUShadowDataset", "COCOStuff10kDataset")])
def test_unknown_labels_are_an_error_or_ignored(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    _, label, mini = files_of(name, root)
    (save_palette if mini.palette else save)(label, stripes(201, 1, 1, 1))
    with pytest.raises(DatasetError, match=r"\.png: label value 201 \(192 pixels\)"):
        build(name, first(name), root=root)[0]
    mask = build(name, first(name), root=root, unknown_labels="ignore")[0].mask
    assert mask is not None
    assert mask[0, 0] == IGNORE_INDEX


@pytest.mark.parametrize("name", [n for n in NOT_LISTED if n != "COCOStuff10kDataset"])
def test_a_label_map_replaces_the_own_one(name: str, tmp_path: Path) -> None:
    root = write_mini(name, tmp_path)
    table = {str(value): 1 if value == MINIS[name].raw[1] else "ignore" for value in range(256)}
    mask = build(name, first(name), root=root, label_map=table)[0].mask
    assert mask is not None
    assert set(np.unique(mask)) <= {1, IGNORE_INDEX}


def test_a_split_without_public_labels_needs_none(tmp_path: Path) -> None:
    save(tmp_path / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", IMAGE)
    save(tmp_path / "gtFine/test/berlin/berlin_000000_000019_gtFine_labelIds.png", stripes(1, 1, 2, 3))
    sample = build("CityScapesDataset", "test", root=tmp_path)[0]
    assert (sample.name, sample.mask) == ("berlin_000000_000019", None)  # the labels there are empty


def test_splits_can_join_folders(tmp_path: Path) -> None:
    root = write_mini("CityScapesDataset", tmp_path)
    assert len(build("CityScapesDataset", "val", root=root)) == 2
    with pytest.raises(DatasetError, match="same id"):  # the miniature has the same names in both
        build("CityScapesDataset", "trainval", root=root)
    for path in [*root.glob("*/val/bonn/*"), *root.glob("*/val/ulm/*")]:
        path.rename(path.with_name(path.name.replace("00000", "10000", 1)))
    assert len(build("CityScapesDataset", "trainval", root=root)) == 4


def test_an_epoch_of_videos_visits_a_frame_of_each(tmp_path: Path) -> None:
    root = write_mini("VSPWDataset", tmp_path)
    for video in ("train_video_a1", "train_video_b2"):
        for frame in ("00000002", "00000003"):
            save(root / f"data/{video}/origin/{frame}.jpg", IMAGE)
            save(root / f"data/{video}/mask/{frame}.png", stripes(1, 2, 3, 4))
    dataset: Any = build("VSPWDataset", "train", root=root)
    order = dataset.order()
    assert (len(dataset), order.visits) == (6, 2)
    drawn = np.array([order.indices(np.random.default_rng(seed)) for seed in range(50)])
    assert set(drawn[:, 0]) == {0, 1, 2}
    assert set(drawn[:, 1]) == {3, 4, 5}


def test_coco_keeps_images_with_enough_labelled_pixels(tmp_path: Path) -> None:
    root = write_mini("COCOVOCSUBDataset", tmp_path)
    dataset = build("COCOVOCSUBDataset", "train", root=root)
    assert [dataset[i].name for i in range(len(dataset))] == ["000000000001", "000000000002"]
    mask = dataset[0].mask
    assert mask is not None
    assert [int((mask == k).sum()) for k in (1, 15, 0)] == [1728, 1728, 3456]
    (root / "annotations/instances_train2017.json").write_text('{"images": [{"id"')
    with pytest.raises(DatasetError, match=r"instances_train2017\.json: is torn"):
        build("COCOVOCSUBDataset", "train", root=root)


def test_a_torn_matlab_file_is_named(tmp_path: Path) -> None:
    root = write_mini("COCOStuff10kDataset", tmp_path)
    _, label, _ = files_of("COCOStuff10kDataset", root)
    for content in (label.read_bytes()[:200], b"no matlab", b""):
        label.write_bytes(content)
        with pytest.raises(DatasetError, match=r"000000000077\.mat"):
            build("COCOStuff10kDataset", "train", root=root)[0]
