"""Metrics of drawn labels and predictions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from differences import Difference, compare
from numpy.typing import NDArray

from segkit.metrics import ConfusionMatrix, compute_scores
from segkit.types import IGNORE_INDEX

Case = dict[str, Any]
MEANS = {"miou": "iou", "mdice": "dice", "mfscore": "fscore"}


def matches(case: Case) -> bool:
    return "settings" in case and "data_recipe" in case


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for i, setting in enumerate(case["settings"]):
        preds, target = draw(**setting["data"])
        yield compare(f"{i} input", [preds.sum(), target.sum()], setting["checksum"])
        matrix = ConfusionMatrix(setting["data"]["nc"])
        known = np.where(target == setting["data"].get("ignore", -1), IGNORE_INDEX, target)
        matrix.update(torch.from_numpy(preds.astype(np.uint8)), torch.from_numpy(known.astype(np.uint8)))
        ours = figures(matrix, setting["args"])
        for name, values in setting["results"].items():
            theirs = np.array(values, np.float64)  # null is nan
            missing = np.isnan(theirs)
            if not np.array_equal(missing, np.isnan(ours[name])):
                yield Difference(f"{i} {name}", float("inf"))
            elif not missing.all():
                yield compare(f"{i} {name}", ours[name][~missing], theirs[~missing])


def draw(
    seed: int, n: int, nc: int, h: int, w: int, agree: float, absent: tuple[int, ...] = (), ignore: int = -1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Predictions and labels as the case says: labels at random, which a share of the predictions agrees with."""
    random = np.random.RandomState(seed)
    preds, targets = [], []
    for _ in range(n):
        target = random.randint(0, nc, (h, w))
        agreed = random.rand(h, w) < agree
        pred = np.where(agreed, target, random.randint(0, nc, (h, w)))
        for c in absent:
            target[target == c] = (c + 1) % nc
            pred[pred == c] = (c + 1) % nc
        target[random.rand(h, w) < 0.1] = ignore
        preds.append(pred)
        targets.append(target)
    return np.stack(preds), np.stack(targets)


def figures(matrix: ConfusionMatrix, arguments: Case) -> dict[str, NDArray[np.float64]]:
    """The reference's figures; it leaves a class that was never right out of the F-score, and fills nan on request."""
    scores = compute_scores(matrix, beta=arguments.get("beta", 1.0), missed_fscore=np.nan)
    found = dict(scores.per_class)
    if "nan_to_num" in arguments:
        found = {name: np.nan_to_num(values, nan=arguments["nan_to_num"]) for name, values in found.items()}
    found |= {mean: np.array([np.nanmean(found[figure])]) for mean, figure in MEANS.items()}
    return found | {"all_accuracy": np.array([scores.overall["all_accuracy"]])}
