"""Small backbones, by the names of all."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import BackboneConfig, ResNetConfig
from segkit.registry import BACKBONES

_VIT = {"embed_dim": 24, "depth": 4, "num_heads": 3, "image_size": (64, 96), "out_indices": (0, 1, 2, 3)}
_TWINS = {"embed_dims": (8, 16, 24, 32), "num_heads": (1, 2, 3, 4), "drop_path": 0.0}
_CONVNEXT = {"depths": (1, 1, 2, 1), "channels": (8, 16, 24, 32)}

_SMALL: Mapping[str, Mapping[str, Any]] = {
    "ResNet": {"depth": 18, "base_channels": 16},
    "ConvNeXt": _CONVNEXT | {"layer_scale_init": 1.0},
    "ConvNeXtV2": _CONVNEXT,
    "SwinTransformer": {"embed_dim": 12, "depths": (2, 2, 2, 2), "drop_path": 0.0},
    "MixVisionTransformer": {"embed_dim": 8, "drop_path": 0.0},
    "UNet": {"base_channels": 8},
    "BiSeNetV1": {"context": ResNetConfig(depth=18, output_stride=32, base_channels=16, deep_stem=True)},
    "CGNet": {"num_blocks": (2, 3)},
    "ERFNet": {"enc_blocks": (2, 2), "dilations": (2, 4), "dropout": 0.0},
    "VisionTransformer": _VIT,
    "BEiT": _VIT | {"drop_path": 0.0},
    "MAE": _VIT | {"drop_path": 0.0},
    "HRNet": {"width": 8, "small": True},
    "PCPVT": _TWINS | {"depths": (2, 1, 1, 2)},
    "SVT": _TWINS | {"depths": (2, 2, 1, 2)},
    "MobileViT": {"arch": "xx_small"},
    "MobileViTV2": {"width": 0.5},
}
"""Options that make a backbone fast without leaving out any of its parts."""


def small(name: str, **options: Any) -> BackboneConfig:
    """The config of the type, with parts as small as they go, and ``options``."""
    made: BackboneConfig = BACKBONES.config(name)(**{**_SMALL.get(name, {}), **options})
    return made
