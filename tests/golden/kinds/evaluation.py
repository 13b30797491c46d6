"""Figures from predictions and labels. Deviation: a class that is never right has an F-score of 0 here, and nan there.

So these figures are compared with ``missed_fscore`` at nan. Its default of 0 is in ``docs/differences.md``.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from differences import Difference, compare

from segkit.metrics import ConfusionMatrix, compute_scores
from segkit.types import IGNORE_INDEX

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return {"data", "results"} <= (case.get("settings") or [{}])[0].keys()


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for number, setting in enumerate(case["settings"]):
        data, arguments = setting["data"], setting["args"]
        matrix = ConfusionMatrix(data["nc"])
        sums = np.zeros(2, np.int64)
        for preds, labels in images(data):
            sums += preds.sum(), labels.sum()
            ours = np.where((labels >= 0) & (labels < data["nc"]), labels, IGNORE_INDEX)
            matrix.update(torch.from_numpy(preds.astype(np.uint8)), torch.from_numpy(ours.astype(np.uint8)))
        yield compare(f"{number} inputs", sums, setting["checksum"])
        scores = compute_scores(matrix, beta=arguments.get("beta", 1.0), missed_fscore=math.nan)
        for name, values in setting["results"].items():
            ours = _figure(scores, name, arguments.get("nan_to_num"))
            yield compare_defined(f"{number} {name}", ours, np.array(values, np.float64))


def images(data: Case) -> Iterator[tuple[Any, Any]]:
    """Pairs (predictions, labels), as the case's ``data_recipe`` says."""
    draws = np.random.RandomState(data["seed"])
    classes, shape = data["nc"], (data["h"], data["w"])
    for _ in range(data["n"]):
        labels = draws.randint(0, classes, shape)
        right, others = draws.rand(*shape) < data["agree"], draws.randint(0, classes, shape)
        preds = np.where(right, labels, others)
        for absent in data.get("absent", ()):
            labels[labels == absent] = preds[preds == absent] = (absent + 1) % classes
        labels[draws.rand(*shape) < 0.1] = data.get("ignore", -1)
        yield preds, labels


def _figure(scores: Any, name: str, replacement: float | None) -> Any:
    """One figure as the reference gives it: a list, with nan replaced before the mean where that was asked for."""
    if name == "all_accuracy":
        return np.array([scores.overall[name]])
    per_class = scores.per_class.get(name.removeprefix("m") if name in ("miou", "mdice", "mfscore") else name)
    if replacement is not None:
        per_class = np.nan_to_num(per_class, nan=replacement)
        return np.array([per_class.mean()]) if name.startswith("m") else per_class
    return np.array([scores.overall[name]]) if name.startswith("m") else per_class


def compare_defined(name: str, ours: Any, theirs: Any) -> Difference:
    """Compares where a figure is defined, which must be the same places."""
    if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any():
        return Difference(name, float("inf"))
    return compare(name, np.nan_to_num(ours), np.nan_to_num(theirs))
