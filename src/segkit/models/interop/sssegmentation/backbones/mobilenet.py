"""MobileNetV2 and MobileNetV3."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import MobileNetV2Config, MobileNetV3Config
from segkit.models.interop.sssegmentation.backbones.reading import DROPPED, Arguments, BackboneMap, by
from segkit.models.interop.sssegmentation.rules import Rules


def _read_mobilenetv2(given: Arguments) -> dict[str, Any]:
    return given.common() | {
        "width": float(given.take("widen_factor", 1)),
        "output_stride": given.take("outstride", 8),
        "out_indices": given.indices((1, 2, 4, 6), 7),
        "norm": given.norm(),
        "act": given.act("ReLU6"),
    }


def _mobilenetv2_rules(config: MobileNetV2Config) -> Rules:
    rules = {"conv1.conv": "model.conv_stem", "conv1.bn": "model.bn1"}
    for stage in range(7):
        convs = ("conv_dw", "conv_pw") if stage == 0 else ("conv_pw", "conv_dw", "conv_pwl")
        for i, conv in enumerate(convs):
            for theirs, ours in (("conv", conv), ("bn", f"bn{i + 1}")):
                target = f"model.blocks.{stage}.#.{ours}" if stage <= max(config.out_indices) else DROPPED
                rules[f"layer{stage + 1}.#.conv.{i}.{theirs}"] = target
    return rules


def _read_mobilenetv3(given: Arguments) -> dict[str, Any]:
    arch = given.take("arch_type", "large")
    given.fixed_act("HardSwish")
    count = {"large": 17, "small": 13}[arch]
    return given.common() | {
        "arch": arch,
        "output_stride": given.take("outstride", 8),
        "reduction_factor": given.take("reduction_factor", 1),
        "out_indices": given.indices((1, 3, 16), count),
        "norm": given.norm(),
    }


def _mobilenetv3_rules(config: MobileNetV3Config) -> Rules:
    rules = {"layer0.conv": "model.conv_stem", "layer0.bn": "model.bn1"}
    lengths = {"large": (1, 2, 3, 4, 2, 3, 1), "small": (1, 2, 3, 2, 3, 1)}[config.arch]
    places = [f"model.blocks.{stage}.{i}" for stage, length in enumerate(lengths) for i in range(length)]
    expands = {"expand_conv": "conv_pw", "depthwise_conv": "conv_dw", "linear_conv": "conv_pwl"}
    first = {"depthwise_conv": "conv_dw", "linear_conv": "conv_pw"}  # it does not expand
    for layer, place in enumerate(places, 1):
        parts = {f"se.conv{i}.conv": f"{place}.se.conv_{name}" for i, name in ((1, "reduce"), (2, "expand"))}
        for i, (theirs, ours) in enumerate((first if layer == 1 else expands).items(), 1):
            parts |= {f"{theirs}.conv": f"{place}.{ours}", f"{theirs}.bn": f"{place}.bn{i}"}
        if layer == len(places):
            parts = {"conv": f"{place}.conv", "bn": f"{place}.bn1"}
        kept = layer <= max(config.layers)
        rules |= {f"layer{layer}.{theirs}": ours if kept else DROPPED for theirs, ours in parts.items()}
    return rules


MAPS: Mapping[str, BackboneMap] = {
    "MobileNetV2": BackboneMap(MobileNetV2Config, _read_mobilenetv2, by(_mobilenetv2_rules)),
    "MobileNetV3": BackboneMap(MobileNetV3Config, _read_mobilenetv3, by(_mobilenetv3_rules)),
}
