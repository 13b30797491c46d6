"""MMSegmentation's IoUMetric: shares of each class, and means in percent with two decimals.

Deviations of ours that are undone here: a class that is never right has an F-score of 0, there nan; and only the means
replace nan by ``nan_to_num``, as every figure does there.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from differences import Difference, compare

from kinds.evaluation import compare_defined, images
from segkit.metrics import ConfusionMatrix, compute_scores
from segkit.types import IGNORE_INDEX

Case = dict[str, Any]

_NAMES = {
    "IoU": "iou", "Acc": "accuracy", "Dice": "dice", "Fscore": "fscore", "Precision": "precision", "Recall": "recall"
}  # fmt: skip


def matches(case: Case) -> bool:
    return "iou_metrics" in (case.get("settings") or [{}])[0].get("args", {})


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for number, setting in enumerate(case["settings"]):
        data, arguments = setting["data"], setting["args"]
        matrix = ConfusionMatrix(data["nc"])
        sums = np.zeros(2, np.int64)
        for preds, labels in images(data | {"ignore": IGNORE_INDEX}):
            sums += preds.sum(), labels.sum()
            matrix.update(torch.from_numpy(preds.astype(np.uint8)), torch.from_numpy(labels.astype(np.uint8)))
        yield compare(f"{number} inputs", sums, setting["checksum"])
        scores = compute_scores(matrix, beta=arguments.get("beta", 1.0), missed_fscore=math.nan)
        replacement = arguments.get("nan_to_num")
        ours = {
            name: _filled(scores.per_class[_NAMES[name]], replacement)
            for name in setting["per_class"]
            if name != "aAcc"
        }
        ours["aAcc"] = np.array([scores.overall["all_accuracy"]])
        for name, values in setting["per_class"].items():
            yield compare_defined(f"{number} {name}", ours[name], np.array(values, np.float64))
        for name, value in setting["summary"].items():
            mean = 100 * np.nanmean(ours[name if name == "aAcc" else name.removeprefix("m")])
            yield Difference(f"{number} {name}", max(0.0, abs(float(mean) - value) - 0.00501))  # they are rounded


def _filled(values: Any, replacement: float | None) -> Any:
    return values if replacement is None else np.nan_to_num(values, nan=replacement)
