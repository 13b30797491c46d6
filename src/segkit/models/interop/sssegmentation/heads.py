"""Decode heads of SSSegmentation: arguments and parameter names."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from segkit.config.heads import (
    Deeplabv3Config,
    Deeplabv3PlusConfig,
    FCNConfig,
    HeadConfig,
    LRASPPNetConfig,
    PSPNetConfig,
    SegformerConfig,
    SemanticFPNConfig,
    UPerNetConfig,
)
from segkit.models.interop.sssegmentation.rules import Rules, aspp, conv_norm_act, pyramid_pooling, separable


class HeadMap(NamedTuple):
    """How one of their segmentors becomes one of our heads.

    Attributes:
        config: our config class.
        arguments: their argument -> our field.
        fixed: fields that make our head this segmentor.
        rules: our config -> renaming of all parameters that are neither backbone's nor auxiliary heads'.
    """

    config: type[HeadConfig]
    arguments: Mapping[str, str]
    rules: Callable[[Any], Rules]
    fixed: Mapping[str, Any] = {}


def fcn_rules(config: FCNConfig, sequential: str = "decoder") -> Rules:
    """A stack of convolutions and a classifier in one Sequential; auxiliary heads have the same form."""
    if config.depthwise:
        convs = [separable(f"{sequential}.{i}", f"convs.{i}") for i in range(config.num_convs)]
        last = config.num_convs + 1
    else:
        convs = [conv_norm_act(sequential, f"convs.{i}", 3 * i) for i in range(config.num_convs)]
        last = 3 * config.num_convs + 1
    rules: Rules = {f"{sequential}.{last}": "classify.1"}
    for conv in convs:
        rules |= conv
    return rules


def _pspnet(config: PSPNetConfig) -> Rules:
    return pyramid_pooling("ppm_net", "pool", "fuse") | {"decoder.1": "classify.1"}


def _deeplabv3(config: Deeplabv3Config) -> Rules:
    return aspp("aspp_net", "aspp", "fuse") | {"decoder.1": "classify.1"}


def _deeplabv3plus(config: Deeplabv3PlusConfig) -> Rules:
    return (
        aspp("aspp_net", "aspp", "fuse")
        | conv_norm_act("shortcut", "shortcut")
        | separable("decoder.0", "refine.0")
        | separable("decoder.1", "refine.1")
        | {"decoder.3": "classify.1"}
    )


def _upernet(config: UPerNetConfig) -> Rules:
    return (
        pyramid_pooling("ppm_net", "pool", "fuse_pooled")
        | conv_norm_act("lateral_convs.#", "laterals.#")
        | conv_norm_act("fpn_convs.#", "smooth.#")
        | conv_norm_act("decoder", "fuse")
        | {"decoder.4": "classify.1"}
    )


def _semantic_fpn(config: SemanticFPNConfig) -> Rules:
    rules = conv_norm_act("fpn_neck.lateral_convs.#", "pyramid.laterals.#")
    rules |= conv_norm_act("fpn_neck.fpn_convs.#", "pyramid.smooth.#")
    for i in range(5):  # their doublings stand between the convolutions
        rules |= conv_norm_act(f"scale_heads.#.{2 * i}", f"sum.branches.#.{i}")
    return rules | {"decoder.1": "classify.1"}


def _lraspp(config: LRASPPNetConfig) -> Rules:
    return (
        conv_norm_act("aspp_conv", "project")
        | conv_norm_act("image_pool", "gate", 1)
        | {"bottleneck": "bottleneck", "branch_convs.conv#": "shortcuts.#", "decoder.1": "classify.1"}
        | conv_norm_act("branch_ups.conv#", "fuse.#")
    )


def _segformer(config: SegformerConfig) -> Rules:
    return conv_norm_act("convs.#", "project.#") | conv_norm_act("decoder", "fuse") | {"decoder.4": "classify.1"}


def feature2pyramid_rules(rescales: tuple[float, ...]) -> Rules:
    """Their neck names its branches by factor, ours by position."""
    rules: Rules = {}
    for i, factor in enumerate(rescales):
        if factor == 4:
            rules |= {f"feats_to_pyramid_net.upsample_4x.{k}": f"levels.{i}.{k}" for k in (0, 1, 3)}
        if factor == 2:
            rules["feats_to_pyramid_net.upsample_2x.0"] = f"levels.{i}.0"
    return rules


_COMMON = {"feats_channels": "channels", "dropout": "dropout"}
_POOLED = _COMMON | {"pool_scales": "pool_scales"}
_DILATED = _COMMON | {"dilations": "dilations"}

SEGMENTORS: Mapping[str, HeadMap] = {
    "FCN": HeadMap(FCNConfig, _COMMON | {"num_convs": "num_convs"}, fcn_rules),
    "DepthwiseSeparableFCN": HeadMap(
        FCNConfig, _COMMON | {"num_convs": "num_convs"}, fcn_rules, fixed={"depthwise": True}
    ),
    "PSPNet": HeadMap(PSPNetConfig, _POOLED, _pspnet),
    "Deeplabv3": HeadMap(Deeplabv3Config, _DILATED, _deeplabv3),
    "Deeplabv3Plus": HeadMap(
        Deeplabv3PlusConfig, _DILATED | {"shortcut_channels": "shortcut_channels"}, _deeplabv3plus
    ),
    "UPerNet": HeadMap(UPerNetConfig, _POOLED, _upernet),
    "SemanticFPN": HeadMap(
        SemanticFPNConfig,
        _COMMON | {"scale_head_channels": "scale_head_channels", "feature_stride_list": "strides"},
        _semantic_fpn,
    ),
    "LRASPPNet": HeadMap(LRASPPNetConfig, _COMMON | {"branch_channels_list": "branch_channels"}, _lraspp),
    "Segformer": HeadMap(SegformerConfig, _COMMON, _segformer),
}
"""Their segmentors that we have."""


def rules_for(config: HeadConfig) -> Rules:
    """Renaming of a head's parameters; ours are named from the head on."""
    maps = {entry.config: entry for entry in SEGMENTORS.values()}
    return maps[type(config)].rules(config)
