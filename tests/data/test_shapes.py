"""The embedded scenes: the same everywhere, different from each other, complete."""

import zlib

import numpy as np
import pytest

from segkit.config.datasets import ShapesConfig
from segkit.data.datasets.shapes import Shapes
from segkit.errors import ConfigError
from segkit.types import IGNORE_INDEX


def test_a_sample_depends_on_seed_split_and_index_alone() -> None:
    first, again = Shapes(ShapesConfig(), "train"), Shapes(ShapesConfig(num_train=7), "train")
    _ = first[0]
    np.testing.assert_array_equal(first[3].image, again[3].image)
    np.testing.assert_array_equal(first[3].mask, again[3].mask)
    others = [Shapes(ShapesConfig(seed=1), "train")[3], Shapes(ShapesConfig(), "val")[3], first[4]]
    assert len({zlib.crc32(s.image.tobytes()) for s in [first[3], *others]}) == 4


def test_labels_of_the_first_scenes_are_those_of_every_machine() -> None:
    dataset = Shapes(ShapesConfig(), "val")
    assert [int(np.count_nonzero(dataset[i].mask)) for i in range(4)] == [4978, 5123, 4807, 2669]


def test_every_class_and_the_border_occur() -> None:
    dataset = Shapes(ShapesConfig(), "train")
    counts = sum(np.bincount(dataset[i].mask.ravel(), minlength=256) for i in range(40))
    assert (counts[:7] > 500).all()
    assert 0.01 < counts[IGNORE_INDEX] / counts.sum() < 0.15
    assert counts[7:IGNORE_INDEX].sum() == 0


@pytest.mark.parametrize("size", [(96, 128), (33, 17), (1, 1), (64, 300)])
def test_any_size(size: tuple[int, int]) -> None:
    sample = Shapes(ShapesConfig(image_size=size), "train")[0]
    assert sample.image.shape == (*size, 3)
    assert sample.mask.shape == size == sample.size


def test_an_index_past_the_end_and_an_unknown_split() -> None:
    dataset = Shapes(ShapesConfig(num_train=3), "train")
    assert len(list(dataset)) == 3
    with pytest.raises(ConfigError, match="no split 'holdout'; one of"):
        Shapes(ShapesConfig(), "holdout")
