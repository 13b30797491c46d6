"""Each loss is its formula, written out on a 2 x 2 map."""

import math

import pytest
import torch

from segkit.config.losses import (
    CrossEntropyLossConfig,
    DiceLossConfig,
    FocalLossConfig,
    LovaszLossConfig,
    OHEMConfig,
    TverskyLossConfig,
)
from segkit.losses.cross_entropy import cross_entropy, hard_pixels
from segkit.registry import LOSSES
from segkit.types import IGNORE_INDEX

PROBS = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25]]
"""Softmax probabilities of three classes at four pixels."""
LABELS = [0, 1, 0, IGNORE_INDEX]
LOGITS = torch.tensor(PROBS).log().T.reshape(1, 3, 2, 2)
TARGET = torch.tensor(LABELS).reshape(1, 2, 2)


def value(config: object, num_classes: int = 3) -> float:
    return float(LOSSES.build(config, num_classes)(LOGITS[:, :num_classes], TARGET))


def test_cross_entropy() -> None:
    expected = -(math.log(0.7) + math.log(0.8) + math.log(0.3)) / 3
    assert value(CrossEntropyLossConfig()) == pytest.approx(expected)
    assert float(cross_entropy(LOGITS, TARGET)) == pytest.approx(expected)


def test_class_weights_weigh_pixels_and_the_mean() -> None:
    total = -(2 * math.log(0.7) + 0.5 * math.log(0.8) + 2 * math.log(0.3))
    weights = (2.0, 0.5, 9.0)
    assert value(CrossEntropyLossConfig(class_weights=weights)) == pytest.approx(total / 4.5)
    assert value(CrossEntropyLossConfig(class_weights=weights, weighted_mean=False)) == pytest.approx(total / 3)


def test_weights_that_sum_to_less_than_one_are_still_a_mean() -> None:
    assert value(CrossEntropyLossConfig(class_weights=(1e-4, 1e-4, 1e-4))) == pytest.approx(
        value(CrossEntropyLossConfig())
    )


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    eps = 0.3
    terms = [
        -(1 - eps) * math.log(PROBS[i][label]) - eps / 3 * sum(map(math.log, PROBS[i]))
        for i, label in enumerate(LABELS[:3])
    ]
    assert value(CrossEntropyLossConfig(label_smoothing=eps)) == pytest.approx(sum(terms) / 3)


def test_sigmoid_form_asks_each_class() -> None:
    def sigmoid(i: int, k: int) -> float:
        return PROBS[i][k] / (1 + PROBS[i][k])  # the logit is log(p)

    terms = [
        -math.log(sigmoid(i, k) if k == label else 1 - sigmoid(i, k))
        for i, label in enumerate(LABELS[:3])
        for k in range(3)
    ]
    assert value(CrossEntropyLossConfig(use_sigmoid=True)) == pytest.approx(sum(terms) / 9)


def test_one_class_is_binary_cross_entropy() -> None:
    p = [x[0] / (1 + x[0]) for x in PROBS]
    expected = -(math.log(1 - p[0]) + math.log(p[1]) + math.log(1 - p[2])) / 3
    assert value(CrossEntropyLossConfig(), num_classes=1) == pytest.approx(expected)


def test_ohem_counts_only_what_is_hard() -> None:
    hardest = -math.log(0.3)
    assert value(CrossEntropyLossConfig(ohem=OHEMConfig(threshold=0.5, min_kept=1))) == pytest.approx(hardest)
    assert value(CrossEntropyLossConfig(ohem=OHEMConfig(threshold=None, min_kept=1))) == pytest.approx(hardest)
    both = -(math.log(0.3) + math.log(0.7)) / 2
    assert value(CrossEntropyLossConfig(ohem=OHEMConfig(threshold=0.75, min_kept=1))) == pytest.approx(both)
    assert value(CrossEntropyLossConfig(ohem=OHEMConfig(threshold=None, min_kept=2))) == pytest.approx(both)


