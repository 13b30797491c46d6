"""Outlines: against each class's own mask, eroded and measured one by one."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.metrics.boundary import BoundaryCounts, near_outline
from segkit.types import IGNORE_INDEX

Labels = NDArray[np.uint8]


def blobs(seed: int, classes: int = 4, size: tuple[int, int] = (48, 64)) -> Labels:
    """Smooth random regions."""
    noise = np.random.default_rng(seed).random((classes, *size)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(x, (0, 0), 5) for x in noise]).argmax(axis=0).astype(np.uint8)


def band(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The authors' definition: what an erosion by ``radius`` steps takes from a mask inside a frame of zeros."""
    framed = np.pad(mask, 1).astype(np.uint8)
    return mask & (cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=radius)[1:-1, 1:-1] == 0)


@pytest.mark.parametrize("width", [0.02, 0.05])
def test_boundary_iou_is_that_of_each_class_alone(width: float) -> None:
    counts = BoundaryCounts(4, width=width)
    both, union = np.zeros(4), np.zeros(4)
    for seed in range(3):
        preds, target = blobs(seed), blobs(seed + 10)
        target = np.where(blobs(seed + 20) == 0, preds, target)  # right in parts
        counts.update(preds, target)
        radius = round(width * math.hypot(*target.shape))
        for label in range(4):
            found, true = band(preds == label, radius), band(target == label, radius)
            both[label] += (found & true).sum()
            union[label] += (found | true).sum()
    np.testing.assert_allclose(counts.per_class()["boundary_iou"], both / union)


def test_boundary_fscore_by_hand() -> None:
    target = np.zeros((40, 40), np.uint8)
    target[10:30, 10:30] = 1
    shifted = np.roll(target, 3, axis=1)
    for tolerance, expected in (
        (1, (2 * 18 + 2) / (4 * 19)),  # columns 13 to 30 above and below, and where the upright side meets these
        (3, 1),
    ):
        counts = BoundaryCounts(2, tolerance=tolerance / math.hypot(40, 40))
        counts.update(shifted, target)
        assert counts.per_class()["boundary_fscore"][1] == pytest.approx(expected)


def test_figures_are_means_over_the_images_that_have_the_class() -> None:
    right, none = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    right[5:15, 5:15] = 2
    counts = BoundaryCounts(3)
    counts.update(right, right)
    assert counts.per_class()["boundary_fscore"].tolist()[2] == 1
    counts.update(none, right)  # missed
    counts.update(none, none)  # neither labelled nor predicted: no image of the class
    assert counts.per_class()["boundary_fscore"].tolist()[2] == 0.5
    assert np.isnan(counts.per_class()["boundary_fscore"][1])
    assert np.isnan(counts.per_class()["boundary_iou"][1])


def test_ignored_pixels_neither_count_nor_make_outlines() -> None:
    target = np.full((20, 20), 1, np.uint8)
    target[:, 8:12] = IGNORE_INDEX
    preds = np.zeros((20, 20), np.uint8)
    preds[:, :8] = preds[:, 12:] = 1
    preds[3:5, 9:10] = 2  # where nobody looks
    assert not near_outline(target, 3, image_edge=False).any()
    counts = BoundaryCounts(3)
    counts.update(preds, target)
    figures = counts.per_class()
    assert figures["boundary_iou"][1] == 1  # the band along the image's edge
    assert np.isnan(figures["boundary_fscore"]).all()
    assert np.isnan(figures["boundary_iou"][[0, 2]]).all()


def test_yes_or_no_tells_the_figures_of_yes() -> None:
    target = blobs(1, classes=2)
    counts, two = BoundaryCounts(1), BoundaryCounts(2)
    for each in (counts, two):
        each.update(blobs(2, classes=2), target)
    for name, values in counts.per_class().items():
        np.testing.assert_array_equal(values, two.per_class()[name][1:])
