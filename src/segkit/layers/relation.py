"""Attention of every cell to every cell of a map, or to a list of vectors."""

import torch.nn.functional as F
from torch import Tensor, nn

from segkit.layers.conv import ConvNormAct


class Relation(nn.Module):
    """Each cell of a map becomes a mean over the cells of another, weighted by similarity (arXiv:1711.07971).

    The block that object context, class memories and position attention share: 1x1 convolutions make queries, keys
    and values; the result may be projected back. There is no residual.

    Args:
        query_channels: of the map that asks.
        key_channels: of the map that answers.
        channels: D, width of queries and keys.
        out_channels: of the result.
        num_convs: convolutions that make queries and keys.
        norm: whether those of queries and keys are normalised and activated; if not they are plain.
        value_norm: likewise, of values and of the projection.
        scaled: whether products are divided by sqrt(D).
        project: whether values have D channels and are projected; else they have ``out_channels`` at once.
        shared: whether queries and keys are made by the same convolutions.

    Shape:
        - Input: (N, query_channels, H, W) and (N, key_channels, h, w).
        - Output: (N, out_channels, H, W).
    """

    def __init__(
        self,
        query_channels: int,
        key_channels: int,
        channels: int,
        out_channels: int,
        *,
        num_convs: int = 2,
        norm: bool = True,
        value_norm: bool = True,
        scaled: bool = True,
        project: bool = True,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.scale = channels**-0.5 if scaled else 1.0
        self.query = _projections(query_channels, channels, num_convs, norm)
        self.key = self.query if shared else _projections(key_channels, channels, num_convs, norm)
        width = channels if project else out_channels
        self.value = _projection(key_channels, width, value_norm)
        self.out = _projection(width, out_channels, value_norm) if project else nn.Identity()

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return self.out(attend(self.query(query), self.key(key), self.value(key), scale=self.scale))


def attend(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
    """Means of ``value`` (N, C, h, w) with softmax weights of ``key`` (N, D, h, w) for ``query`` (N, D, H, W).

    Returns:
        (N, C, H, W).
    """
    q, k, v = (x.flatten(2).transpose(1, 2).unsqueeze(1) for x in (query, key, value))  # (N, 1, cells, channels)
    context = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return context.squeeze(1).transpose(1, 2).unflatten(2, query.shape[-2:])


def _projections(in_channels: int, channels: int, count: int, norm: bool) -> nn.Sequential:
    return nn.Sequential(*(_projection(channels if i else in_channels, channels, norm) for i in range(count)))


def _projection(in_channels: int, channels: int, norm: bool) -> ConvNormAct:
    return ConvNormAct(in_channels, channels, 1, norm=norm, act=norm, bias=False)
