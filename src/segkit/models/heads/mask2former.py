"""Mask2Former: queries that look only inside of their own masks (Cheng et al., 2022, arXiv:2112.01527)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import Mask2FormerConfig
from segkit.layers.attention import MLP, AttentionBlock, FeedForward
from segkit.layers.defaults import layer_defaults
from segkit.layers.position import sine_positions
from segkit.models.heads.masks.costs import cross_entropy
from segkit.models.heads.masks.criterion import Compared, MaskCriterion, Places
from segkit.models.heads.masks.head import MaskHead, start_projections
from segkit.models.heads.masks.pixel_decoder import DeformablePixelDecoder
from segkit.models.heads.masks.truth import Truth
from segkit.ops.points import PointDraw, class_doubt, doubtful_points, draw_points, values_at
from segkit.ops.resize import resize
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class DecoderLayer(nn.Module):
    """Queries (N, Q, D) look at the tokens (N, L, D) that are not blocked, then at each other."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        width, pre_norm = config.query_channels, config.pre_norm
        self.cross_attention = AttentionBlock(width, config.num_heads, pre_norm=pre_norm)
        self.self_attention = AttentionBlock(width, config.num_heads, pre_norm=pre_norm)
        self.feed = FeedForward(width, config.feedforward_channels, pre_norm=pre_norm)

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, tokens: Tensor, blocked: Tensor) -> Tensor:
        x = self.cross_attention(x, queries, keys, tokens, blocked)
        return self.feed(self.self_attention(x, queries))


class QueryDecoder(nn.Module):
    """Learned queries look at one map after the other, each inside of the mask that it last predicted.

    Args:
        config: the options.
        num_classes: K.
        num_maps: maps that come in; the layers take them in turn.

    Shape:
        - Input: maps (N, channels, H_i, W_i), coarsest first; cells (N, mask_channels, H, W).
        - Output: class logits (N, Q, K + 1) and mask logits (N, Q, H, W), of the queries alone and after each layer.
    """

    def __init__(self, config: Mask2FormerConfig, num_classes: int, num_maps: int) -> None:
        super().__init__()
        width = config.query_channels
        projects = config.project_always or config.channels != width
        self.project = nn.ModuleList(
            nn.Conv2d(config.channels, width, 1) if projects else nn.Identity() for _ in range(num_maps)
        )
        self.level_embed = nn.Embedding(num_maps, width)
        self.states = nn.Embedding(config.num_queries, width)
        self.queries = nn.Embedding(config.num_queries, width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, num_classes + 1)
        self.embed_mask = MLP(width, width, width, config.mask_channels)
        start_projections(self.project)

    def forward(self, maps: Sequence[Tensor], cells: Tensor) -> list[tuple[Tensor, Tensor]]:
        levels = [self._tokens(x, i) for i, x in enumerate(maps)]
        x, queries = (part.weight.expand(len(cells), -1, -1) for part in (self.states, self.queries))
        predictions = [self._predict(x, cells)]
        for i, layer in enumerate(self.layers):
            level = i % len(maps)
            blocked = _outside(predictions[-1][1], maps[level])
            x = layer(x, queries, *levels[level], blocked)
            predictions.append(self._predict(x, cells))
        return predictions

    def _tokens(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """A map's keys and values, (N, L, D) each."""
        height, width = x.shape[-2:]
        tokens = self.project[level](x).flatten(2).transpose(1, 2) + self.level_embed.weight[level]
        return tokens + sine_positions((height, width), tokens.shape[2], x.device), tokens

    def _predict(self, x: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x)
        return self.classify(x), torch.einsum("nqc,nchw->nqhw", self.embed_mask(x), cells)


@torch.no_grad()
def _outside(mask_logits: Tensor, like: Tensor) -> Tensor:
    """Cells of a map that lie outside of each query's mask: (N, Q, L) bool; a mask without any cell blocks nothing."""
    height, width = like.shape[-2:]
    inside = resize(mask_logits.float(), (height, width), align_corners=False).sigmoid() >= 0.5
    inside = inside.flatten(2)
    return ~inside & inside.any(dim=2, keepdim=True)


class PointMasks:
    """Masks are compared at points: random ones in matching, mostly doubtful ones in the loss.

    Args:
        to_match: (P, 2) points of each image, for all of its masks.
        to_judge: what the points of the matched masks are chosen from.
    """

    def __init__(self, to_match: Sequence[Tensor], to_judge: PointDraw) -> None:
        self._to_match = to_match
        self._to_judge = to_judge

    def to_match(self, logits: Tensor, truth: Truth, image: int) -> Compared:
        points = self._to_match[image]
        maps = truth.masks if truth.valid is None else torch.cat([truth.masks, truth.valid[None]])
        values = values_at(maps[None], points)[0]
        picked = values_at(logits[None], points)[0]
        if truth.valid is None:
            return Compared(picked, values, None)
        return Compared(picked, _share(values[:-1], values[-1]), values[-1])

    def to_judge(self, logits: Tensor, truth: Tensor, valid: Tensor | None) -> Compared:
        points = doubtful_points(logits.unsqueeze(1), class_doubt, self._to_judge)
        maps = truth.unsqueeze(1) if valid is None else torch.stack([truth, valid], dim=1)
        with torch.no_grad():
            values = values_at(maps, points)
        picked = values_at(logits.unsqueeze(1), points)[:, 0]
        if valid is None:
            return Compared(picked, values[:, 0], None)
        return Compared(picked, _share(values[:, 0], values[:, 1]), values[:, 1])


def _share(truth: Tensor, weights: Tensor) -> Tensor:
    """How much of what is valid around a point lies in the mask; what is ignored, or beyond the map, lies in none."""
    return (truth / weights.clamp(min=1e-6)).clamp(max=1)


class PointMaskCriterion(MaskCriterion):
    """Cross entropy and Dice loss at points of the matched masks; see :class:`MaskCriterion`."""

    def __init__(self, config: Mask2FormerConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, cross_entropy)
        self.points = config

    def places(self, truths: Sequence[Truth], num_masks: int, device: torch.device) -> Places:
        config = self.points
        to_match = [torch.rand(1, config.match_points, 2, device=device) for _ in truths]
        ratios = config.oversample_ratio, config.importance_ratio
        return PointMasks(to_match, draw_points(num_masks, config.num_points, *ratios, device=device))


@HEADS.register(Mask2FormerConfig)
class Mask2Former(MaskHead):
    """Queries each tell a class and a mask, and look at the features only inside of the mask told before.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0) scores, 0 and more; of :meth:`predict` at the image's size.
    """

    def __init__(self, config: Mask2FormerConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        with layer_defaults(norm=config.norm, act=config.act):
            self.pixel_decoder = DeformablePixelDecoder(config, [spec.channels for spec in features])
        self.query_decoder = QueryDecoder(config, num_classes, self.pixel_decoder.num_maps)

    def predictions(self, features: Sequence[Tensor], *, every_layer: bool) -> list[tuple[Tensor, Tensor]]:
        layers: list[tuple[Tensor, Tensor]] = self.query_decoder(*self.pixel_decoder(features))
        return layers if every_layer else layers[-1:]

    @classmethod
    def own_criterion(cls, config: Mask2FormerConfig, num_classes: int) -> nn.Module:
        return PointMaskCriterion(config, num_classes)
