"""Losses of SSSegmentation: their arguments to ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.errors import ConfigError, Problem

Tree = dict[str, Any]

_COMMON = {"scale_factor": "weight", "lowest_loss_value": "flooding"}
_WEIGHTED = _COMMON | {"class_weight": "class_weights", "norm_loss_with_class_weight": "weighted_mean"}
_SIGMOID = {"use_sigmoid": "use_sigmoid"}
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "CrossEntropyLoss": _WEIGHTED | _SIGMOID | {"label_smoothing": "label_smoothing"},
    "FocalLoss": _WEIGHTED | _SIGMOID | {"gamma": "gamma", "alpha": "alpha"},
    "DiceLoss": _COMMON | _SIGMOID | {"naive_dice": "naive", "eps": "eps"},
    "LovaszLoss": _COMMON
    | _SIGMOID
    | {"classes": "classes", "per_image": "per_image", "class_weight": "class_weights"},
}
_IGNORED = ("type", "ignore_index")
"""Labels to ignore have one value here, set where they are read."""
_FIXED = {"reduction": "mean", "activate": True}
"""Arguments with one value that we have."""


def losses_tree(losses: Mapping[str, Any] | Sequence[Mapping[str, Any]], sampler: Mapping[str, Any] | None) -> Tree:
    """The losses of one output as our config: one, or several by name.

    Args:
        losses: one loss or a list, which is summed.
        sampler: their pixel sampler; it chooses the pixels of every loss.
    """
    if isinstance(losses, Mapping):
        return loss_tree(losses, sampler)
    if len(losses) == 1:
        return loss_tree(losses[0], sampler)
    trees = [loss_tree(loss, sampler) for loss in losses]
    names = [tree["type"].removesuffix("Loss").lower() for tree in trees]
    return {name if names.count(name) == 1 else f"{name}{i}": trees[i] for i, name in enumerate(names)}


def loss_tree(loss: Mapping[str, Any], sampler: Mapping[str, Any] | None = None) -> Tree:
    """One loss as our config.

    Raises:
        ConfigError: if the loss or an argument has no counterpart here.
    """
    kind = loss["type"]
    if kind not in _ARGUMENTS:
        raise ConfigError([Problem("losses", f"no loss here is {kind}; one of {', '.join(_ARGUMENTS)}")])
    names = _ARGUMENTS[kind]
    problems = [
        Problem(f"losses.{kind}.{name}", f"has no counterpart here (got {value!r})")
        for name, value in loss.items()
        if name not in names and name not in _IGNORED and not (name in _FIXED and _FIXED[name] == value)
    ]
    if problems:
        raise ConfigError(problems)
    tree: Tree = {"type": kind, "weight": 1.0} | {names[name]: value for name, value in loss.items() if name in names}
    if tree.get("label_smoothing", 0) is None:
        del tree["label_smoothing"]
    if sampler is not None:
        tree["ohem"] = _ohem(kind, sampler)
    return tree


def _ohem(kind: str, sampler: Mapping[str, Any]) -> Tree:
    if kind != "CrossEntropyLoss" or sampler["type"] != "OHEMPixelSampler":
        raise ConfigError([Problem("head.pixelsampler", f"{sampler['type']} with {kind} has no counterpart here")])
    return {"threshold": sampler.get("thresh"), "min_kept": sampler.get("min_kept_per_image", 100_000)}
