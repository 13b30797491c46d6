"""MMSegmentation's losses by themselves, and their gradients.

Deviations of ours that are undone here: a mean is over the pixels that count, there over all of them unless
``avg_non_ignore``; and pixels that do not count are left out of Dice, where there they stay among the predictions.
Losses without a counterpart are not compared: see ``LEFT_OUT``.
"""

from collections.abc import Callable, Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare
from torch import Tensor

from kinds.losses import inputs as reference_inputs
from segkit.config.losses import OHEMConfig
from segkit.losses.cross_entropy import binary_cross_entropy_terms, cross_entropy_terms, hard_pixels
from segkit.losses.dice import dice_terms
from segkit.losses.lovasz import lovasz_hinge_terms, lovasz_softmax_terms
from segkit.losses.terms import Terms, one_hot
from segkit.losses.tversky import tversky_terms

Case = dict[str, Any]

LEFT_OUT = {"FocalLoss", "BoundaryLoss", "HuasdorffDisstanceLoss", "SiLogLoss"}


def matches(case: Case) -> bool:
    return "refused_by_the_reference" in case and "multi_valid" in case.get("inputs", {})


@torch.enable_grad()
def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for setting in case["settings"]:
        if setting["type"] in LEFT_OUT or setting["inputs"] == "multi_onehot":
            continue
        key, arguments = setting["key"], setting["args"]
        logits, target = inputs(setting["inputs"])
        logits.requires_grad_()
        ignored = setting["call"].get("ignore_index", arguments.get("ignore_index", 255))
        values = TERMS[setting["type"]](arguments, logits, target, ignored, weight(setting["weight"]))
        values = values * arguments.get("loss_weight", 1.0)
        values = values.squeeze() if values.numel() == 1 else values
        if "value" in setting:
            yield compare(key, values.detach(), setting["value"])
        else:
            stored = arrays[key]
            yield compare(key, values.detach().flatten()[: stored.size].view(stored.shape), stored)
        gradient = torch.autograd.grad(values.sum(), logits)[0]
        yield compare(f"{key} gradient", gradient.abs().sum(), setting["grad_sum_abs"])
        yield compare(f"{key} gradient's deviation", gradient.std(correction=0), setting["grad_std"])


def inputs(name: str) -> tuple[Tensor, Tensor]:
    """Logits and labels; "valid" ones have no ignored pixels."""
    logits, target = reference_inputs(name.replace("valid", "index"))
    return logits, target.masked_fill(target == 255, 0) if name.endswith("valid") else target


def weight(name: str | None) -> Tensor | None:
    return None if name is None else torch.from_numpy(fill.image((2, 17, 19), seed=5)).abs()


def reduced(arguments: Case, values: Tensor, total: Tensor | float) -> Tensor:
    match arguments.get("reduction", "mean"):
        case "sum":
            return values.sum()
        case "none":
            return values
    return values.sum() / total


def cross_entropy(arguments: Case, logits: Tensor, target: Tensor, ignored: int, weight: Tensor | None) -> Tensor:
    weights = None if arguments.get("class_weight") is None else torch.tensor(arguments["class_weight"])
    valid_only = arguments.get("avg_non_ignore", False)
    if arguments.get("use_sigmoid"):
        truth, keep = one_hot(target, logits.shape[1], ignored)
        terms = binary_cross_entropy_terms(logits, truth, keep, class_weights=weights)
        values = terms.values if logits.shape[1] > 1 else terms.values[:, 0]
        return reduced(arguments, values, keep.expand_as(logits).sum() if valid_only else logits.numel())
    keep = target != ignored
    values = cross_entropy_terms(logits, target, keep, class_weights=weights).values
    if weight is not None:
        values = values * weight
    if weights is not None:
        counted = keep if valid_only else torch.ones_like(keep)
        total = (weights[target.clamp(max=len(weights) - 1)] * counted).sum()
    else:
        total = keep.sum() if valid_only else torch.tensor(keep.numel())
    return reduced(arguments, values, total)


