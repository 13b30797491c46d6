"""The look-up table from label values to class ids."""

import pickle
import re
from typing import Any

import numpy as np
import pytest

from segkit.data.labels import LabelMap, UnknownLabelError, require_classes
from segkit.errors import ConfigError, DatasetError
from segkit.types import IGNORE_INDEX, Sample

SHIFTED = {0: "ignore", 1: 0, 2: 1, 3: 2}


def test_values_become_ids_at_once() -> None:
    swap = LabelMap({0: 1, 1: 0, 2: 2}, 3)  # one after the other, this would collapse
    assert swap(np.array([[0, 1, 2]], np.uint8), "x").tolist() == [[1, 0, 2]]
    assert LabelMap(SHIFTED, 3)(np.array([[0, 1, 3]], np.uint8), "x").tolist() == [[IGNORE_INDEX, 0, 2]]


def test_16_bit_values_are_mapped() -> None:
    mapped = LabelMap({1000: 0, 40000: 1, 65535: "ignore"}, 2)(np.array([[1000, 40000, 65535]], np.uint16), "x")
    assert mapped.tolist() == [[0, 1, IGNORE_INDEX]]
    assert mapped.dtype == np.uint8


def test_unknown_values_name_file_value_count_and_the_line_to_paste() -> None:
    label = np.array([[0, 1, 7], [7, 9, 1]], np.uint8)
    with pytest.raises(UnknownLabelError) as caught:
        LabelMap(SHIFTED, 3)(label, "dir/a.png")
    assert caught.value.counts == {7: 2, 9: 1}
    assert str(caught.value) == (
        "dir/a.png: label values 7 (2 pixels), 9 (1 pixels) are neither a class (0 to 2) nor ignored; "
        "if they do not count: `label_map: {0: ignore, 1: 0, 2: 1, 3: 2, 7: ignore, 9: ignore}`"
    )
    copy = pickle.loads(pickle.dumps(caught.value))  # workers send it
    assert (str(copy), copy.counts) == (str(caught.value), caught.value.counts)


def test_unknown_values_can_be_ignored() -> None:
    mapped = LabelMap(SHIFTED, 3, ignore_unknown=True)(np.array([[1, 200]], np.uint8), "x")
    assert mapped.tolist() == [[0, IGNORE_INDEX]]


def test_a_0_and_255_mask_of_one_class_gets_its_own_advice() -> None:
    with pytest.raises(UnknownLabelError, match=r"a mask of 0 and 255 needs `label_map: \{0: 0, 255: 1\}`"):
        LabelMap({0: 0, 1: 1}, 1)(np.array([[0, 255]], np.uint8), "x")


def test_the_inverse_takes_the_smallest_value() -> None:
    assert LabelMap({9: 0, 4: 0, 5: 1, 0: "ignore"}, 2).inverse == {0: 4, 1: 5}


def test_impossible_maps_are_refused() -> None:
    with pytest.raises(ConfigError, match="class 3 does not exist; ids are 0 to 2"):
        LabelMap({0: 3}, 3)
    with pytest.raises(ConfigError, match="at most 254"):
        LabelMap({}, 255)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((4, 4), 3, np.uint8), "x: label ids must be 0 to 2, or 255 to be ignored (got 3 (16 pixels))"),
        (np.full((4, 4), 254, np.uint8), "got 254 (16 pixels)"),
        (np.zeros((4, 4), np.int64), "x: a label must be uint8 class ids (got int64)"),
    ],
)
def test_labels_that_nobody_mapped_are_looked_through(mask: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=re.escape(message)):
        require_classes(Sample("x", np.zeros((4, 4, 3), np.uint8), mask), 3)


def test_good_labels_pass() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert require_classes(Sample("x", np.zeros((2, 2, 3), np.uint8), mask), 3).mask is mask
    assert require_classes(Sample("x", np.zeros((2, 2, 3), np.uint8), None), 3).mask is None
