"""Backbones: what timm has comes through one adapter, named variants are YAML."""

from segkit.config.backbones.base import (
    Backbone,
    BackboneConfig,
    ConvolutionalConfig,
    DropPathConfig,
    LayerNormedConfig,
    OwnBackboneConfig,
    PyramidConfig,
)
from segkit.config.backbones.bisenet import BiSeNetV1Config, BiSeNetV2Config
from segkit.config.backbones.cgnet import CGNetConfig
from segkit.config.backbones.convnext import ConvNeXtConfig, ConvNeXtFamilyConfig, ConvNeXtV2Config
from segkit.config.backbones.erfnet import ERFNetConfig
from segkit.config.backbones.fastscnn import FastSCNNConfig
from segkit.config.backbones.hrnet import HRNetConfig
from segkit.config.backbones.mit import MixVisionTransformerConfig
from segkit.config.backbones.mobilenet import MobileNetV2Config, MobileNetV3Config
from segkit.config.backbones.mobilevit import MobileViTConfig, MobileViTFamilyConfig, MobileViTV2Config
from segkit.config.backbones.plain import (
    BEiTConfig,
    BEiTFamilyConfig,
    MAEConfig,
    PlainTransformerConfig,
    VisionTransformerConfig,
)
from segkit.config.backbones.resnet import ResNeStConfig, ResNetConfig, ResNetFamilyConfig
from segkit.config.backbones.swin import SwinTransformerConfig
from segkit.config.backbones.timm_backbone import TIMMBackboneConfig
from segkit.config.backbones.transformer import (
    HierarchicalTransformerConfig,
    TransformerConfig,
    UniformTransformerConfig,
)
from segkit.config.backbones.twins import PCPVTConfig, SVTConfig, TwinsConfig
from segkit.config.backbones.unet import UNetConfig

__all__ = [
    "BEiTConfig",
    "BEiTFamilyConfig",
    "Backbone",
    "BackboneConfig",
    "BiSeNetV1Config",
    "BiSeNetV2Config",
    "CGNetConfig",
    "ConvNeXtConfig",
    "ConvNeXtFamilyConfig",
    "ConvNeXtV2Config",
    "ConvolutionalConfig",
    "DropPathConfig",
    "ERFNetConfig",
    "FastSCNNConfig",
    "HRNetConfig",
    "HierarchicalTransformerConfig",
    "LayerNormedConfig",
    "MAEConfig",
    "MixVisionTransformerConfig",
    "MobileNetV2Config",
    "MobileNetV3Config",
    "MobileViTConfig",
    "MobileViTFamilyConfig",
    "MobileViTV2Config",
    "OwnBackboneConfig",
    "PCPVTConfig",
    "PlainTransformerConfig",
    "PyramidConfig",
    "ResNeStConfig",
    "ResNetConfig",
    "ResNetFamilyConfig",
    "SVTConfig",
    "SwinTransformerConfig",
    "TIMMBackboneConfig",
    "TransformerConfig",
    "TwinsConfig",
    "UNetConfig",
    "UniformTransformerConfig",
    "VisionTransformerConfig",
]
