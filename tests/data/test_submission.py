"""Submissions: what comes back from the files is what was predicted, in the benchmark's values and names."""

import fnmatch
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.miniatures import MINIS

from segkit.config.component import CONFIGS
from segkit.config.datasets import DatasetConfig, Facts, Submission
from segkit.data.io import read_label
from segkit.data.labels import LabelMap
from segkit.data.submission import SubmissionWriter
from segkit.errors import ConfigError, SegkitError
from segkit.types import ClassInfo

PUBLISHED = sorted(set(MINIS) - {"FolderDataset"})


def info_of(config: DatasetConfig) -> ClassInfo:
    label_map = LabelMap(config.own_label_map, len(config.classes))
    return ClassInfo(config.classes, config.palette, label_map.inverse)


def facts_of(config: DatasetConfig) -> Facts:
    assert config.facts is not None
    return config.facts


def every_class(count: int) -> np.ndarray:
    """(16, 16) uint8 with each class at least once."""
    return np.resize(np.arange(count, dtype=np.uint8), (16, 16))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_submission_read_as_labels_is_the_prediction(name: str, tmp_path: Path) -> None:
    config = CONFIGS["dataset"][name]()
    submission, info = facts_of(config).submission, info_of(config)
    mask = every_class(len(config.classes))
    with SubmissionWriter(tmp_path / "out", submission, info, "test") as writer:
        writer.add("a/b_1", mask)
    (path,) = (p for p in (tmp_path / "out").rglob("*") if p.is_file())
    values = read_label(path)
    own = LabelMap(config.own_label_map, len(config.classes))
    found = values if submission.values == "classes" else own(values, path)
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize(
    ("name", "id_", "file", "values"),
    [
        ("CityScapesDataset", "berlin_000000_000019", "berlin_000000_000019*.png", {0: 7, 1: 8, 18: 33}),
        ("ADE20kDataset", "ADE_test_00000001", "ADE_test_00000001.png", {0: 1, 149: 150}),
        ("LoveDADataset", "4191", "4191.png", {0: 0, 6: 6}),
        (
            "VOCDataset",
            "2008_000006",
            "results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png",
            {0: 0, 20: 20},
        ),
        ("iSAIDDataset", "P0006", "P0006.png", {0: 0, 15: 15}),
        ("VSPWDataset", "1001_5z_ijQjUf_0/00000001", "1001_5z_ijQjUf_0/00000001.png", {0: 1, 123: 124}),
        ("COCOStuff10kDataset", "COCO_1", "COCO_1.png", {0: 1, 181: 182}),
    ],
)
def test_names_and_values_are_those_asked_for(
    name: str, id_: str, file: str, values: dict[int, int], tmp_path: Path
) -> None:
    config = CONFIGS["dataset"][name]()
    with SubmissionWriter(tmp_path / "out.zip", facts_of(config).submission, info_of(config), "test") as writer:
        writer.add(id_, np.array([list(values)], np.uint8))
    assert writer.count == 1
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        (found,) = archive.namelist()
        assert fnmatch.fnmatch(found, file)
        archive.extract(found, tmp_path)
    label = read_label(tmp_path / found)
    assert (label.dtype, label.tolist()) == (np.uint8, [list(values.values())])


def test_palettes_show_the_classes_colours(tmp_path: Path) -> None:
    config = CONFIGS["dataset"]["VOCDataset"]()
    with SubmissionWriter(tmp_path / "out.tar.gz", facts_of(config).submission, info_of(config), "val") as writer:
        writer.add("x", np.array([[1, 20]], np.uint8))
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with Image.open(tmp_path / "results/VOC2012/Segmentation/comp6_val_cls/x.png") as image:
        assert image.mode == "P"
        assert np.asarray(image.convert("RGB")).tolist() == [[[128, 0, 0], [0, 64, 128]]]


def test_values_above_255_are_16_bit_and_one_class_has_two_values(tmp_path: Path) -> None:
    for table, names, mask in (({0: 0, 1000: 1}, ("a", "b"), [[0, 1]]), ({0: 0, 255: 1}, ("crack",), [[0, 1]])):
        info = ClassInfo(names, ((0, 0, 0),) * len(names), LabelMap(table, len(names)).inverse)
        out = tmp_path / str(len(names))
        with SubmissionWriter(out, Submission(), info, "test") as writer:
            writer.add("x", np.array(mask, np.uint8))
        assert read_label(out / "x.png").tolist() == [list(table)]


def test_a_class_without_a_value_is_told(tmp_path: Path) -> None:
    info = ClassInfo(("a", "b"), ((0, 0, 0),) * 2, {0: 3})
    with pytest.raises(ConfigError, match=r"dataset\.label_map: no value stands for b"):
        SubmissionWriter(tmp_path / "out", Submission(), info, "test")


INFO = ClassInfo(("a", "b"), ((0, 0, 0),) * 2, {0: 0, 1: 1})


@pytest.mark.parametrize("name", ["out", "out.zip", "out.tar.gz"])
def test_after_an_error_nothing_is_there(name: str, tmp_path: Path) -> None:
    def fail() -> None:
        with SubmissionWriter(tmp_path / name, Submission(), INFO, "test") as writer:
            writer.add("x", np.zeros((2, 2), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def _full_folder(root: Path) -> Path:
    (root / "full").mkdir()
    (root / "full/a").touch()
    return root / "full"


def _file(root: Path) -> Path:
    (root / "a.zip").touch()
    return root / "a.zip"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_full_folder, r"full exists; name another"),
        (_file, r"a\.zip exists; name another"),
        (lambda root: root / "out.rar", r"must be a folder, or a file that ends in \.zip, \.tar\.gz, \.tgz"),
        (lambda root: _file(root) / "b", r"a\.zip is a file, no folder"),
    ],
)
def test_paths_that_cannot_be_are_told_first(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        SubmissionWriter(make(tmp_path), Submission(), INFO, "test")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    with SubmissionWriter(tmp_path, Submission(), INFO, "test") as writer:
        writer.add("x", np.zeros((2, 2), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    with pytest.raises(SegkitError, match="exists"):
        SubmissionWriter(tmp_path, Submission(), INFO, "test")
