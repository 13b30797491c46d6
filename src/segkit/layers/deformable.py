"""Transformer layers whose attention looks at a few points of several maps (Zhu et al., 2021, arXiv:2010.04159)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.layers.attention import FeedForward
from segkit.ops.deformable import deformable_attention
from segkit.ops.points import cell_centres

Size = tuple[int, int]


class DeformableAttention(nn.Module):
    """Each token looks at ``num_points`` places of each level around its own; where, and how much, it tells itself.

    Args:
        channels: D, a multiple of ``num_heads``.
        num_heads: heads that the channels are dealt out to.
        num_levels: maps that are looked at.
        num_points: places in each, for each head.

    Shape:
        - Input: query and tokens (N, L, D), the tokens of all levels one after the other, row by row; the levels'
          sizes (height, width); references (L, 2), where the queries lie, (x, y) from 0 to 1.
        - Output: (N, L, D).
    """

    def __init__(self, channels: int, num_heads: int, num_levels: int, num_points: int = 4) -> None:
        super().__init__()
        self.shape = (num_heads, num_levels, num_points)
        self.sampling_offsets = nn.Linear(channels, 2 * math.prod(self.shape))
        self.attention_weights = nn.Linear(channels, math.prod(self.shape))
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self._initialize()

    def forward(self, query: Tensor, tokens: Tensor, sizes: Sequence[Size], references: Tensor) -> Tensor:
        heads, levels, points = self.shape
        values = self.value_proj(tokens).transpose(1, 2).unflatten(1, (heads, -1))  # (N, heads, D / heads, L)
        parts = values.split([height * width for height, width in sizes], dim=3)
        maps = [part.unflatten(3, size) for part, size in zip(parts, sizes, strict=True)]
        weights = self.attention_weights(query).unflatten(2, (heads, levels * points)).softmax(dim=3)
        offsets = self.sampling_offsets(query).unflatten(2, (heads, levels, points, 2))
        scale = torch.tensor([(width, height) for height, width in sizes], dtype=query.dtype, device=query.device)
        locations = references[:, None, None, None] + offsets / scale[:, None]
        return self.output_proj(deformable_attention(maps, locations, weights.unflatten(3, (levels, points))))

    def _initialize(self) -> None:
        """Each head looks in a direction of its own, one cell further with each point, at all of them alike."""
        heads, levels, points = self.shape
        angles = torch.arange(heads) * (2 * math.pi / heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=1)
        directions = directions / directions.abs().amax(dim=1, keepdim=True)
        steps = directions[:, None, None] * torch.arange(1, points + 1)[:, None]  # (heads, 1, points, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(steps.expand(-1, levels, -1, -1).flatten())
        for zeroed in (self.sampling_offsets.weight, self.attention_weights.weight, self.attention_weights.bias):
            nn.init.zeros_(zeroed)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)


class DeformableEncoderLayer(nn.Module):
    """Deformable attention and a feed forward network, each added to its input and normalised.

    Args:
        channels: D.
        num_heads: heads of the attention.
        num_levels: maps that are looked at.
        hidden_channels: width inside the feed forward network.
        dropout: share dropped in training.

    Shape:
        - Input: tokens and their positions (N, L, D); sizes and references as in :class:`DeformableAttention`.
        - Output: (N, L, D).
    """

    def __init__(self, channels: int, num_heads: int, num_levels: int, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, num_heads, num_levels)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(channels)
        self.feed = FeedForward(channels, hidden_channels, dropout=dropout)

    def forward(self, tokens: Tensor, positions: Tensor, sizes: Sequence[Size], references: Tensor) -> Tensor:
        mixed = self.attention(tokens + positions, tokens, sizes, references)
        return self.feed(self.norm(tokens + self.dropout(mixed)))


def token_references(sizes: Sequence[Size], device: torch.device) -> Tensor:
    """Where the tokens of all levels lie: (L, 2), (x, y) from 0 to 1."""
    indices = (torch.arange(height * width, device=device) for height, width in sizes)
    return torch.cat([cell_centres(index, size) for index, size in zip(indices, sizes, strict=True)])
