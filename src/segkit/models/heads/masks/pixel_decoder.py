"""Mask2Former's pixel decoder: coarse levels exchange by deformable attention, then flow into the finer ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import Mask2FormerConfig
from segkit.layers.conv import ConvNormAct
from segkit.layers.deformable import DeformableEncoderLayer, token_references
from segkit.layers.position import sine_positions
from segkit.ops.resize import resize_like


class DeformableEncoder(nn.Module):
    """All levels' cells as one sequence of tokens, each looking at a few places of every level.

    Args:
        config: the options.
        num_levels: maps that come in.

    Shape:
        - Input: maps (N, D, H_i, W_i), coarsest first.
        - Output: the same.
    """

    def __init__(self, config: Mask2FormerConfig, num_levels: int) -> None:
        super().__init__()
        width = config.channels
        self.level_embed = nn.Parameter(torch.randn(num_levels, width))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                width, config.encoder_heads, num_levels, config.encoder_feedforward_channels, config.dropout
            )
            for _ in range(config.encoder_layers)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        width, device = maps[0].shape[1], maps[0].device
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
        places = [
            sine_positions(size, width, device) + level for size, level in zip(sizes, self.level_embed, strict=True)
        ]
        positions, references = torch.cat(places), token_references(sizes, device)
        for layer in self.layers:
            tokens = layer(tokens, positions, sizes, references)
        parts = tokens.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
        return [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]


class DeformablePixelDecoder(nn.Module):
    """Features to maps that queries look at, and to the cells that masks are made of.

    Args:
        config: the options; its normalisation and activation are in force while this is built.
        channels: of each feature, finest first.

    Attributes:
        num_maps: how many maps come out, at most three.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``channels``.
        - Output: ``num_maps`` maps (N, channels, H, W), coarsest first; cells (N, mask_channels, H_0, W_0).
    """

    def __init__(self, config: Mask2FormerConfig, channels: Sequence[int]) -> None:
        super().__init__()
        width = config.channels
        self.encoded = min(config.encoder_levels, len(channels))
        coarse = list(reversed(channels))
        self.project = nn.ModuleList(
            ConvNormAct(wide, width, 1, act=False, bias=True) for wide in coarse[: self.encoded]
        )
        self.encoder = DeformableEncoder(config, self.encoded)
        self.laterals = nn.ModuleList(ConvNormAct(wide, width, 1, act=False) for wide in coarse[self.encoded :])
        self.smooth = nn.ModuleList(ConvNormAct(width, width, 3) for _ in self.laterals)
        self.to_cells = nn.Conv2d(width, config.mask_channels, 1)
        self.num_maps = min(len(channels), 3)
        self._initialize()

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        # In float32, as the paper has it: half has too few digits to say where on a map to look.
        with torch.autocast(features[0].device.type, enabled=False):
            coarse = [x.float() for x in reversed(features)]
            projected = [project(x) for project, x in zip(self.project, coarse[: self.encoded], strict=True)]
            maps = self.encoder(projected)
            for lateral, smooth, x in zip(self.laterals, self.smooth, coarse[self.encoded :], strict=True):
                own = lateral(x)
                maps.append(smooth(own + resize_like(maps[-1], own)))
            return maps[: self.num_maps], self.to_cells(maps[-1])

    def _initialize(self) -> None:
        for block in self.project.modules():
            if isinstance(block, nn.Conv2d):
                nn.init.xavier_uniform_(block.weight)
        for conv in (*self.laterals.modules(), *self.smooth.modules(), self.to_cells):
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_uniform_(conv.weight, a=1)
        for conv in (*self.project.modules(), *self.laterals.modules(), *self.smooth.modules(), self.to_cells):
            if isinstance(conv, nn.Conv2d) and conv.bias is not None:
                nn.init.zeros_(conv.bias)
