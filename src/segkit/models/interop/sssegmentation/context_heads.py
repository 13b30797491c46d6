"""Heads of SSSegmentation that gather context by attention, codes, cascades: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import (
    ANNNetConfig,
    APCNetConfig,
    CCNetConfig,
    CE2PConfig,
    DMNetConfig,
    EMANetConfig,
    ENCNetConfig,
    ICNetConfig,
    ISANetConfig,
    PSANetConfig,
    SETRMLAConfig,
    SETRUPConfig,
)
from segkit.models.interop.sssegmentation.head_map import AuxiliaryMap, HeadMap, enlarging_rules
from segkit.models.interop.sssegmentation.relation_heads import relation
from segkit.models.interop.sssegmentation.rules import DROPPED, Rules, conv_norm_act, pyramid_pooling


def _fused(classify: str = "decoder") -> Rules:
    """The usual end: a convolution and a classifier in one Sequential."""
    return conv_norm_act(classify, "fuse") | {f"{classify}.4": "classify.1"}


def _ccnet(config: CCNetConfig) -> Rules:
    parts = {f"cca.{part}_conv": f"attend.{part}" for part in ("query", "key", "value")}
    around = conv_norm_act("conv_before_cca", "before") | conv_norm_act("conv_after_cca", "after")
    return around | parts | {"cca.gamma": "attend"} | _fused()


def _emanet(config: EMANetConfig) -> Rules:
    return (
        conv_norm_act("ema_in_conv", "before")
        | {"ema_mid_conv": "project", "ema_module": "rebuild"}
        | conv_norm_act("ema_out_conv", "after")
        | conv_norm_act("bottleneck", "smooth")
        | _fused()
    )


def _psanet(config: PSANetConfig) -> Rules:
    suffixes = ("", "_p") if config.direction == "bi-direction" else ("",)
    rules = conv_norm_act("proj", "project") | _fused()
    for i, suffix in enumerate(suffixes):
        rules |= conv_norm_act(f"reduce{suffix}", f"branches.{i}.reduce")
        rules |= conv_norm_act(f"attention{suffix}", f"branches.{i}.mask.0")
        rules[f"attention{suffix}.3"] = f"branches.{i}.mask.1"
    return rules


def _encnet(config: ENCNetConfig) -> Rules:
    return (
        conv_norm_act("bottleneck", "reduce")
        | conv_norm_act("lateral_convs.#", "laterals.#")
        | conv_norm_act("fusion", "fuse")
        | conv_norm_act("enc_module.encoding_project", "encode.project")
        | {"enc_module.encoding.0": "encode.codes", "enc_module.encoding.1": "encode.norm"}
        | {"enc_module.encoding.2": "encode.act", "enc_module.fc.0": "encode.gate"}
        | {"se_layer": "ask", "decoder.1": "classify.1"}
    )


def _ce2p(config: CE2PConfig) -> Rules:
    rules = pyramid_pooling("ppm_net", "pool", "fuse_pooled") | conv_norm_act("shortcut", "shortcut")
    rules |= conv_norm_act("edge_net.branches.#", "edges.branches.#")
    rules |= {"edge_net.edge_conv": "edges.classify", "edge_net.fuse_conv": "edges.fuse"}
    for stage in (1, 2):
        for i in range(2):
            rules |= conv_norm_act(f"decoder_stage{stage}", f"stage{stage}.{i}", 3 * i)
    return rules | {"decoder_stage1.7": "classify_stage1", "decoder_stage2.7": "classify.1"}


def _icnet(config: ICNetConfig) -> Rules:
    return _fused()


def _setrup(config: SETRUPConfig) -> Rules:
    """Their norms belong to levels; those that neither this head nor an auxiliary one reads are left out."""
    return enlarging_rules(config, "decoder") | {"norm_layers.3": "norm", "norm_layers.#": DROPPED}


def _auxiliary_setrup(config: SETRUPConfig, index: int, count: int) -> Rules:
    return {f"norm_layers.{index}": "norm"} | enlarging_rules(config, f"auxiliary_decoders.{index}")


def _setrmla(config: SETRMLAConfig) -> Rules:
    rules = conv_norm_act("up_convs.#", "convs.#.0") | conv_norm_act("up_convs.#", "convs.#.1", 3)
    return rules | {"decoder.1": "classify.1"}


def _apcnet(config: APCNetConfig) -> Rules:
    parts = {"pooled_redu_conv": "pooled", "input_redu_conv": "reduce", "global_info": "whole"}
    parts |= {"residual_conv": "residual", "fusion_conv": "fuse"}
    rules: Rules = {"acm_modules.#.gla": "contexts.#.affinity"}
    for theirs, ours in parts.items():
        rules |= conv_norm_act(f"acm_modules.#.{theirs}", f"contexts.#.{ours}")
    return rules | _fused()


def _dmnet(config: DMNetConfig) -> Rules:
    parts = {"filter_gen_conv": "filters", "norm": "norm", "activate": "act"}
    rules = {f"dcm_modules.#.{theirs}": f"contexts.#.{ours}" for theirs, ours in parts.items()}
    for theirs, ours in (("input_redu_conv", "reduce"), ("fusion_conv", "fuse")):
        rules |= conv_norm_act(f"dcm_modules.#.{theirs}", f"contexts.#.{ours}")
    return rules | _fused()


def _isanet(config: ISANetConfig) -> Rules:
    rules = conv_norm_act("in_conv", "before") | conv_norm_act("out_conv", "fuse") | {"decoder.1": "classify.1"}
    for theirs, ours in (("global_relation", "attend_far"), ("local_relation", "attend_near")):
        rules |= relation(theirs, f"{ours}.relate") | conv_norm_act(f"{theirs}.output_project", f"{ours}.out")
    return rules


def _annnet(config: ANNNetConfig) -> Rules:
    rules = conv_norm_act("bottleneck", "reduce") | {"decoder.1": "classify"}
    for theirs, ours in (("afn_block", "across"), ("apn_block", "within")):
        rules |= relation(f"{theirs}.stages.#", f"{ours}.#")
        rules |= conv_norm_act(f"{theirs}.bottleneck", f"fuse_{ours}")
    # Keys and queries of the second are the same convolution under two names. Should their tensors differ, the one
    # that a module reads last counts: theirs are the queries, ours the keys.
    swap = {"query": "key", "key": "query"}
    for part, other in swap.items():
        rules |= conv_norm_act(f"apn_block.stages.#.{part}_project", f"within.#.{other}.0")
    return rules


_UPSAMPLED = {
    "out_channels": "channels",
    "num_convs": "num_convs",
    "dropout": "dropout",
    "scale_factor": "scale_factor",
    "kernel_size": "kernel_size",
}
_LAYER_NORM = {"norm_cfg.type": "", "norm_cfg.eps": "norm_eps"}
_COMMON = {"feats_channels": "channels", "dropout": "dropout"}

CONTEXT_HEADS: Mapping[str, HeadMap] = {
    "CCNet": HeadMap(CCNetConfig, _COMMON | {"num_recurrence": "num_recurrence"}, _ccnet),
    "EMANet": HeadMap(
        EMANetConfig,
        _COMMON | {name: name for name in ("momentum", "num_stages", "num_bases")},
        _emanet,
    ),
    "PSANet": HeadMap(
        PSANetConfig,
        _COMMON
        | {"type": "direction"}
        | {name: name for name in ("mask_size", "compact", "shrink_factor", "normalization_factor", "psa_softmax")},
        _psanet,
        fixed={"normalization_factor": None},  # theirs where it is not given
    ),
    "ENCNet": HeadMap(
        ENCNetConfig,
        _COMMON | {"num_codes": "num_codes", "extra.use_se_loss": "", "extra.add_lateral": "add_lateral"},
        _encnet,
        outputs={"se": "se_weight"},
        own_losses={"se": {"type": "CrossEntropyLoss", "use_sigmoid": True}},
    ),
    "CE2P": HeadMap(
        CE2PConfig,
        {
            "feats_channels": "channels",
            "pool_scales": "pool_scales",
            "epm_hidden_channels": "edge_channels",
            "epm_out_channels": "",
            "shortcut_feats_channels": "shortcut_channels",
            "dropout_stage1": "stage1_dropout",
            "dropout_stage2": "dropout",
        },
        _ce2p,
        outputs={"stage1": "stage1_weight", "edge": "edge_weight"},
        own_losses={"edge": {"type": "CrossEntropyLoss"}},
        own_options={"edge": {"weighted_mean": "edge_weighted_mean"}},
    ),
    "ICNet": HeadMap(
        ICNetConfig,
        {
            "feats_channels": "neck.channels",
            "dropout": "dropout",
            "encoder.in_channels": "neck.in_channels",
            "encoder.layer_channels_list": "",
            "encoder.light_branch_middle_channels": "neck.light_channels",
            "encoder.psp_out_channels": "neck.pool_channels",
            "encoder.out_channels_list": "neck.branch_channels",
            "encoder.pool_scales": "neck.pool_scales",
        },
        _icnet,
        fixed={"neck.type": "ICNeck"},
        backbone={"out_indices": [1, 3]},
        backbone_prefix="backbone_net.backbone_net.",
    ),
    "SETRUP": HeadMap(
        SETRUPConfig,
        _UPSAMPLED | {"feats_channels": "channels"} | _LAYER_NORM,
        _setrup,
        auxiliary=AuxiliaryMap({"type": "SETRUP"}, _UPSAMPLED, lambda index, count: index, _auxiliary_setrup),
    ),
    "SETRMLA": HeadMap(
        SETRMLAConfig,
        {
            "feats_channels": "",
            "mla_feats_channels": "neck.channels",
            "mla_up_channels": "channels",
            "scale_factor": "scale_factor",
            "dropout": "dropout",
            "norm_cfg.type": "",
            "norm_cfg.eps": "neck.norm_eps",
        },
        _setrmla,
        fixed={"neck.type": "MLANeck"},
        auxiliary=AuxiliaryMap(
            {"type": "SETRUP", "input_norm": False},
            _UPSAMPLED,
            lambda index, count: index - count,
            lambda config, index, count: enlarging_rules(config, f"auxiliary_decoders.{index}"),
        ),
    ),
    "APCNet": HeadMap(APCNetConfig, _COMMON | {"pool_scales": "pool_scales"}, _apcnet),
    "DMNet": HeadMap(DMNetConfig, _COMMON | {"filter_sizes": "filter_sizes", "is_fusion": "fusion"}, _dmnet),
    "ISANet": HeadMap(
        ISANetConfig, _COMMON | {"isa_channels": "attention_channels", "down_factor": "down_factor"}, _isanet
    ),
    "ANNNet": HeadMap(
        ANNNetConfig,
        _COMMON
        | {"transform_channels": "attention_channels", "query_scales": "stages", "key_pool_scales": "pool_scales"},
        _annnet,
        convert={"stages": len},
    ),
}
"""Their segmentors of this kind, with ours."""
