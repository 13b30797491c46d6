"""ResNet and ResNeSt."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import ResNeStConfig, ResNetConfig
from segkit.models.interop.sssegmentation.backbones.reading import Arguments, BackboneMap, by, staged
from segkit.models.interop.sssegmentation.rules import Rules


def read_resnet(given: Arguments) -> dict[str, Any]:
    """The fields of our config; BiSeNet has one inside, too."""
    return given.common() | {
        "depth": given.take("depth", 101),
        "output_stride": given.take("outstride", 8),
        "deep_stem": given.take("use_conv3x3_stem", True),
        "stem_channels": given.take("stem_channels", 64),
        "base_channels": given.take("base_channels", 64),
        "contract_dilation": given.take("contract_dilation", True),
        "avg_down": given.take("use_avg_for_downsample", False),
        "style": given.take("style", "pytorch"),
        "out_indices": given.indices((0, 1, 2, 3), 4),
        "norm": given.norm(),
        "act": given.act("ReLU"),
    }


def resnet_rules(config: ResNetConfig) -> Rules:
    """The names of its parameters."""
    plain = {"conv1": "model.conv1", "bn1": "model.bn1"}
    return (_deep_stem_rules() if config.deep_stem else plain) | _residual_rules(config)


def _deep_stem_rules() -> Rules:
    return {f"stem.{i}": f"model.conv1.{i}" for i in (0, 1, 3, 4, 6)} | {"stem.7": "model.bn1"}


def _residual_rules(config: ResNetConfig | ResNeStConfig) -> Rules:
    names = ("layer#.#.conv#", "layer#.#.bn#", "layer#.#.downsample.#")
    return staged({name: f"model.{name}" for name in names}, config, first=1)


def _read_resnest(given: Arguments) -> dict[str, Any]:
    given.fixed(groups=1, base_width=4, radix=2, reduction_factor=4, use_avg_after_block_conv2=True)
    given.fixed(use_conv3x3_stem=True, use_avg_for_downsample=True, base_channels=64, style="pytorch")
    given.fixed_act("ReLU")
    return given.common() | {
        "depth": given.take("depth", 101),
        "output_stride": given.take("outstride", 8),
        "stem_channels": given.take("stem_channels", 128),
        "contract_dilation": given.take("contract_dilation", True),
        "out_indices": given.indices((0, 1, 2, 3), 4),
        "norm": given.norm(),
    }


def _resnest_rules(config: ResNeStConfig) -> Rules:
    inside = ("conv", "bn0", "fc1", "bn1", "fc2")
    split = {f"layer#.#.conv2.{part}": f"model.layer#.#.conv2.{part}" for part in inside}
    return _deep_stem_rules() | _residual_rules(config) | staged(split, config, first=1)


MAPS: Mapping[str, BackboneMap] = {
    "ResNet": BackboneMap(ResNetConfig, read_resnet, by(resnet_rules)),
    "ResNeSt": BackboneMap(ResNeStConfig, _read_resnest, by(_resnest_rules)),
}
