"""Heads of SSSegmentation that relate cells to cells or to classes: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import (
    DANetConfig,
    DNLNetConfig,
    GCNetConfig,
    IDRNetConfig,
    ISNetConfig,
    MCIBIConfig,
    MCIBIPlusPlusConfig,
    NonLocalNetConfig,
    OCRNetConfig,
)
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
    return aspp(theirs, f"{ours}.pyramid", f"{ours}.fuse") | pyramid_pooling(theirs, f"{ours}.pyramid", f"{ours}.fuse")


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
        {"memory_module.memory": "memory"}
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
    rules: Rules = {"memory_module.memory": "memory.moments"}
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


def _idrnet(config: IDRNetConfig) -> Rules:
    refined = "before" if config.refine == "before" else "after"
    return (
        {
            "class_relations_mean": "relation_mean",
            "class_relations_var": "relation_var",
            "selected_classes_counter": "times_left_out",
            "dl_cls_representations": "class_means",
        }
        | _context("coarse_context_module", "context")
        | conv_norm_act("bottleneck", "reduce")
        | relation(f"coarsecontext_refiner_{refined}", "refine")
        | conv_norm_act("lateral_convs.#", "pyramid.laterals.#")
        | conv_norm_act("fpn_convs.#", "pyramid.smooth.#")
        | conv_classifier("decoder_stage1", "coarse")
        | relation("idcontext_refiner", "relate")
        | conv_classifier("decoder_stage2", "classify")
    )


def _around(name: str) -> Rules:
    """The convolutions around one block, and the classifier that stacks the input."""
    return (
        conv_norm_act(f"conv_before_{name}", "before")
        | conv_norm_act(f"conv_after_{name}", "after")
        | conv_classifier("decoder", "classify")
    )


def _nonlocal(block: str, name: str) -> Rules:
    parts = {"g.0": "value", "theta.0": "query", "phi.0": "key", "conv_out.0": "out.conv", "conv_out.1": "out.norm"}
    parts |= {"concat_project.0": "pair", "concat_project.1": "pair_act", "conv_mask": "mask"}
    return {f"{block}.{theirs}": f"block.{ours}" for theirs, ours in parts.items()} | _around(name)


def _nonlocalnet(config: NonLocalNetConfig) -> Rules:
    return _nonlocal("nl_block", "nl")


def _dnlnet(config: DNLNetConfig) -> Rules:
    return _nonlocal("dnl_block", "dnl")


def _gcnet(config: GCNetConfig) -> Rules:
    rules: Rules = {"contextblock_net.conv_mask": "block.mask"}
    rules |= {f"contextblock_net.channel_{kind}_conv.#": f"block.{kind}.#" for kind in ("add", "mul")}
    return rules | _around("cb")


def _danet(config: DANetConfig) -> Rules:
    rules: Rules = {
        "pam_net.gamma.scale": "positions.1.gamma",
        "cam_net.gamma.scale": "channels.1.gamma",
        "decoder_pam.1": "classify_positions.1",
        "decoder_cam.1": "classify_channels.1",
        "decoder_pamcam.1": "classify.1",
    }
    for theirs, ours in (("pam", "positions"), ("cam", "channels")):
        rules |= conv_norm_act(f"{theirs}_in_conv", f"{ours}.0") | conv_norm_act(f"{theirs}_out_conv", f"{ours}.2")
    return rules | relation("pam_net", "positions.1.relate")


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
_NONLOCAL = _COMMON | {"use_scale": "use_scale", "mode": "mode", "reduction": "reduction"}
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
    "IDRNet": HeadMap(
        IDRNetConfig,
        {
            "feats_channels": "channels",
            "dropout": "dropout",
            "ignore_index": "",
            "refine_idcontext_channels": "attention_channels",
            "refine_coarsecontext_channels": "context_attention_channels",
            "use_sa_on_coarsecontext_before": "refine_before",
            "use_sa_on_coarsecontext_after": "refine_after",
            "use_fpn_before": "pyramid_first",
            "use_fpn_after": "pyramid_last",
            "force_stage1_use_oripr": "coarse_by_pixels",
            "clsrelation_momentum": "relation_momentum",
            "dlclsreps_momentum": "class_momentum",
            "coarse_context.type": "context",
            "coarse_context.dilations": "dilations",
            "coarse_context.pool_scales": "pool_scales",
            "fpn.in_channels_list": "",
            "fpn.feats_channels": "pyramid_channels",
            "fpn.out_channels": "pyramid_out_channels",
        },
        _idrnet,
        outputs={"stage1": "stage1_weight"},
    ),
    "NonLocalNet": HeadMap(NonLocalNetConfig, _NONLOCAL, _nonlocalnet),
    "DNLNet": HeadMap(DNLNetConfig, _NONLOCAL | {"temperature": "temperature"}, _dnlnet),
    "GCNet": HeadMap(
        GCNetConfig,
        _COMMON
        | {"ratio": "ratio", "pooling_type": "pooling", "fusion_types": "fusions", "norm_cfg.type": "block_norm"},
        _gcnet,
        fixed={"block_norm": "default"},
    ),
    "DANet": HeadMap(DANetConfig, _COMMON, _danet, outputs={"pam": "pam_weight", "cam": "cam_weight"}),
}
"""Their segmentors of this kind, with ours."""
