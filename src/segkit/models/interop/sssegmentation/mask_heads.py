"""Heads of SSSegmentation that predict masks: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import Mask2FormerConfig, MaskFormerConfig
from segkit.models.interop.sssegmentation.head_map import HeadMap
from segkit.models.interop.sssegmentation.rules import DROPPED, Rules, conv_norm_act, pyramid_pooling


def _attention(theirs: str, ours: str, norm: str) -> Rules:
    """An attention and the norm behind it; on both sides one matrix holds the projections of query, key and value."""
    return {theirs: f"{ours}.attention", f"{theirs}.out_proj": f"{ours}.attention.out_proj", norm: f"{ours}.norm"}


def _feed_forward(theirs: str, ours: str, norm: str) -> Rules:
    return {f"{theirs}.linear1": f"{ours}.widen", f"{theirs}.linear2": f"{ours}.narrow", norm: f"{ours}.norm"}


def _maskformer(config: MaskFormerConfig) -> Rules:
    rules = pyramid_pooling("ppm_net", "pixel_decoder.pool", "pixel_decoder.fuse_pooled")
    rules |= conv_norm_act("lateral_convs.#", "pixel_decoder.laterals.#")
    rules |= conv_norm_act("fpn_convs.#", "pixel_decoder.smooth.#")
    encoder, decoder = (f"decoder_predictor.transformer.{part}" for part in ("encoder", "decoder"))
    theirs, ours = f"{encoder}.layers.#", "query_decoder.encoder.#"
    rules |= _attention(f"{theirs}.self_attn", f"{ours}.self_attention", f"{theirs}.norm1")
    rules |= _feed_forward(theirs, f"{ours}.feed", f"{theirs}.norm2")
    theirs, ours = f"{decoder}.layers.#", "query_decoder.layers.#"
    rules |= _attention(f"{theirs}.self_attn", f"{ours}.self_attention", f"{theirs}.norm1")
    rules |= _attention(f"{theirs}.multihead_attn", f"{ours}.cross_attention", f"{theirs}.norm2")
    rules |= _feed_forward(theirs, f"{ours}.feed", f"{theirs}.norm3")
    return rules | {
        "decoder_mask.0": "pixel_decoder.project",
        f"{encoder}.norm": "query_decoder.encoder_norm",
        f"{decoder}.norm": "query_decoder.norm",
        "decoder_predictor.input_proj": "query_decoder.project",
        "decoder_predictor.query_embed": "query_decoder.queries",
        "decoder_predictor.class_embed": "classify",
        "decoder_predictor.mask_embed.layers.#": "embed_mask.layers.#",
        "criterion": DROPPED,  # the classes' weights, which belong to the configuration
    }


def _mask2former(config: Mask2FormerConfig) -> Rules:
    rules = conv_norm_act("pixel_decoder.input_proj.#", "pixel_decoder.project.#")
    rules |= conv_norm_act("pixel_decoder.lateral_convs.#", "pixel_decoder.laterals.#")
    rules |= conv_norm_act("pixel_decoder.output_convs.#", "pixel_decoder.smooth.#")
    theirs, ours = "pixel_decoder.transformer.encoder.layers.#", "pixel_decoder.encoder.layers.#"
    for linear in ("sampling_offsets", "attention_weights", "value_proj", "output_proj"):
        rules[f"{theirs}.self_attn.{linear}"] = f"{ours}.attention.{linear}"
    rules[f"{theirs}.norm1"] = f"{ours}.norm"
    rules |= _feed_forward(theirs, f"{ours}.feed", f"{theirs}.norm2")
    for kind, attention in (("self", "self_attn"), ("cross", "multihead_attn")):
        theirs = f"predictor.transformer_{kind}_attention_layers.#"
        ours = f"query_decoder.layers.#.{kind}_attention"
        rules |= _attention(f"{theirs}.{attention}", ours, f"{theirs}.norm")
    theirs = "predictor.transformer_ffn_layers.#"
    rules |= _feed_forward(theirs, "query_decoder.layers.#.feed", f"{theirs}.norm")
    return rules | {
        "pixel_decoder.transformer": "pixel_decoder.encoder",  # level_embed
        "pixel_decoder.mask_features": "pixel_decoder.to_cells",
        "predictor.input_proj.#": "query_decoder.project.#",
        "predictor.level_embed": "query_decoder.level_embed",
        "predictor.query_feat": "query_decoder.states",
        "predictor.query_embed": "query_decoder.queries",
        "predictor.decoder_norm": "query_decoder.norm",
        "predictor.class_embed": "query_decoder.classify",
        "predictor.mask_embed.layers.#": "query_decoder.embed_mask.layers.#",
        "criterion": DROPPED,
    }


_WEIGHTS = {f"matcher.cost_{name}": f"{name}_weight" for name in ("class", "mask", "dice")}
_PREDICTOR = {
    f"predictor.{theirs}": ours
    for theirs, ours in {
        "in_channels": "",
        "num_classes": "",
        "mask_dim": "",
        "mask_classification": "",
        "hidden_dim": "query_channels",
        "num_queries": "num_queries",
        "nheads": "num_heads",
        "dim_feedforward": "feedforward_channels",
        "dec_layers": "decoder_layers",
        "pre_norm": "pre_norm",
        "enforce_input_project": "project_always",
    }.items()
}
_AS_THEIRS = {"count_ignored": True}

MASK_HEADS: Mapping[str, HeadMap] = {
    "MaskFormer": HeadMap(
        MaskFormerConfig,
        {
            "feats_channels": "channels",
            "pool_scales": "pool_scales",
            "mask_feats_channels": "mask_channels",
            **_WEIGHTS,
            **_PREDICTOR,
            "predictor.dropout": "dropout",
            "predictor.enc_layers": "encoder_layers",
            "predictor.deep_supervision": "deep_supervision",
            "predictor.norm_cfg": "",
            "predictor.act_cfg": "",
        },
        _maskformer,
        fixed=_AS_THEIRS,
        losses=None,
    ),
    "Mask2Former": HeadMap(
        Mask2FormerConfig,
        {
            "deep_supervision": "deep_supervision",
            **_WEIGHTS,
            "matcher.num_points": "match_points",
            **_PREDICTOR,
            "pixel_decoder.common_stride": "",
            "pixel_decoder.input_shape": "",
            "pixel_decoder.transformer_in_features": "encoder_levels",
            "pixel_decoder.transformer_dropout": "dropout",
            "pixel_decoder.transformer_nheads": "encoder_heads",
            "pixel_decoder.transformer_dim_feedforward": "encoder_feedforward_channels",
            "pixel_decoder.transformer_enc_layers": "encoder_layers",
            "pixel_decoder.conv_dim": "channels",
            "pixel_decoder.mask_dim": "mask_channels",
            "pixel_decoder.norm_cfg": "norm",
            "pixel_decoder.act_cfg": "act",
            "criterion.losses": "",
            "criterion.eos_coef": "no_object_weight",
            "criterion.pixelsampler_cfg.type": "",
            "criterion.pixelsampler_cfg.reformat_target": "",
            "criterion.pixelsampler_cfg.num_points": "num_points",
            "criterion.pixelsampler_cfg.oversample_ratio": "oversample_ratio",
            "criterion.pixelsampler_cfg.importance_sample_ratio": "importance_ratio",
        },
        _mask2former,
        fixed=_AS_THEIRS,
        losses=None,
        convert={
            "encoder_levels": len,
            "decoder_layers": lambda count: count - 1,  # they count the prediction of the queries alone
        },
    ),
}
"""Their segmentors of this kind that we have."""
