"""Necks of SSSegmentation, which there are parts of its segmentors: arguments and parameter names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segkit.config.heads import (
    Feature2PyramidConfig,
    ICNeckConfig,
    JPUConfig,
    LevelsNeckConfig,
    MLANeckConfig,
    NeckConfig,
)
from segkit.errors import ConfigError, Problem
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act, pyramid_pooling, separable

Tree = dict[str, Any]
_TORCH_EPS = 1e-5


def neck_tree(arguments: Tree) -> Tree | None:
    """The neck that arguments of any head may ask for, which are taken out of them; None where they do not.

    Raises:
        ConfigError: if it has no counterpart here.
    """
    pyramid = arguments.pop("feature2pyramid", None)
    if pyramid:
        return {"type": "Feature2Pyramid", "rescales": _rescales(pyramid["rescales"])}
    tree: Tree = {}
    if "in_channels_list" in (arguments.get("norm_cfg") or {}):
        norm = arguments.pop("norm_cfg")
        if norm["type"] != "LayerNorm":
            raise ConfigError([Problem("head.norm_cfg.type", f"must be LayerNorm (got {norm['type']})")])
        tree |= {"normalize": True, "norm_eps": norm.get("eps", _TORCH_EPS)}
    shrink = arguments.pop("downsample_backbone", None) or {}
    if (stride := shrink.get("stride", 1)) > 1:
        kernel = shrink["kernel_size"]
        wanted = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2, "bias": False}
        if shrink != wanted:
            raise ConfigError([Problem("head.downsample_backbone", f"must be {wanted} (got {shrink})")])
        tree |= {"stride": stride, "kernel_size": kernel}
    return {"type": "LevelsNeck", **tree} if tree else None


def neck_rules(config: NeckConfig | None) -> Rules:
    """Their names of the neck's parameters to ours."""
    rules = _RULES.get(type(config))
    return {} if rules is None else rules(config)


def _rescales(factors: Sequence[float]) -> list[float]:
    """They apply factors in a fixed order, whatever order they are given in."""
    return [4, 2, 1, 0.5] if 4 in factors else [2, 1, 0.5, 0.25]


def _feature2pyramid(config: Feature2PyramidConfig) -> Rules:
    """Theirs names its branches by factor, ours by position."""
    rules: Rules = {}
    for i, factor in enumerate(config.rescales):
        if factor == 4:
            rules |= {f"feats_to_pyramid_net.upsample_4x.{k}": f"levels.{i}.{k}" for k in (0, 1, 3)}
        if factor == 2:
            rules["feats_to_pyramid_net.upsample_2x.0"] = f"levels.{i}.0"
    return rules


def _icneck(config: ICNeckConfig) -> Rules:
    rules = pyramid_pooling("backbone_net.ppm_net", "pool", "fuse_pooled")
    for i in range(3):
        rules |= conv_norm_act("backbone_net.conv_sub1", f"light.{i}", 3 * i)
    for theirs, ours in (("conv_sub2", "middle"), ("conv_sub4", "deep")):
        rules |= conv_norm_act(f"backbone_net.{theirs}", ours)
    for theirs, ours in (("cff_24", "join_deep"), ("cff_12", "join_middle")):
        rules |= conv_norm_act(f"neck.{theirs}.conv_low", f"{ours}.low")
        rules |= conv_norm_act(f"neck.{theirs}.conv_high", f"{ours}.high")
    return rules


def _mlaneck(config: MLANeckConfig) -> Rules:
    return (
        {"mla_neck.norm_layers.#": "norms.#"}
        | conv_norm_act("mla_neck.mla.channel_proj.#", "project.#")
        | conv_norm_act("mla_neck.mla.feat_extract.#", "smooth.#")
    )


def _jpu(config: JPUConfig) -> Rules:
    """The parts of a branch have names there, and positions here."""
    rules = conv_norm_act("jpu_neck.conv_layers.#", "narrow.#")
    for theirs, ours in separable("jpu_neck.dilation_layers.#", "branches.#").items():
        rules[theirs] = ours.replace(".depthwise.", ".0.").replace(".pointwise.", ".1.")
    return rules


def _levelsneck(config: LevelsNeckConfig) -> Rules:
    return {"norm_layers.#": "norms.#"} | conv_norm_act("downsample_backbone", "shrink")


_RULES: Mapping[type, Callable[[Any], Rules]] = {
    Feature2PyramidConfig: _feature2pyramid,
    ICNeckConfig: _icneck,
    JPUConfig: _jpu,
    LevelsNeckConfig: _levelsneck,
    MLANeckConfig: _mlaneck,
}
