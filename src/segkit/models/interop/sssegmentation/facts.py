"""Settings of an SSSegmentation model, as plain data, to our config."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from segkit.config.component import adapter, to_plain, type_name
from segkit.config.heads import SummedPyramidConfig
from segkit.config.problems import word_errors
from segkit.config.segmentor import SegmentorConfig
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem
from segkit.models.interop.sssegmentation.backbones import backbone_config
from segkit.models.interop.sssegmentation.backbones.reading import SHARED_SLOPE
from segkit.models.interop.sssegmentation.head_map import ENLARGING, AuxiliaryMap, HeadMap
from segkit.models.interop.sssegmentation.heads import SEGMENTORS, segmentor_name
from segkit.models.interop.sssegmentation.losses import losses_tree
from segkit.models.interop.sssegmentation.necks import neck_tree

Tree = dict[str, Any]
"""Plain data in our names."""

_DERIVED = ("type", "in_channels", "in_channels_list", "num_classes", "pixelsampler")
"""Arguments of heads that follow from other parts, or are read elsewhere."""


def config_from_facts(facts: Mapping[str, Any]) -> SegmentorConfig:
    """Our config of the model that ``facts`` describes.

    Args:
        facts: their settings in their names: ``segmentor`` (or ``segmentor_type``; ``inner_segmentor`` too of one that
            wraps another), ``num_classes``, ``backbone``, ``head``, ``auxiliary``, ``losses``, ``norm``, ``act``,
            ``align_corners``.

    Raises:
        ConfigError: for a segmentor, an argument or a loss that has no counterpart here, or a value out of range.
    """
    tree = _tree(facts)
    try:
        config: SegmentorConfig = adapter(SegmentorConfig).validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(word_errors(error.errors(), SegmentorConfig, tree)) from None
    return config


def output_of(loss_name: str, segmentor: str = "") -> str:
    """The output that a loss of theirs is of: ``loss_cls`` is of ``main``, ``loss_aux1`` of ``aux1``."""
    if segmentor in SEGMENTORS and loss_name in (named := SEGMENTORS[segmentor].losses or {}):
        return named[loss_name]
    if loss_name in ("loss_cls", "loss_cls_stage2", "loss_cls_pamcam"):
        return "main"
    return loss_name.removeprefix("loss_").removeprefix("cls_")


def _tree(facts: Mapping[str, Any]) -> Tree:
    known = _segmentor(facts)
    auxiliary = [] if known.decoder else facts.get("auxiliary") or []
    if isinstance(auxiliary, Mapping):
        auxiliary = [auxiliary]
    names = ["aux"] if len(auxiliary) == 1 else [f"aux{i + 1}" for i in range(len(auxiliary))]
    sampler = facts["head"].get("pixelsampler")
    name = segmentor_name(facts)
    losses = {output_of(loss, name): losses_tree(tree, sampler) for loss, tree in facts["losses"].items()}
    required = {*names} if known.losses is None else {"main", *names}
    if not required <= set(losses) <= {*required, *known.outputs}:
        wanted = ", ".join(["loss_cls", *(f"loss_{name}" for name in [*names, *known.outputs])])
        raise ConfigError([Problem("losses", f"must be {wanted} (got {', '.join(facts['losses'])})")])
    main = losses.get("main", {})
    return {
        "dataset": {"type": "FolderDataset", "class_names": [f"class{i}" for i in range(facts["num_classes"])]},
        "backbone": to_plain(backbone_config(facts)) | known.backbone,
        "head": _head(facts, known) | _factors(losses, known),
        "auxiliary": {
            name: _auxiliary(f"auxiliary.{i}", aux, made, losses[name], main, corners=facts["align_corners"])
            | {"level": made.level(i, len(auxiliary))}
            for i, (name, aux) in enumerate(zip(names, auxiliary, strict=True))
            for made in [ENLARGING if "upsample" in aux else known.auxiliary]
        },
        **({"loss": main} if main else {}),
        "norm": _layer(facts["norm"]),
        "act": _layer(facts["act"]),
    }


def _segmentor(facts: Mapping[str, Any]) -> HeadMap:
    name = segmentor_name(facts)
    if name not in SEGMENTORS:
        text = f"no head here is {name}{hint(name, SEGMENTORS)}; one of {', '.join(SEGMENTORS)}"
        raise ConfigError([Problem("segmentor", text)])
    return SEGMENTORS[name]


def _head(facts: Mapping[str, Any], known: HeadMap) -> Tree:
    arguments, corners = dict(facts["head"]), facts["align_corners"]
    tree: Tree = {"type": type_name(known.config), "align_corners": corners}
    for field, value in known.fixed.items():
        _place(tree, field, value)
    if neck := neck_tree(arguments):
        tree["neck"] = neck
    if issubclass(known.config, SummedPyramidConfig):
        tree["upsample"] = _upsample(arguments.pop("upsample_cfg", {}), corners)
    renamed = _renamed("head", arguments, known.arguments)
    if known.decoder:
        renamed |= _renamed("auxiliary", facts["auxiliary"], known.decoder)
    for field, value in renamed.items():
        convert = _layer if field in ("norm", "act") else known.convert.get(field)
        _place(tree, field, value if convert is None else convert(value))
    return tree


def _factors(losses: Mapping[str, Tree], known: HeadMap) -> Tree:
    """Factors of the losses of the head's further outputs."""
    tree: Tree = {}
    for output, field in known.outputs.items():
        if output not in losses:
            tree[field] = 0.0
            continue
        factor, loss = _factor(losses[output])
        main_factor, wanted = _factor(losses["main"])
        if output in known.own_losses:
            main_factor, wanted = 1.0, {"weight": 1.0, **known.own_losses[output]}
        for option, target in known.own_options.get(output, {}).items():
            if option in loss:
                tree[target] = loss[option]
                loss = {name: value for name, value in loss.items() if name != option}
        if loss != wanted:
            raise ConfigError([Problem(f"losses.{output}", f"must be {wanted} but for its weight (got {loss})")])
        tree[field] = factor / main_factor
    return tree