def test_ohem_keeps_its_least_number_where_all_is_easy() -> None:
    config = OHEMConfig(threshold=0.01, min_kept=2)
    assert hard_pixels(LOGITS, TARGET, config).flatten().tolist() == [True, False, True, False]


def test_ohem_of_one_class_goes_by_its_probability() -> None:
    keep = hard_pixels(LOGITS[:, :1], TARGET, OHEMConfig(threshold=0.5, min_kept=1))
    p = [x[0] / (1 + x[0]) for x in PROBS]
    assert keep.flatten().tolist() == [1 - p[0] < 0.5, p[1] < 0.5, 1 - p[2] < 0.5, False]


def test_focal_loss_fades_where_the_prediction_is_right() -> None:
    right = [PROBS[i][label] for i, label in enumerate(LABELS[:3])]
    expected = sum(-0.5 * (1 - p) ** 3 * math.log(p) for p in right) / 3
    assert value(FocalLossConfig(use_sigmoid=False, gamma=3, alpha=0.5)) == pytest.approx(expected)
    p = [x[0] / (1 + x[0]) for x in PROBS]
    no, yes, also_no = (-0.75 * p[0] ** 2 * math.log(1 - p[0]), -0.25 * (1 - p[1]) ** 2 * math.log(p[1]), 0.0)
    also_no = -0.75 * p[2] ** 2 * math.log(1 - p[2])
    assert value(FocalLossConfig(), num_classes=1) == pytest.approx((no + yes + also_no) / 3)


def test_focal_loss_without_fading_is_half_of_cross_entropy() -> None:
    plain = value(CrossEntropyLossConfig(use_sigmoid=True))
    assert value(FocalLossConfig(gamma=0, alpha=0.5)) == pytest.approx(plain / 2)


def test_dice() -> None:
    overlap = 0.7 + 0.8 + 0.3
    squares = sum(p * p for pixel in PROBS[:3] for p in pixel)
    expected = 1 - 2 * overlap / (squares + 3 + 2e-3)
    assert value(DiceLossConfig(use_sigmoid=False)) == pytest.approx(expected)
    naive = 1 - (2 * overlap + 1e-3) / (3 + 3 + 1e-3)
    assert value(DiceLossConfig(use_sigmoid=False, naive=True)) == pytest.approx(naive)


def test_tversky() -> None:
    right = [sum(PROBS[i][k] for i in range(3) if LABELS[i] == k) for k in range(3)]
    false = [sum(PROBS[i][k] for i in range(3) if LABELS[i] != k) for k in range(3)]
    missed = [sum(1 - PROBS[i][k] for i in range(3) if LABELS[i] == k) for k in range(3)]
    index = [(r + 1) / (r + 0.2 * f + 0.9 * m + 1) for r, f, m in zip(right, false, missed, strict=True)]
    assert value(TverskyLossConfig(alpha=0.2, beta=0.9)) == pytest.approx(1 - sum(index) / 3)
    weighted = sum(w * (1 - i) for w, i in zip((1, 2, 3), index, strict=True)) / 3
    assert value(TverskyLossConfig(alpha=0.2, beta=0.9, class_weights=(1, 2, 3))) == pytest.approx(weighted)


@pytest.mark.parametrize("classes", ["present", "all", (0, 2)])
def test_lovasz_of_a_sure_prediction_is_one_minus_iou(classes: str | tuple[int, ...]) -> None:
    preds = torch.tensor([[[0, 0, 1, 2], [1, 1, 1, 0]]])
    target = torch.tensor([[[0, 1, 1, IGNORE_INDEX], [1, 0, 1, 0]]])
    logits = 100 * torch.nn.functional.one_hot(preds, 3).movedim(-1, 1).float()
    losses = [1 - 2 / 4, 1 - 3 / 5, 0.0]  # class 2 is neither predicted nor true
    chosen = {"present": losses[:2], "all": losses, (0, 2): [losses[0], losses[2]]}[classes]
    loss = LOSSES.build(LovaszLossConfig(classes=classes), 3)
    assert float(loss(logits, target)) == pytest.approx(sum(chosen) / len(chosen))
