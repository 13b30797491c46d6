"""U-Net (Ronneberger et al., 2015, arXiv:1505.04597)."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.backbones import UNetConfig
from segkit.layers.act import build_act
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import build_norm
from segkit.models.backbones.own import OwnBackbone
from segkit.ops.resize import resize
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec


@BACKBONES.register(UNetConfig)
class UNet(OwnBackbone):
    """Encoder and decoder with shortcuts at every resolution; images may have any size.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: maps ``out_indices``. Map 0 is the encoder's coarsest, the last the decoder's finest; the map at
          encoder stage i has base_channels * 2**i channels.
    """

    def build(self, config: UNetConfig) -> list[FeatureSpec]:
        strides = config.encoder_strides
        widths = [config.base_channels * 2**stage for stage in range(len(strides))]
        self.halves = (False, *config.downsamples)
        self.pools = [halves and step == 1 for halves, step in zip(self.halves, config.stage_strides, strict=True)]
        self.encoder = nn.ModuleList(
            _convs(before, width, count, stride=stride, dilation=dilation)
            for before, width, count, stride, dilation in zip(
                (config.image_channels, *widths[:-1]),
                widths,
                config.enc_num_convs,
                config.stage_strides,
                config.enc_dilations,
                strict=True,
            )
        )
        self.decoder = nn.ModuleList(
            _DecoderBlock(widths[stage + 1], widths[stage], config, stage)
            for stage in reversed(range(len(widths) - 1 - max(self.out_indices), len(widths) - 1))
        )
        return [FeatureSpec(width, stride) for width, stride in zip(widths, strides, strict=True)][::-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        encoded = []
        x = images
        for stage, pools in zip(self.encoder, self.pools, strict=True):
            if pools:
                x = F.max_pool2d(x, 2, ceil_mode=True)  # a last odd row or column is no less than the others
            x = self.run(stage, x)
            encoded.append(x)
        maps = [x]
        for block, skip in zip(self.decoder, encoded[-2::-1], strict=False):
            maps.append(self.run(block, maps[-1], skip))
        return maps


class _DecoderBlock(nn.Module):
    """Joins a coarse map with the encoder's next finer one: (N, C, h, w), (N, c, H, W) -> (N, c, H, W)."""

    def __init__(self, in_channels: int, channels: int, config: UNetConfig, stage: int) -> None:
        super().__init__()
        if not config.downsamples[stage]:
            self.enlarge: nn.Module = ConvNormAct(in_channels, channels, 1)
        elif config.upsample == "deconv":
            self.enlarge = _Deconv(in_channels, channels)
        else:
            self.enlarge = _Interpolation(in_channels, channels, conv_first=config.conv_first)
        self.convs = _convs(2 * channels, channels, config.dec_num_convs[stage], dilation=config.dec_dilations[stage])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        height, width = skip.shape[-2:]
        # Cells cover twice as many pixels as the finer ones; the last may reach over the edge.
        enlarged = self.enlarge(x)[..., :height, :width]
        return self.convs(torch.cat([skip, enlarged], dim=1))


class _Interpolation(nn.Module):
    """Doubles height and width bilinearly: (N, C, H, W) -> (N, c, 2 H, 2 W)."""

    def __init__(self, in_channels: int, channels: int, *, conv_first: bool) -> None:
        super().__init__()
        self.conv_first = conv_first
        self.project = ConvNormAct(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = (2 * x.shape[-2], 2 * x.shape[-1])
        if self.conv_first:
            return resize(self.project(x), size, align_corners=False)
        return self.project(resize(x, size, align_corners=False))


class _Deconv(nn.Module):
    """Doubles height and width by a transposed convolution: (N, C, H, W) -> (N, c, 2 H, 2 W)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, channels, 4, stride=2, padding=1)
        self.norm = build_norm(channels)
        self.act = build_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def _convs(in_channels: int, channels: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolutions; the first one strides, the others dilate."""
    widths = itertools.pairwise([in_channels, *[channels] * count])
    return nn.Sequential(
        *(
            ConvNormAct(before, after, 3, dilation=dilation) if i else ConvNormAct(before, after, 3, stride=stride)
            for i, (before, after) in enumerate(widths)
        )
    )
