"""Calibration error: against the formula, pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from segkit.metrics.calibration import Calibration
from segkit.types import IGNORE_INDEX


def test_error_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.random((3, 20, 30)).astype(np.float32)
    preds = rng.integers(0, 5, (3, 20, 30)).astype(np.uint8)
    target = np.where(rng.random((3, 20, 30)) < 0.6, preds, rng.integers(0, 5, (3, 20, 30))).astype(np.uint8)
    target[0, :4] = IGNORE_INDEX
    counted = Calibration(5, bins=10)
    for image in range(3):
        counted.update(*(torch.from_numpy(x[image]) for x in (confidences, preds, target)))
    valid = target != IGNORE_INDEX
    right, sure = (preds == target)[valid], confidences[valid]
    expected = 0.0
    for index in range(10):
        inside = (sure >= index / 10) & (sure < (index + 1) / 10)
        expected += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert counted.error == pytest.approx(expected, abs=2e-4)  # fixed point: a pixel at a bin's bound may change sides
    assert counted.curve()[2].sum() == valid.sum()


def test_sure_and_right_is_no_error_and_sure_and_wrong_is_all() -> None:
    ones, labels = torch.ones(4, 4), torch.zeros(4, 4, dtype=torch.uint8)
    for preds, error in ((labels, 0.0), (labels + 1, 1.0)):
        counted = Calibration(2)
        counted.update(ones, preds, labels)
        assert counted.error == error


def test_nothing_labelled_has_no_error() -> None:
    counted = Calibration(2)
    counted.update(
        torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.uint8), torch.full((2, 2), IGNORE_INDEX, dtype=torch.uint8)
    )
    assert math.isnan(counted.error)
