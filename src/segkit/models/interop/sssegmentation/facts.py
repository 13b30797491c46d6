"""Settings of an SSSegmentation model, as plain data, to our config."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from segkit.config.component import adapter, to_plain
from segkit.config.problems import word_errors
from segkit.config.segmentor import SegmentorConfig
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem
from segkit.models.interop.sssegmentation.backbones import backbone_config
from segkit.models.interop.sssegmentation.heads import SEGMENTORS
from segkit.models.interop.sssegmentation.losses import losses_tree

Tree = dict[str, Any]
"""Plain data in our names."""

_DERIVED = ("type", "in_channels", "in_channels_list", "num_classes", "pixelsampler")
"""Arguments of heads that follow from other parts, or are read elsewhere."""


def config_from_facts(facts: Mapping[str, Any]) -> SegmentorConfig:
    """Our config of the model that ``facts`` describes.

    Args:
        facts: their settings in their names: ``segmentor`` (or ``segmentor_type``), ``num_classes``, ``backbone``,
            ``head``, ``auxiliary``, ``losses``, ``norm``, ``act``, ``align_corners``.

    Raises:
        ConfigError: for a segmentor, an argument or a loss that has no counterpart here, or a value out of range.
    """
    tree = _tree(facts)
    try:
        config: SegmentorConfig = adapter(SegmentorConfig).validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(word_errors(error.errors(), SegmentorConfig, tree)) from None
    return config


def output_of(loss_name: str) -> str:
    """The output that a loss of theirs is of: ``loss_cls`` is of ``main``, ``loss_aux1`` of ``aux1``."""
    return "main" if loss_name == "loss_cls" else loss_name.removeprefix("loss_")


def _tree(facts: Mapping[str, Any]) -> Tree:
    auxiliary = facts.get("auxiliary") or []
    if isinstance(auxiliary, Mapping):
        auxiliary = [auxiliary]
    names = ["aux"] if len(auxiliary) == 1 else [f"aux{i + 1}" for i in range(len(auxiliary))]
    losses = {output_of(name): loss for name, loss in facts["losses"].items()}
    if set(losses) != {"main", *names}:
        wanted = ", ".join(["loss_cls", *(f"loss_{name}" for name in names)])
        raise ConfigError([Problem("losses", f"must be {wanted} (got {', '.join(facts['losses'])})")])
    sampler = facts["head"].get("pixelsampler")
    main = losses_tree(losses["main"], sampler)
    return {
        "dataset": {"type": "FolderDataset", "class_names": [f"class{i}" for i in range(facts["num_classes"])]},
        "backbone": to_plain(backbone_config(facts)),
        "head": _head(facts),
        "auxiliary": {
            name: _auxiliary(f"auxiliary.{i}", aux, i - len(auxiliary) - 1, losses_tree(losses[name], sampler), main)
            for i, (name, aux) in enumerate(zip(names, auxiliary, strict=True))
        },
        "loss": main,
        "norm": _layer(facts["norm"]),
        "act": _layer(facts["act"]),
    }


def _head(facts: Mapping[str, Any]) -> Tree:
    name, arguments = facts.get("segmentor") or facts["segmentor_type"], dict(facts["head"])
    if name not in SEGMENTORS:
        text = f"no head here is {name}{hint(name, SEGMENTORS)}; one of {', '.join(SEGMENTORS)}"
        raise ConfigError([Problem("segmentor", text)])
    known = SEGMENTORS[name]
    corners = facts["align_corners"]
    tree: Tree = {"type": known.config.__dataclass_fields__["type"].default, "align_corners": corners, **known.fixed}
    if pyramid := arguments.pop("feature2pyramid", None):
        tree["neck"] = {"type": "Feature2Pyramid", "rescales": _rescales(pyramid["rescales"])}
    if "upsample" in known.config.__dataclass_fields__:
        tree["upsample"] = _upsample(arguments.pop("upsample_cfg", {}), corners)
    return tree | _renamed("head", arguments, known.arguments)


def _auxiliary(path: str, arguments: Mapping[str, Any], level: int, losses: Tree, main: Tree) -> Tree:
    head: Tree = {"type": "FCN", "num_convs": 1}
    names = {"out_channels": "channels", "num_convs": "num_convs", "dropout": "dropout"}
    head |= _renamed(path, arguments, names)
    weight = 1.0
    if "type" in losses and losses.get("flooding") is None:  # one loss, so that its factor may be the head's
        weight = losses["weight"]
        losses = losses | {"weight": 1.0}
    return {"head": head, "level": level, "weight": weight, "loss": None if losses == main else losses}


def _renamed(path: str, arguments: Mapping[str, Any], names: Mapping[str, str]) -> Tree:
    unknown = [name for name in arguments if name not in names and name not in _DERIVED]
    if unknown:
        raise ConfigError([Problem(f"{path}.{name}", "has no counterpart here") for name in unknown])
    return {names[name]: value for name, value in arguments.items() if name in names}


def _rescales(factors: Sequence[float]) -> list[float]:
    """They apply factors in a fixed order, whatever order they are given in."""
    return [4, 2, 1, 0.5] if 4 in factors else [2, 1, 0.5, 0.25]


def _upsample(arguments: Mapping[str, Any], align_corners: bool) -> str:
    mode = str(arguments.get("mode", "nearest"))
    if mode != "nearest" and arguments.get("align_corners", False) != align_corners:
        raise ConfigError([Problem("head.upsample_cfg.align_corners", "must be the model's own align_corners")])
    return mode


def _layer(arguments: Mapping[str, Any]) -> Tree:
    """A normalisation or an activation; the names are ours, but for Swish."""
    tree = {name: value for name, value in arguments.items() if name != "inplace"}
    return tree | {"type": {"Swish": "SiLU"}.get(tree["type"], tree["type"])}
