"""Figures by hand, and their edge cases."""

import math

import numpy as np
import pytest
import torch

from segkit.metrics import ConfusionMatrix, compute_scores


def matrix(counts: list[list[int]], num_classes: int | None = None) -> ConfusionMatrix:
    made = ConfusionMatrix(num_classes or len(counts))
    for label, row in enumerate(counts):
        for pred, count in enumerate(row):
            made.update(torch.full((count,), pred, dtype=torch.uint8), torch.full((count,), label, dtype=torch.uint8))
    return made


def test_figures_by_hand() -> None:
    scores = compute_scores(matrix([[6, 2], [1, 3]]))
    for figure, expected in {
        "iou": [6 / 9, 3 / 6],
        "accuracy": [6 / 8, 3 / 4],
        "recall": [6 / 8, 3 / 4],
        "precision": [6 / 7, 3 / 5],
        "dice": [12 / 15, 6 / 9],
        "fscore": [12 / 15, 6 / 9],
    }.items():
        np.testing.assert_allclose(scores.per_class[figure], expected)
    assert scores.overall == pytest.approx(
        {
            "all_accuracy": 9 / 12,
            "fwiou": (8 * 6 / 9 + 4 * 3 / 6) / 12,
            "miou": (6 / 9 + 3 / 6) / 2,
            "macc": 3 / 4,
            "mdice": (12 / 15 + 6 / 9) / 2,
            "mfscore": (12 / 15 + 6 / 9) / 2,
            "mprecision": (6 / 7 + 3 / 5) / 2,
            "mrecall": 3 / 4,
        }
    )
    assert scores.support.tolist() == [8, 4]


def test_beta_weighs_the_recall() -> None:
    recall, precision = 6 / 8, 6 / 7
    scores = compute_scores(matrix([[6, 2], [1, 3]]), beta=2.0)
    assert scores.per_class["fscore"][0] == pytest.approx(5 * precision * recall / (4 * precision + recall))


def test_absent_classes_are_left_out_of_the_means() -> None:
    scores = compute_scores(matrix([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert all(math.isnan(values[2]) for values in scores.per_class.values())
    assert scores.overall["miou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert scores.overall["fwiou"] == pytest.approx((4 * 3 / 4 + 4 * 4 / 5) / 8)


def test_a_missed_class_counts_as_zero() -> None:
    missed = matrix([[4, 0], [2, 0]])  # class 1 is labelled, never predicted
    scores = compute_scores(missed)
    assert scores.per_class["iou"][1] == scores.per_class["fscore"][1] == 0
    assert math.isnan(scores.per_class["precision"][1])
    assert math.isnan(compute_scores(missed, missed_fscore=math.nan).per_class["fscore"][1])


def test_yes_or_no_is_judged_by_yes() -> None:
    scores = compute_scores(matrix([[90, 2], [3, 5]], num_classes=1))
    assert scores.per_class["iou"].tolist() == [pytest.approx(5 / 10)]
    assert scores.overall["miou"] == pytest.approx(5 / 10)
    assert scores.overall["all_accuracy"] == pytest.approx(95 / 100)
    assert scores.support.tolist() == [8]


def test_nothing_labelled_gives_nan_and_no_warning() -> None:
    scores = compute_scores(ConfusionMatrix(3))
    assert all(math.isnan(value) for value in scores.overall.values())
