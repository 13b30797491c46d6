"""CE2P's head (Ruan et al., 2019, arXiv:1809.05996)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import CE2PConfig
from segkit.dist import mean_over_ranks
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import PyramidPooling
from segkit.models.heads.base import Head
from segkit.ops.edges import label_edges
from segkit.ops.resize import join_like_first, resize, resize_like
from segkit.registry import HEADS
from segkit.types import IGNORE_INDEX, FeatureSpec


class EdgeBranch(nn.Module):
    """Looks for edges between classes in several features.

    Args:
        in_channels: of each feature, finest first.
        channels: width that each is reduced to.
        align_corners: how coarser features are resized to the first.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``in_channels``.
        - Output: a (N, channels, H_0, W_0) for each, which are what inference needs; :meth:`logits` makes of them
          (N, 2, H_0, W_0).
    """

    def __init__(self, in_channels: Sequence[int], channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(ConvNormAct(width, channels, 1) for width in in_channels)
        self.classify = nn.Conv2d(channels, 2, 3, padding=1)
        self.fuse = nn.Conv2d(2 * len(in_channels), 2, 1)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Reduced features, each at its own size."""
        return [branch(x) for branch, x in zip(self.branches, features, strict=True)]

    def logits(self, reduced: Sequence[Tensor]) -> Tensor:
        return self.fuse(join_like_first([self.classify(x) for x in reduced], align_corners=self.align_corners))


@HEADS.register(CE2PConfig)
class CE2P(Head):
    """A first prediction from pooled context and the finest feature, a second one with the features of edges.

    Args:
        config: the options.
        features: what the backbone returns, finest first; edges are looked for in all but the last.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0); likewise the output ``stage1``; ``edge`` is (N, 2, H_0, W_0): no edge, edge.
    """

    def __init__(self, config: CE2PConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = config.channels
        self.count = max(len(features) - 1, 1)
        corners = config.align_corners
        self.pool = PyramidPooling(features[-1].channels, width, config.pool_scales, align_corners=corners)
        self.fuse_pooled = ConvNormAct(self.pool.out_channels, width, 3)
        self.shortcut = ConvNormAct(features[0].channels, config.shortcut_channels, 1)
        self.edges = EdgeBranch([spec.channels for spec in features[: self.count]], config.edge_channels, corners)
        self.stage1 = nn.Sequential(
            ConvNormAct(width + config.shortcut_channels, width, 1),
            ConvNormAct(width, width, 1),
            nn.Dropout2d(config.stage1_dropout),
        )
        self.classify_stage1 = nn.Conv2d(width, num_classes, 1)
        self.stage2 = nn.Sequential(
            ConvNormAct(width + config.edge_channels * self.count, width, 1), ConvNormAct(width, width, 1)
        )
        self.classify = Classifier(width, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self._refine(self._parse(features), self.edges(features[: self.count]))

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        parsed, reduced = self._parse(features), self.edges(features[: self.count])
        return {
            "main": self._refine(parsed, reduced),
            "stage1": self.classify_stage1(parsed),
            "edge": self.edges.logits(reduced),
        }

    def _parse(self, features: Sequence[Tensor]) -> Tensor:
        shortcut = self.shortcut(features[0])
        pooled = self.fuse_pooled(self.pool(features[-1]))
        return self.stage1(torch.cat([resize_like(pooled, shortcut, align_corners=self.align_corners), shortcut], 1))

    def _refine(self, parsed: Tensor, reduced: Sequence[Tensor]) -> Tensor:
        edges = join_like_first(reduced, align_corners=self.align_corners)
        return self.classify(self.stage2(torch.cat([parsed, edges], dim=1)))

    @classmethod
    def own_criterion(cls, config: CE2PConfig, num_classes: int) -> nn.Module:
        return EdgeLoss(config)


class EdgeLoss(nn.Module):
    """Cross entropy of edges, which count as much as all else: (outputs, target) -> ``edge.loss``."""

    def __init__(self, config: CE2PConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        height, width = target.shape[-2:]
        logits = resize(outputs["edge"].float(), (height, width), align_corners=self.config.align_corners)
        return {"edge.loss": self.config.edge_weight * self._loss(logits, self.edges(target))}

    def _loss(self, logits: Tensor, edges: Tensor) -> Tensor:
        return balanced_edge_loss(logits, edges, weighted_mean=self.config.edge_weighted_mean)

    def edges(self, target: Tensor) -> Tensor:
        """What is asked for: 0, 1, or ``IGNORE_INDEX``, as (N, H, W) int64."""
        return label_edges(target, width=self.config.edge_width, ignore_index=IGNORE_INDEX)


def balanced_edge_loss(logits: Tensor, edges: Tensor, *, weighted_mean: bool = True) -> Tensor:
    """Cross entropy with each class weighed by the share of the other, over all processes' pixels.

    Args:
        logits: (N, 2, H, W).
        edges: (N, H, W) int64: 0, 1, or ``IGNORE_INDEX``.
        weighted_mean: divide by the pixels' weights, not by their number.
    """
    counts = mean_over_ranks(torch.stack([(edges == 0).sum(), (edges == 1).sum()]).float())
    weights = counts.flip(0) / counts.sum().clamp(min=1)
    values = F.cross_entropy(logits, edges, weight=weights, ignore_index=IGNORE_INDEX, reduction="sum")
    total = (weights * counts if weighted_mean else counts).sum()
    return values / torch.where(total > 0, total, 1.0)
