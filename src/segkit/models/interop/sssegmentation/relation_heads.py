"""Heads of SSSegmentation that relate cells to cells or to classes: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import ISNetConfig, MCIBIConfig, MCIBIPlusPlusConfig, OCRNetConfig
from segkit.models.interop.sssegmentation.head_map import HeadMap
from segkit.models.interop.sssegmentation.rules import DROPPED, Rules, aspp, conv_norm_act, pyramid_pooling


def relation(theirs: str, ours: str) -> Rules:
    """Their self-attention block, whose projections may be plain convolutions, and one or several of a kind."""
    rules: Rules = {}
    for part in ("query", "key"):
        rules |= conv_norm_act(f"{theirs}.{part}_project.#", f"{ours}.{part}.#")
        rules |= conv_norm_act(f"{theirs}.{part}_project", f"{ours}.{part}.0")
        rules[f"{theirs}.{part}_project"] = f"{ours}.{part}.0.conv"
    for part in ("value", "out"):
        rules |= conv_norm_act(f"{theirs}.{part}_project", f"{ours}.{part}")
        rules[f"{theirs}.{part}_project"] = f"{ours}.{part}.conv"
    return rules


def conv_classifier(theirs: str, ours: str) -> Rules:
    """A convolution and a classifier in one Sequential."""
    return conv_norm_act(theirs, f"{ours}.conv") | {f"{theirs}.4": f"{ours}.classify.1"}


def _ocrnet(config: OCRNetConfig) -> Rules:
    """Their auxiliary decoder makes the coarse logits."""
    rules: Rules = {f"auxiliary_decoder.{3 * config.coarse_convs + 1}": f"coarse.{config.coarse_convs}.1"}
    for i in range(config.coarse_convs):
        rules |= conv_norm_act("auxiliary_decoder", f"coarse.{i}", 3 * i)
    return (
        rules
        | conv_norm_act("bottleneck", "reduce")
        | relation("object_context_block", "relate")
        | conv_norm_act("object_context_block.bottleneck", "fuse")
        | {"decoder.1": "classify.1"}
    )


def _context(theirs: str, ours: str) -> Rules:
    """Either of the two pyramids."""
    return aspp(theirs, f"{ours}.pyramid", f"{ours}.fuse") | pyramid_pooling(
        theirs, f"{ours}.pyramid", f"{ours}.fuse"
    )


def _isnet(config: ISNetConfig) -> Rules:
    image = relation("ilc_net.correlate_net", "image_level.relate")
    image |= conv_norm_act("ilc_net.bottleneck", "image_level.fuse")
    if not config.concat_input:  # nothing reads it
        image = dict.fromkeys(image, DROPPED)
    final = conv_classifier("decoder_stage2", "classify") if config.use_shortcut else {"decoder_stage2.1": "classify.1"}
    return (
        image
        | final
        | conv_norm_act("bottleneck", "reduce")
        | conv_classifier("decoder_stage1", "coarse")
        | relation("slc_net.correlate_net", "relate_classes")
        | conv_norm_act("slc_net.bottleneck", "fuse_classes")
        | conv_norm_act("shortcut", "shortcut")
    )


def _mcibi(config: MCIBIConfig) -> Rules:
    return (
        {"memory_module": ""}
        | _context("context_within_image_module", "context")
        | conv_norm_act("bottleneck", "reduce")
        | conv_classifier("decoder_stage1", "coarse")
        | relation("memory_module.self_attention", "relate.0")
        | relation("memory_module.self_attentions.#", "relate.#")
        | conv_norm_act("memory_module.fuse_memory_conv", "fuse_slots")
        | conv_norm_act("memory_module.bottleneck", "fuse_memory")
        | relation("memory_module.self_attention_ms", "relate_context")
        | conv_norm_act("memory_module.bottleneck_ms", "fuse_context")
        | conv_classifier("decoder_stage2", "classify")
    )


def _mcibiplusplus(config: MCIBIPlusPlusConfig) -> Rules:
    rules: Rules = {"memory_module": "memory"}
    for theirs, ours in (("pr", "pr"), ("cwi", "cwi"), ("cls", "classify")):
        rules |= {f"decoder_{theirs}.conv1": f"{ours}.conv.conv", f"decoder_{theirs}.bn1": f"{ours}.conv.norm"}
        rules |= {f"decoder_{theirs}.act1": f"{ours}.conv.act", f"decoder_{theirs}.conv2": f"{ours}.classify.1"}
    return (
        rules
        | _context("context_within_image_module", "context")
        | conv_norm_act("bottleneck", "reduce")
        | relation("memory_module.self_attention", "memory.relate")
        | conv_norm_act("memory_module.bottleneck", "memory.fuse")
        | conv_norm_act("memory_module.downsample_before_sa", "memory.reduce")
        | relation("self_attention", "relate")
        | conv_norm_act("lateral_convs.#", "pyramid.laterals.#")
        | conv_norm_act("fpn_convs.#", "pyramid.smooth.#")
    )


_COMMON = {"feats_channels": "channels", "transform_channels": "attention_channels", "dropout": "dropout"}
_MEMORY = _COMMON | {
    "out_channels": "out_channels",
    "use_hard_aggregate": "hard",
    "context_within_image.is_on": "use_context",
    "context_within_image.type": "context",
    "update_cfg.ignore_index": "",
    "update_cfg.momentum_cfg.base_momentum": "momentum",
    "update_cfg.momentum_cfg.base_lr": "base_lr",
    "update_cfg.momentum_cfg.adjust_by_learning_rate": "momentum_follows_lr",
}
_STAGE = {
    "in_channels": "",
    "out_channels": "channels",
    "dropout": "dropout",
    "kernel_size": "kernel_size",
    "padding": "",
}

RELATION_HEADS: Mapping[str, HeadMap] = {
    "OCRNet": HeadMap(
        OCRNetConfig,
        _COMMON | {"scale": ""},  # above 1 theirs fails
        _ocrnet,
        outputs={"aux": "coarse_weight"},
        decoder={
            "in_channels": "",
            "out_channels": "coarse_channels",
            "num_convs": "coarse_convs",
            "dropout": "coarse_dropout",
        },
    ),
    "ISNet": HeadMap(
        ISNetConfig,
        _COMMON
        | {
            "concat_input": "concat_input",
            "shortcut.is_on": "use_shortcut",
            "shortcut.in_channels": "",
            "shortcut.feats_channels": "shortcut_channels",
        },
        _isnet,
        outputs={"stage1": "stage1_weight"},
    ),
    "MCIBI": HeadMap(
        MCIBIConfig,
        _MEMORY
        | {f"downsample_backbone.{name}": "" for name in ("kernel_size", "stride", "padding", "bias")}
        | {f"loss_cfg.{name}": "" for name in ("type", "reduction", "ignore_index")}
        | {
            "context_within_image.cfg.dilations": "dilations",
            "context_within_image.cfg.pool_scales": "pool_scales",
            "num_feats_per_cls": "slots",
            "use_loss": "memory_loss",
            "loss_cfg.scale_factor": "memory_weight",
            "update_cfg.strategy": "update",
        },
        _mcibi,
        outputs={"stage1": "stage1_weight"},
    ),
    "MCIBIPlusPlus": HeadMap(
        MCIBIPlusPlusConfig,
        _MEMORY
        | {
            "context_within_image.cfg.dilations": "dilations",
            "context_within_image.cfg.pool_scales": "pool_scales",
            "context_within_image.use_self_attention": "context_attention",
            "warmup_epoch": "warmup_epochs",
            "downsample_before_sa": "downsample",
            "force_use_preds_pr": "read_by_pr",
            "fuse_memory_cwi_before_fpn": "stack_before_pyramid",
            "fpn.in_channels_list": "",
            "fpn.feats_channels": "pyramid_channels",
            "fpn.out_channels": "pyramid_out_channels",
        }
        | {
            f"decoder.{part}.{theirs}": ours and f"{part}.{ours}"
            for part in ("pr", "cwi", "cls")
            for theirs, ours in _STAGE.items()
        },
        _mcibiplusplus,
        outputs={"pr": "pr_weight", "cwi": "cwi_weight"},
    ),
}
"""Their segmentors of this kind, with ours."""
