"""BiSeNet (Yu et al., 2018, arXiv:1808.00897)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from segkit.config.backbones import BiSeNetV1Config
from segkit.layers.conv import ConvNormAct
from segkit.models.backbones.own import OwnBackbone
from segkit.ops.resize import resize
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

_CONTEXT8, _CONTEXT16, _FUSED = range(3)


@BACKBONES.register(BiSeNetV1Config)
class BiSeNetV1(OwnBackbone):
    """A shallow path for detail beside a ResNet for context.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: maps ``out_indices`` of: context at stride 8 and at stride 16, context_channels wide; the fusion at
          stride 8, ``channels`` wide.
    """

    def build(self, config: BiSeNetV1Config) -> list[FeatureSpec]:
        width, detail = config.context_channels, config.spatial_channels
        context = replace(
            config.context,
            in_channels=config.image_channels,
            grad_checkpointing=config.grad_checkpointing or config.context.grad_checkpointing,
        )
        self.context = BACKBONES.build(context)
        *_, middle, last = (feature.channels for feature in self.context.features)
        self.pooled = ConvNormAct(last, width, 1)
        self.refine32 = _Refinement(last, width)
        self.smooth32 = ConvNormAct(width, width, 3)
        if _CONTEXT8 in self.out_indices or _FUSED in self.out_indices:
            self.refine16 = _Refinement(middle, width)
            self.smooth16 = ConvNormAct(width, width, 3)
        if _FUSED in self.out_indices:
            self.spatial = nn.Sequential(
                ConvNormAct(config.image_channels, detail[0], 7, stride=2),
                ConvNormAct(detail[0], detail[1], 3, stride=2),
                ConvNormAct(detail[1], detail[2], 3, stride=2),
                ConvNormAct(detail[2], detail[3], 1),
            )
            self.fusion = _Fusion(detail[3] + width, config.channels)
        widths = (width, width, config.channels)
        return [FeatureSpec(*spec) for spec in zip(widths, config.STRIDES, strict=True)]

    def maps(self, images: Tensor) -> dict[int, Tensor]:
        _, x8, x16, x32 = self.context(images)
        coarse = self.refine32(x32) + self.pooled(_mean(x32))
        maps = {_CONTEXT16: self.smooth32(_enlarge(coarse, x16))}
        if hasattr(self, "refine16"):
            maps[_CONTEXT8] = self.smooth16(_enlarge(self.refine16(x16) + maps[_CONTEXT16], x8))
        if hasattr(self, "fusion"):
            maps[_FUSED] = self.fusion(self.run(self.spatial, images), maps[_CONTEXT8])
        return maps


class _Refinement(nn.Module):
    """Convolves, then weighs the channels by their means: (N, C, H, W) -> (N, channels, H, W)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, channels, 3)
        self.gate = ConvNormAct(channels, channels, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.gate(_mean(x)).sigmoid()


class _Fusion(nn.Module):
    """Joins detail and context, and stresses channels by their means."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, channels, 1)
        self.gate = ConvNormAct(channels, channels, 1)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.conv(torch.cat([detail, context], dim=1))
        return x * self.gate(_mean(x)).sigmoid() + x


def _mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _enlarge(x: Tensor, reference: Tensor) -> Tensor:
    height, width = reference.shape[-2:]
    return resize(x, (height, width), align_corners=False, mode="nearest")
