"""Heads of SSSegmentation that relate cells to cells or to classes: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import OCRNetConfig
from segkit.models.interop.sssegmentation.head_map import HeadMap
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act


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


_COMMON = {"feats_channels": "channels", "transform_channels": "attention_channels", "dropout": "dropout"}

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
}
"""Their segmentors of this kind, with ours."""
