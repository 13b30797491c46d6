"""Attention of tokens to tokens (Vaswani et al., 2017, arXiv:1706.03762), and the blocks made of it."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Each query becomes a mean of the values, weighted by how well their keys fit it, in each head by itself.

    Args:
        channels: D, of queries, keys, values and the outcome; a multiple of ``num_heads``.
        num_heads: heads that the channels are dealt out to.
        dropout: share of the weights dropped in training.

    Shape:
        - Input: query (N, L, D), key and value (N, S, D); ``blocked`` (N, L, S) bool, true where a query must not look.
        - Output: (N, L, D).
    """

    def __init__(self, channels: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        # Queries', keys' and values' projections on top of each other, as in torch's own and in published weights.
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None = None) -> Tensor:
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias)
            .unflatten(2, (self.num_heads, -1))
            .transpose(1, 2)  # (N, heads, tokens, D / heads)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        allowed = None if blocked is None else ~blocked.unsqueeze(1)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class AttentionBlock(nn.Module):
    """Attention added to its input, normalised after it, or before.

    Args:
        channels: D.
        num_heads: heads of the attention.
        dropout: share of the attention's weights, and of its outcome, dropped in training.
        pre_norm: normalise the input of the attention, not the sum.

    Shape:
        - Input: x and positions (N, L, D), which query together; key and value (N, S, D), None for those of x itself;
          ``blocked`` as in :class:`MultiHeadAttention`.
        - Output: (N, L, D).
    """

    def __init__(self, channels: int, num_heads: int, *, dropout: float = 0.0, pre_norm: bool = False) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = MultiHeadAttention(channels, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        blocked: Tensor | None = None,
    ) -> Tensor:
        inner = self.norm(x) if self.pre_norm else x
        query = inner + positions
        mixed = self.attention(query, query if key is None else key, inner if value is None else value, blocked)
        x = x + self.dropout(mixed)
        return x if self.pre_norm else self.norm(x)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between, added to their input: (N, L, D) -> the same.

    Args:
        channels: D.
        hidden_channels: width between the two.
        dropout: share dropped in training, there and of the outcome.
        pre_norm: normalise the input, not the sum.
    """

    def __init__(self, channels: int, hidden_channels: int, *, dropout: float = 0.0, pre_norm: bool = False) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.widen = nn.Linear(channels, hidden_channels)
        self.narrow = nn.Linear(hidden_channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(channels)
        nn.init.xavier_uniform_(self.widen.weight)
        nn.init.xavier_uniform_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(x) if self.pre_norm else x
        x = x + self.dropout(self.narrow(self.dropout(self.widen(inner).relu())))
        return x if self.pre_norm else self.norm(x)


class MLP(nn.Module):
    """Linear layers with ReLU between them: (..., widths[0]) -> (..., widths[-1])."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)
