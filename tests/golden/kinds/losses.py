"""Losses by themselves, with index, one-hot, flattened and one-channel targets, and their gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import fill
import torch
from differences import Difference, compare
from torch import Tensor

from segkit.losses.cross_entropy import binary_cross_entropy_terms, cross_entropy_terms
from segkit.losses.dense import cosine_terms, divergence_terms, l1_terms, squared_terms
from segkit.losses.dice import dice_terms
from segkit.losses.focal import FocalOptions, sigmoid_focal_terms, softmax_focal_terms
from segkit.losses.lovasz import lovasz_hinge_terms, lovasz_softmax_terms
from segkit.losses.terms import Terms, one_hot

Case = dict[str, Any]
Arguments = dict[str, Any]


def matches(case: Case) -> bool:
    return "settings" in case and {"multi_onehot", "multi_flat"} <= case.get("inputs", {}).keys()


@torch.enable_grad()
def compare_case(case: Case, arrays: Case) -> Iterator[Difference]:
    for setting in case["settings"]:
        key, arguments = setting["key"], setting["args"]
        logits, target = inputs(setting["inputs"])
        logits.requires_grad_()
        terms = TERMS[setting["type"]](arguments, logits, target)
        values = reduce(arguments, terms, weight(setting["weight"]))
        yield compare(key, values.detach().flatten()[: arrays[key].size].view(arrays[key].shape), arrays[key])
        gradient = torch.autograd.grad(values.sum(), logits)[0]
        yield compare(f"{key} gradient", gradient.abs().sum(), setting["grad_sum_abs"])
        yield compare(f"{key} gradient's deviation", gradient.std(correction=0), setting["grad_std"])


def inputs(name: str) -> tuple[Tensor, Tensor]:
    """What a setting computes the loss of; the target may be labels or a map like the logits."""
    channels = 1 if name == "binary_index" else 5
    logits = torch.from_numpy(fill.image((2, channels, 17, 19)))
    labels = torch.from_numpy(fill.target(2, 17, 19, max(channels, 2)))
    match name:
        case "multi_index" | "binary_index":
            return logits, labels
        case "multi_flat":
            return logits.movedim(1, -1).reshape(-1, channels), labels.flatten()
        case "multi_onehot":
            return logits, one_hot(labels, channels)[0]
        case "dense_pair":
            return logits, torch.from_numpy(fill.image((2, channels, 17, 19), seed=4))
    raise ValueError(name)


def weight(name: str | None) -> Tensor | None:
    """Weights of pixels."""
    if name is None:
        return None
    return torch.from_numpy(fill.image((2, 17, 19) if name == "pixel" else (2, 1, 17, 19), seed=5)).abs()


def reduce(arguments: Arguments, terms: Terms, weight: Tensor | None) -> Tensor:
    """The reference's reductions, its factor, and flooding; ours has means only."""
    values = terms.values if weight is None else terms.values * weight
    match arguments.get("reduction", "mean"):
        case "mean":
            values = Terms(values, terms.total).mean()
        case "sum":
            values = values.sum()
        case "batchmean":
            values = values.sum() / len(values)
    values = arguments.get("scale_factor", 1.0) * values
    floor = arguments.get("lowest_loss_value")
    return values if floor is None else (values - floor).abs() + floor


def parts(arguments: Arguments, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, truth as a map like them, and which pixels count.

    With a map for a target the reference counts every pixel, and drops the channel whose number is to be ignored.
    """
    ignore = arguments.get("ignore_index", -100)
    if target.shape != logits.shape:
        return logits, *one_hot(target, logits.shape[1], ignore)
    if 0 <= ignore < logits.shape[1]:
        rest = [i for i in range(logits.shape[1]) if i != ignore]
        logits, target = logits[:, rest], target[:, rest]
    return logits, target, torch.ones_like(target[:, :1], dtype=torch.bool)


def class_weighting(arguments: Arguments) -> tuple[Tensor | None, bool]:
    weights = arguments.get("class_weight")
    return None if weights is None else torch.tensor(weights), arguments.get("norm_loss_with_class_weight", True)


def softmax_terms(
    arguments: Arguments, logits: Tensor, target: Tensor, form: Callable[[Tensor, Tensor, Tensor], Terms]
) -> Terms:
    """A loss over the classes; of a one-hot map, whose empty pixels are 0 but counted unless classes are weighted."""
    if target.shape != logits.shape:
        return form(logits, target, target != arguments.get("ignore_index", -100))
    logits, truth, _ = parts(arguments, logits, target)
    terms = form(logits, truth.argmax(1), truth.sum(1) > 0)
    weighted, weighted_mean = class_weighting(arguments)
    everything = torch.tensor(float(truth[:, 0].numel()))
    return terms if weighted is not None and weighted_mean else Terms(terms.values, everything)


def cross_entropy(arguments: Arguments, logits: Tensor, target: Tensor) -> Terms:
    weights, weighted_mean = class_weighting(arguments)
    if arguments.get("use_sigmoid", False):
        logits, truth, keep = parts(arguments, logits, target)
        return binary_cross_entropy_terms(logits, truth, keep, class_weights=weights, weighted_mean=weighted_mean)

    def form(logits: Tensor, labels: Tensor, keep: Tensor) -> Terms:
        return cross_entropy_terms(
            logits,
            labels,
            keep,
            class_weights=weights,
            weighted_mean=weighted_mean,
            label_smoothing=arguments.get("label_smoothing") or 0.0,
        )

    return softmax_terms(arguments, logits, target, form)


def focal(arguments: Arguments, logits: Tensor, target: Tensor) -> Terms:
    options = FocalOptions(arguments.get("gamma", 2.0), arguments.get("alpha", 0.25), *class_weighting(arguments))
    if arguments.get("use_sigmoid", True):
        return sigmoid_focal_terms(*parts(arguments, logits, target), options)
    return softmax_terms(arguments, logits, target, lambda *args: softmax_focal_terms(*args, options))


def dice(arguments: Arguments, logits: Tensor, target: Tensor) -> Terms:
    logits, truth, keep = parts(arguments, logits, target)
    if arguments.get("activate", True):
        sigmoid = arguments.get("use_sigmoid", True) or logits.shape[1] == 1
        logits = logits.sigmoid() if sigmoid else logits.softmax(1)
    return dice_terms(logits, truth, keep, naive=arguments.get("naive_dice", False), eps=arguments.get("eps", 1e-3))


def lovasz(arguments: Arguments, logits: Tensor, target: Tensor) -> Terms:
    logits, truth, keep = parts(arguments, logits, target)
    sigmoid = arguments.get("use_sigmoid", False)
    form = lovasz_hinge_terms if sigmoid else lovasz_softmax_terms
    return form(
        logits.sigmoid() if sigmoid else logits.softmax(1),
        truth,
        keep,
        classes=arguments.get("classes", "present"),
        per_image=arguments.get("per_image", False),
        class_weights=class_weighting(arguments)[0],
    )


TERMS: dict[str, Callable[[Arguments, Tensor, Tensor], Terms]] = {
    "CrossEntropyLoss": cross_entropy,
    "FocalLoss": focal,
    "DiceLoss": dice,
    "LovaszLoss": lovasz,
    "L1Loss": lambda _, x, y: l1_terms(x, y),
    "MSELoss": lambda _, x, y: squared_terms(x, y),
    "CosineSimilarityLoss": lambda _, x, y: cosine_terms(x, y),
    "KLDivLoss": lambda arguments, x, y: divergence_terms(x, y, temperature=arguments.get("temperature", 1.0)),
}
