"""Heads of SSSegmentation that gather context by attention, codes, cascades: arguments and parameter names."""

from collections.abc import Mapping

from segkit.config.heads import CCNetConfig, EMANetConfig, ENCNetConfig, PSANetConfig
from segkit.models.interop.sssegmentation.head_map import HeadMap
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act


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
}
"""Their segmentors of this kind, with ours."""
