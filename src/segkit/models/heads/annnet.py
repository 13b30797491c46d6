"""ANNNet's head (Zhu et al., 2019, arXiv:1908.07678)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import ANNNetConfig
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import Relation, attend
from segkit.models.heads.base import Head
from segkit.ops.pooling import grid_means
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class PooledRelation(Relation):
    """Attention to the means of a map over several grids, instead of to its cells.

    Args:
        query_channels: of the map that asks.
        key_channels: of the map that answers.
        config: widths and grids.
        out_channels: of the result.
        shared: whether queries and keys are made by the same convolution.

    Shape:
        - Input: (N, query_channels, H, W) and (N, key_channels, h, w).
        - Output: (N, out_channels, H, W).
    """

    def __init__(
        self, query_channels: int, key_channels: int, config: ANNNetConfig, out_channels: int, *, shared: bool
    ) -> None:
        width = config.attention_channels
        super().__init__(
            query_channels, key_channels, width, out_channels, num_convs=1, value_norm=False, shared=shared
        )
        self.pool_scales = config.pool_scales

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        keys, values = self._pool(self.key(key)), self._pool(self.value(key))
        return self.out(attend(self.query(query), keys, values, scale=self.scale))

    def _pool(self, x: Tensor) -> Tensor:
        return torch.cat([grid_means(x, scale).flatten(2) for scale in self.pool_scales], dim=2).unsqueeze(3)


@HEADS.register(ANNNetConfig)
class ANNNet(Head):
    """Asks the feature before the deepest one for context, then the outcome itself.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last two are read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: ANNNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels = features[-1].channels, config.channels
        lower = features[-2:][0].channels
        self.across = nn.ModuleList(
            PooledRelation(width, lower, config, width, shared=False) for _ in range(config.stages)
        )
        self.fuse_across = ConvNormAct(2 * width, width, 1, act=False)
        self.dropout = nn.Dropout2d(config.dropout)  # here, and not before the classifier
        self.reduce = ConvNormAct(width, channels, 3)
        self.within = nn.ModuleList(
            PooledRelation(channels, channels, config, channels, shared=True) for _ in range(config.stages)
        )
        self.fuse_within = ConvNormAct(2 * channels, channels, 1)
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        lower, x = features[-2:][0], features[-1]
        context = torch.stack([relation(x, lower) for relation in self.across]).sum(dim=0)
        x = self.reduce(self.dropout(self.fuse_across(torch.cat([context, x], dim=1))))
        context = torch.stack([relation(x, x) for relation in self.within]).sum(dim=0)
        return self.classify(self.fuse_within(torch.cat([context, x], dim=1)))