def _factor(losses: Tree) -> tuple[float, Tree]:
    """The factor of one loss, and the loss without it; 1 of several, or where it cannot be taken out."""
    if "type" in losses and losses.get("flooding") is None:
        return losses["weight"], losses | {"weight": 1.0}
    return 1.0, losses


def _auxiliary(
    path: str, arguments: Mapping[str, Any], known: AuxiliaryMap, losses: Tree, main: Tree, *, corners: bool
) -> Tree:
    head: Tree = {**known.fixed, "align_corners": corners, **_renamed(path, arguments, known.arguments)}
    weight, losses = _factor(losses)
    return {"head": head, "weight": weight, "loss": None if losses == main else losses}


def _renamed(path: str, arguments: Mapping[str, Any], names: Mapping[str, str]) -> Tree:
    flat = _flat(arguments, names)
    unknown = [name for name in flat if name not in names and name not in _DERIVED]
    if unknown:
        raise ConfigError([Problem(f"{path}.{name}", "has no counterpart here") for name in unknown])
    return {names[name]: value for name, value in flat.items() if names.get(name)}


def _flat(arguments: Mapping[str, Any], names: Mapping[str, str], prefix: str = "") -> Tree:
    """What is nested by its path, but for what is known, or derived, as a whole."""
    flat: Tree = {}
    for name, value in arguments.items():
        path = prefix + name
        known = path in names or path in _DERIVED
        nested = bool(value) or any(other.startswith(f"{path}.") for other in names)
        if isinstance(value, Mapping) and nested and not known:
            flat |= _flat(value, names, f"{path}.")
        else:
            flat[path] = value
    return flat


def _place(tree: Tree, path: str, value: Any) -> None:
    """Sets a field by its path."""
    *parents, leaf = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value


def _upsample(arguments: Mapping[str, Any], align_corners: bool) -> str:
    mode = str(arguments.get("mode", "nearest"))
    if mode != "nearest" and arguments.get("align_corners", False) != align_corners:
        raise ConfigError([Problem("head.upsample_cfg.align_corners", "must be the model's own align_corners")])
    return mode


def _layer(arguments: Mapping[str, Any]) -> Tree:
    """A normalisation or an activation; the names are ours, but for Swish."""
    tree = {name: value for name, value in arguments.items() if name != "inplace"}
    name = {"Swish": "SiLU"}.get(tree["type"], tree["type"])
    return {**SHARED_SLOPE.get(name, {}), **tree, "type": name}
