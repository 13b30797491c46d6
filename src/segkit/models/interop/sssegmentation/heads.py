"""Decode heads of SSSegmentation: arguments and parameter names."""

from collections.abc import Mapping
from typing import Any

from segkit.config.component import type_name
from segkit.config.heads import (
    Deeplabv3Config,
    Deeplabv3PlusConfig,
    FCNConfig,
    HeadConfig,
    LRASPPNetConfig,
    PointRendConfig,
    PSPNetConfig,
    SegformerConfig,
    SemanticFPNConfig,
    UPerNetConfig,
)
from segkit.models.interop.sssegmentation.context_heads import CONTEXT_HEADS
from segkit.models.interop.sssegmentation.head_map import HeadMap, fcn_rules
from segkit.models.interop.sssegmentation.mask_heads import MASK_HEADS
from segkit.models.interop.sssegmentation.relation_heads import RELATION_HEADS
from segkit.models.interop.sssegmentation.rules import Rules, aspp, conv_norm_act, pyramid_pooling, separable


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


def _stepwise_pyramid() -> Rules:
    rules = conv_norm_act("fpn_neck.lateral_convs.#", "pyramid.laterals.#")
    rules |= conv_norm_act("fpn_neck.fpn_convs.#", "pyramid.smooth.#")
    for i in range(5):  # their doublings stand between the convolutions
        rules |= conv_norm_act(f"scale_heads.#.{2 * i}", f"sum.branches.#.{i}")
    return rules


def _semantic_fpn(config: SemanticFPNConfig) -> Rules:
    return _stepwise_pyramid() | {"decoder.1": "classify.1"}


def _pointrend(config: PointRendConfig) -> Rules:
    """Their auxiliary decoder makes the coarse logits."""
    count = config.coarse_num_convs
    rules = _stepwise_pyramid() | conv_norm_act("fcs.#", "classify_points.layers.#")
    for i in range(count):
        rules |= conv_norm_act("auxiliary_decoder", f"coarse_convs.{i}", 3 * i)
    return rules | {
        f"auxiliary_decoder.{3 * count + 1}": "classify_coarse.1",
        "decoder.1": "classify_points.classify.1",
    }


def _lraspp(config: LRASPPNetConfig) -> Rules:
    return (
        conv_norm_act("aspp_conv", "project")
        | conv_norm_act("image_pool", "gate", 1)
        | {"bottleneck": "bottleneck", "branch_convs.conv#": "shortcuts.#", "decoder.1": "classify.1"}
        | conv_norm_act("branch_ups.conv#", "fuse.#")
    )


def _segformer(config: SegformerConfig) -> Rules:
    return conv_norm_act("convs.#", "project.#") | conv_norm_act("decoder", "fuse") | {"decoder.4": "classify.1"}


def _behind_jpu(inner: HeadMap) -> HeadMap:
    """A FastFCN: a whole segmentor, with backbone and auxiliary head, inside of theirs beside the neck."""
    neck = {"in_channels_list": "neck.levels", "mid_channels": "neck.channels", "dilations": "neck.dilations"}
    return inner._replace(
        arguments={**inner.arguments, **{f"jpu.{theirs}": ours for theirs, ours in neck.items()}},
        fixed={**inner.fixed, "neck.type": "JPU"},
        convert={**inner.convert, "neck.levels": len},
        prefix="segmentor.",
        backbone_prefix=f"segmentor.{inner.backbone_prefix}",
    )


_COMMON = {"feats_channels": "channels", "dropout": "dropout"}
_POOLED = _COMMON | {"pool_scales": "pool_scales"}
_DILATED = _COMMON | {"dilations": "dilations"}

_PLAIN: Mapping[str, HeadMap] = {
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
    "PointRend": HeadMap(
        PointRendConfig,
        _COMMON
        | {
            "fpn_in_channels_list": "",
            "pointrend_in_channels_list": "",
            "scale_head_channels": "scale_head_channels",
            "feature_stride_list": "strides",
            "num_fcs": "num_layers",
            "coarse_pred_each_layer": "coarse_each_layer",
            "train.num_points": "num_points",
            "train.oversample_ratio": "oversample_ratio",
            "train.importance_sample_ratio": "importance_ratio",
            "test.subdivision_steps": "subdivision_steps",
            "test.subdivision_num_points": "subdivision_points",
            "test.scale_factor": "scale_factor",
        },
        _pointrend,
        outputs={"coarse": "coarse_weight"},
        losses={"loss_aux": "coarse"},
        decoder={"out_channels": "coarse_channels", "num_convs": "coarse_num_convs", "dropout": "coarse_dropout"},
        fixed={"coarse_num_convs": 1},  # their default
    ),
    "LRASPPNet": HeadMap(LRASPPNetConfig, _COMMON | {"branch_channels_list": "branch_channels"}, _lraspp),
    "Segformer": HeadMap(SegformerConfig, _COMMON, _segformer),
    **CONTEXT_HEADS,
    **MASK_HEADS,
    **RELATION_HEADS,
}
_WRAPPED = ("FCN", "ENCNet", "PSPNet", "Deeplabv3")

SEGMENTORS: Mapping[str, HeadMap] = {
    **_PLAIN,
    **{f"FastFCN/{name}": _behind_jpu(_PLAIN[name]) for name in _WRAPPED},
}
"""Their segmentors that we have; one that wraps another is called by both names."""


def segmentor_name(facts: Mapping[str, Any]) -> str:
    """The segmentor that a model's settings name, as ``SEGMENTORS`` calls it."""
    name = str(facts.get("segmentor") or facts["segmentor_type"])
    inner = facts.get("inner_segmentor") or (facts.get("extra") or {}).get("segmentor")
    return f"{name}/{inner}" if inner else name


def map_of(config: HeadConfig) -> HeadMap:
    """How the segmentor came about that has this head, and its neck if it has one of its own."""
    fitting = [entry for entry in SEGMENTORS.values() if entry.config is type(config)]
    neck = None if config.neck is None else type_name(type(config.neck))
    return ([entry for entry in fitting if entry.fixed.get("neck.type") == neck] or fitting)[-1]
