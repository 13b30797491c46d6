"""U-Net."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import UNetConfig
from segkit.models.interop.sssegmentation.backbones.reading import Arguments, BackboneMap, by, dropped_unless
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act


def _read_unet(given: Arguments) -> dict[str, Any]:
    upsample = Arguments(given.take("upsample_cfg", {"type": "InterpConv"}), "backbone.upsample_cfg")
    kind = upsample.take("type", "InterpConv")
    conv_first = upsample.take("conv_first", False) if kind == "InterpConv" else False
    if kind == "InterpConv":
        upsample.fixed(kernel_size=1, stride=1, padding=0)
        upsample.fixed(upsample_cfg={"scale_factor": 2, "mode": "bilinear", "align_corners": False})
    else:
        upsample.fixed(kernel_size=4, scale_factor=2)
    upsample.agree("type", kind, "InterpConv" if kind == "InterpConv" else "DeconvModule")
    upsample.finish()
    strides = given.take("strides", (1, 1, 1, 1, 1))
    return given.common() | {
        "base_channels": given.take("base_channels", 64),
        "stage_strides": strides,
        "downsamples": given.take("downsamples", (True, True, True, True)),
        "enc_num_convs": given.take("enc_num_convs", (2, 2, 2, 2, 2)),
        "dec_num_convs": given.take("dec_num_convs", (2, 2, 2, 2)),
        "enc_dilations": given.take("enc_dilations", (1, 1, 1, 1, 1)),
        "dec_dilations": given.take("dec_dilations", (1, 1, 1, 1)),
        "upsample": "interpolate" if kind == "InterpConv" else "deconv",
        "conv_first": conv_first,
        "out_indices": given.indices(tuple(range(len(strides))), len(strides)),
        "norm": given.norm(),
        "act": given.act("ReLU"),
    }


def _unet_rules(config: UNetConfig) -> Rules:
    rules: Rules = {}
    stages = len(config.stage_strides)
    for stage in range(stages):
        pooled = stage > 0 and config.downsamples[stage - 1] and config.stage_strides[stage] == 1
        rules |= _sequence(f"encoder.{stage}.{int(pooled)}.convs", f"encoder.{stage}", config.enc_num_convs[stage])
    for stage in range(stages - 1):  # they count the decoder's blocks from the finest, we as they are passed
        theirs, ours = f"decoder.{stage}", f"decoder.{stages - 2 - stage}"
        names = _sequence(f"{theirs}.conv_block.convs", f"{ours}.convs", config.dec_num_convs[stage])
        if not config.downsamples[stage]:
            names |= conv_norm_act(f"{theirs}.upsample", f"{ours}.enlarge")
        elif config.upsample == "deconv":
            names |= conv_norm_act(f"{theirs}.upsample.deconv_upsamping", f"{ours}.enlarge")
        else:
            place = 0 if config.conv_first else 1
            names |= conv_norm_act(f"{theirs}.upsample.interp_upsample.{place}", f"{ours}.enlarge.project")
        rules |= dropped_unless(stages - 2 - stage < max(config.out_indices), names)
    return rules


def _sequence(theirs: str, ours: str, count: int) -> Rules:
    rules: Rules = {}
    for i in range(count):
        rules |= conv_norm_act(f"{theirs}.{i}", f"{ours}.{i}")
    return rules


MAPS: Mapping[str, BackboneMap] = {"UNet": BackboneMap(UNetConfig, _read_unet, by(_unet_rules))}
