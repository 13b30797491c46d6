"""Mixtures of data sets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.miniatures import MINIS, write_mini

from segkit.config.component import adapter
from segkit.config.compose import compose
from segkit.config.datasets import MultipleDatasetConfig
from segkit.data.datasets.multiple import MultipleDataset
from segkit.data.transforms.base import render
from segkit.errors import ConfigError, DatasetError

WORDS = {"airplane": "aeroplane", "motorcycle": "motorbike", "potted-plant": "pottedplant", "tv": "tvmonitor"}


def mixture(root: Path, *, voc: Any = None, coco: Any = None, **options: Any) -> MultipleDatasetConfig:
    """VOC (2 images a split) and COCO's subset (2 images a split)."""
    sources = {
        "voc": {"dataset": {"type": "VOCDataset", "root": str(root / "voc")}, **(voc or {})},
        "coco": {
            "dataset": {"type": "COCOVOCSUBDataset", "root": str(root / "coco")},
            "remap": WORDS,
            **(coco or {}),
        },
    }
    text = json.dumps({"sources": sources, **options})
    return adapter(MultipleDatasetConfig).validate_json(text, strict=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mini("VOCDataset", tmp_path / "voc")
    write_mini("COCOVOCSUBDataset", tmp_path / "coco")
    return tmp_path


def told(config: MultipleDatasetConfig) -> dict[str, str]:
    return {problem.path: problem.message for problem in config.problems()}


def test_samples_of_all_sources_in_the_words_of_the_first(root: Path) -> None:
    config = mixture(root)
    dataset = MultipleDataset(config, "train")
    assert told(config) == {}
    assert (len(dataset), len(dataset.info.names)) == (4, 21)
    assert [dataset[i].name for i in range(4)] == [
        "voc/2007_000032",
        "voc/2007_000039",
        "coco/000000000001",
        "coco/000000000002",
    ]
    assert dataset[0].mask is not None
    assert dataset[0].mask[0, ::8].tolist() == list(MINIS["VOCDataset"].want)
    assert dataset[3].mask is not None
    assert dataset[3].mask[0, ::24].tolist() == [1, 15, 0, 0]
    with pytest.raises(IndexError):
        dataset[4]
    for i in range(4):  # opened and read later, or read at once
        opened, read = dataset.open(i), dataset[i]
        assert (opened.sample.name, opened.sample.size) == (read.name, read.size)
        np.testing.assert_array_equal(render(opened.frame, opened.sample).image, read.image)
        np.testing.assert_array_equal(render(opened.frame, opened.sample).mask, read.mask)


def test_remapping_may_swap_join_and_ignore(root: Path) -> None:
    # A permutation in one table: one after the other, in place, would collapse it.
    remap = {**WORDS, "person": "aeroplane", "airplane": "person", "__background__": "ignore", "tv": 0}
    dataset = MultipleDataset(mixture(root, coco={"remap": remap}), "train")
    assert dataset[2].mask is not None
    assert dataset[2].mask[0, ::24].tolist() == [15, 1, 255, 255]


def test_evaluation_is_joint_or_on_some_and_by_source(root: Path) -> None:
    assert len(MultipleDataset(mixture(root), "val")) == 4
    only = mixture(root, evaluate_on=["coco"])
    assert [MultipleDataset(only, "val")[i].name for i in range(2)] == ["coco/000000000001", "coco/000000000002"]
    assert len(MultipleDataset(only, "val")) == 2
    assert MultipleDataset(only, "voc")[0].name == "voc/2007_000032"
    with pytest.raises(DatasetError, match="no split 'test'; it has train, val, voc, coco"):
        MultipleDataset(only, "test")


def test_shares_and_repeats_decide_how_often_a_source_is_seen(root: Path) -> None:
    def seen(**options: Any) -> list[int]:
        order = MultipleDataset(mixture(root, **options), "train").order()
        counts = np.bincount(order.indices(np.random.default_rng(0)) // 2, minlength=2)
        assert counts.sum() == order.visits
        return counts.tolist()

    assert seen() == [2, 2]
    assert seen(voc={"share": 3}, coco={"share": 1, "remap": WORDS}) == [3, 1]
    data = {"type": "VOCDataset", "root": str(root / "voc"), "repeat_times": 5}
    assert seen(voc={"dataset": data}) == [10, 2]


def test_mistakes_are_told_at_once_with_the_nearest_spelling(root: Path) -> None:
    config = mixture(
        root,
        voc={"share": 1},
        coco={"remap": {"aeroplan": "aeroplane", "motorcycle": "motorbik", "tv": "tvmonitor"}},
        evaluate_on=["vco"],
        label_map={"0": 0},
        colors=[[0, 0, 0]],
    )
    found = told(config)
    assert found["evaluate_on"] == "no source is called 'vco', did you mean 'voc'?; sources: voc, coco"
    assert "missing in coco" in found["sources"]
    assert "did you mean 'airplane'?" in found["sources.coco.remap.aeroplan"]
    assert "did you mean 'motorbike'?" in found["sources.coco.remap.motorcycle"]
    assert "'airplane', did you mean 'aeroplane'?" in found["sources.coco.remap"]
    assert {"label_map", "colors"} < set(found)
    with pytest.raises(ConfigError, match=r"dataset\.sources\.coco\.remap"):
        MultipleDataset(config, "train")
    assert set(told(MultipleDatasetConfig())) == {"sources"}


def test_mistakes_are_told_before_anything_is_read() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["dataset=voc_cocovocsub_512x512", "dataset.sources.coco.remap.tv=tvmonitr"])
    assert "dataset.sources.coco.remap.tv: must be ignore or a joint class (got 'tvmonitr'), did you mean" in str(
        caught.value
    )
    with pytest.raises(ConfigError, match=r"dataset\.sources\.coco\.dataset\.rot: unknown key, did you mean 'root'"):
        compose(["dataset=voc_cocovocsub_512x512", "dataset.sources.coco.dataset.rot=/x"])
    flip = "dataset.sources.coco.dataset.train_transforms={flip:{type:RandomFlip}}"
    with pytest.raises(ConfigError, match=r"dataset\.sources\.coco\.dataset: must have no transforms"):
        compose(["dataset=voc_cocovocsub_512x512", flip])


def test_flip_pairs_are_those_of_the_joint_classes(tmp_path: Path) -> None:
    text = json.dumps({"sources": {"atr": {"dataset": {"type": "ATRDataset"}}}})
    config = adapter(MultipleDatasetConfig).validate_json(text, strict=True)
    assert config.flip_pairs == ((9, 10), (12, 13), (14, 15))
    assert config.palette == config.sources["atr"].dataset.palette


def test_a_missing_source_is_told(tmp_path: Path) -> None:
    write_mini("VOCDataset", tmp_path / "voc")
    with pytest.raises(DatasetError, match=r"no folder .*coco"):
        mixture(tmp_path).require_root()