def dice(arguments: Case, logits: Tensor, target: Tensor, ignored: int, weight: Tensor | None) -> Tensor:
    ignored = arguments.get("ignore_index", 255)
    truth, _ = one_hot(target, max(logits.shape[1], 2))
    truth = truth[:, : logits.shape[1]]
    if arguments.get("activate", True):
        binary = arguments.get("use_sigmoid", True)
        logits = logits.sigmoid() if binary else logits.softmax(1) if logits.shape[1] > 1 else logits
    if ignored < logits.shape[1]:
        rest = [i for i in range(logits.shape[1]) if i != ignored]
        logits, truth = logits[:, rest], truth[:, rest]
    everything = torch.ones_like(truth[:, :1], dtype=torch.bool)
    options = {"naive": arguments.get("naive_dice", False), "eps": arguments.get("eps", 1e-3)}
    return mean_of(arguments, dice_terms(logits, truth, everything, **options))


def lovasz(arguments: Case, logits: Tensor, target: Tensor, ignored: int, weight: Tensor | None) -> Tensor:
    truth, keep = one_hot(target, logits.shape[1], ignored)
    chosen, per_image = arguments.get("classes", "present"), arguments.get("per_image", False)
    if arguments.get("loss_type") == "binary":
        margins = torch.where(truth > 0, logits.clamp(max=1), logits.clamp(min=-1))  # ours are of probabilities
        return mean_of(arguments, lovasz_hinge_terms(margins, truth, keep, classes=chosen, per_image=per_image))
    probs = logits.softmax(1)
    if arguments.get("class_weight") is None:
        return mean_of(arguments, lovasz_softmax_terms(probs, truth, keep, classes=chosen, per_image=per_image))
    # The weights are factors there; here they are those of a mean.
    each = [lovasz_softmax_terms(probs, truth, keep, classes=[c], per_image=per_image).values for c in range(5)]
    there = truth.flatten(2).amax(2) if per_image else truth.flatten(2).amax((0, 2))[None]  # (G, K)
    values = (torch.stack(each, 1) * there * torch.tensor(arguments["class_weight"])).sum(1) / there.sum(1)
    return reduced(arguments, values, len(values))


def tversky(arguments: Case, logits: Tensor, target: Tensor, ignored: int, weight: Tensor | None) -> Tensor:
    classes, ignored = logits.shape[1], arguments.get("ignore_index", 255)
    weights = torch.tensor(arguments.get("class_weight") or [1.0] * classes)
    if ignored < classes:  # its pixels and its class do not count, but the others are the last class
        weights[ignored] = 0
        target = target.clamp(max=classes - 1)
    truth, keep = one_hot(target, classes, ignored)
    options = {name: arguments[name] for name in ("alpha", "beta", "smooth") if name in arguments}
    return mean_of(arguments, tversky_terms(logits.softmax(1), truth, keep, class_weights=weights, **options))


def hard(arguments: Case, logits: Tensor, target: Tensor, ignored: int, weight: Tensor | None) -> Tensor:
    weights = None if arguments.get("class_weight") is None else torch.tensor(arguments["class_weight"])
    per_image = max(arguments["min_kept"] // len(logits), 1)
    keep = hard_pixels(logits, target, OHEMConfig(threshold=arguments["thres"], min_kept=per_image))
    return cross_entropy_terms(logits, target, keep, class_weights=weights, weighted_mean=False).mean()


def mean_of(arguments: Case, terms: Terms) -> Tensor:
    return reduced(arguments, terms.values, terms.total)


TERMS: dict[str, Callable[[Case, Tensor, Tensor, int, Tensor | None], Tensor]] = {
    "CrossEntropyLoss": cross_entropy,
    "DiceLoss": dice,
    "LovaszLoss": lovasz,
    "TverskyLoss": tversky,
    "OhemCrossEntropy": hard,
}
