"""Online hard example mining: which pixels are kept, and the loss over them. Point sampling has no user here yet."""

from collections.abc import Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare

from segkit.config.losses import OHEMConfig
from segkit.losses.cross_entropy import cross_entropy_terms, hard_pixels

Case = dict[str, Any]


def matches(case: Case) -> bool:
    return "ohem" in case


def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    logits = 2 * torch.from_numpy(fill.image((2, 5, 17, 19)))
    target = torch.from_numpy(fill.target(2, 17, 19, 5))
    for i, setting in enumerate(case["ohem"]):
        arguments = setting["args"]
        config = OHEMConfig(threshold=arguments["thresh"], min_kept=arguments["min_kept_per_image"])
        keep = hard_pixels(logits, target, config, arguments["ignore_index"])
        kept = logits.movedim(1, -1)[keep]
        ours = {
            "kept": keep.sum(),
            "kept_per_class": target[keep].bincount(minlength=5),
            "logits_sum": kept.double().sum(),
            "logits_sum_abs": kept.double().abs().sum(),
            "ce_on_kept": cross_entropy_terms(logits, target, keep).mean(),
        }
        for name, value in ours.items():
            yield compare(f"{i} {name}", value, setting[name])
