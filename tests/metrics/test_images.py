"""Single images, and comparing two models over them."""

import numpy as np
import pytest
import torch

from segkit.metrics import ConfusionMatrix, compute_scores
from segkit.metrics.confusion import mean_iou
from segkit.metrics.images import ImageScores, compare
from segkit.types import IGNORE_INDEX


def maps(seed: int, right: float, count: int = 30, classes: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        target = rng.integers(0, classes, (8, 9)).astype(np.uint8)
        target[0, :2] = IGNORE_INDEX
        preds = np.where(rng.random((8, 9)) < right, target, rng.integers(0, classes, (8, 9)))
        pairs.append(
            (torch.from_numpy(np.where(preds == IGNORE_INDEX, 0, preds).astype(np.uint8)), torch.from_numpy(target))
        )
    return pairs


def scored(pairs: list[tuple[torch.Tensor, torch.Tensor]], classes: int = 3) -> ImageScores:
    counts = torch.stack([ConfusionMatrix(classes).update(preds, target) for preds, target in pairs])
    return ImageScores(tuple(map(str, range(len(pairs)))), counts.numpy())


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_counts_of_images_sum_to_those_of_the_split(classes: int) -> None:
    pairs = maps(0, 0.7, classes=max(classes, 2))
    matrix = ConfusionMatrix(classes)
    for preds, target in pairs:
        matrix.update(preds, target)
    total = scored(pairs, classes).counts.sum(axis=0)
    assert mean_iou(torch.from_numpy(total)).item() == pytest.approx(compute_scores(matrix).overall["miou"])


def test_worst_and_best() -> None:
    target = torch.tensor([[0, 0, 1, 1]], dtype=torch.uint8)
    answers = [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]]
    pairs = [(torch.tensor([row], dtype=torch.uint8), target) for row in answers]
    pairs.append((pairs[0][0], torch.full_like(target, IGNORE_INDEX)))
    scores = scored(pairs, 2)
    assert scores.worst(2) == [1, 2]
    assert scores.best(5) == [0, 2, 1]
    assert scores.miou[:3] == pytest.approx([1, 0, (1 / 2 + 2 / 3) / 2])
    assert np.isnan(scores.miou[3])


def test_a_better_model_is_told_from_chance() -> None:
    first, second, other = scored(maps(1, 0.6)), scored(maps(1, 0.9)), scored(maps(2, 0.6))
    found = compare(first, second)
    assert found.difference.low > 0
    assert found.share_better == 1
    assert found.first.low < found.first.value < found.first.high
    assert found.difference.value == pytest.approx(found.second.value - found.first.value)
    assert found == compare(first, second)
    chance = compare(first, other)
    assert chance.difference.low < 0 < chance.difference.high
    same = compare(first, first)
    assert same.difference == (0, 0, 0)


def test_resamples_are_paired_draws_of_whole_images() -> None:
    scores = scored(maps(3, 0.7, count=4))
    found = compare(scores, scored(maps(3, 0.8, count=4)), resamples=1, seed=5)
    draw = np.random.default_rng(5).multinomial(4, [0.25] * 4, size=1)[0]
    expected = mean_iou(torch.from_numpy(np.repeat(scores.counts, draw, axis=0).sum(axis=0)).double())
    assert found.first.low == pytest.approx(expected.item())


def test_other_images_are_refused() -> None:
    scores = scored(maps(0, 0.5, count=2))
    with pytest.raises(ValueError, match="different images"):
        compare(scores, ImageScores(("a", "b"), scores.counts))
