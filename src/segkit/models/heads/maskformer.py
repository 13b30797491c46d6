"""MaskFormer: a set of masks, each with a class (Cheng et al., 2021, arXiv:2107.06278)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import MaskFormerConfig
from segkit.layers.attention import MLP, AttentionBlock, FeedForward
from segkit.layers.conv import ConvNormAct
from segkit.layers.position import sine_positions
from segkit.layers.pyramid import PyramidPooling
from segkit.models.heads.masks.costs import focal
from segkit.models.heads.masks.criterion import Compared, MaskCriterion, Places
from segkit.models.heads.masks.head import MaskHead, start_projections
from segkit.models.heads.masks.truth import Truth
from segkit.ops.resize import resize, resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class PixelDecoder(nn.Module):
    """A feature pyramid with pooled context on top: features, finest first, to (N, mask_channels, H_0, W_0)."""

    def __init__(self, config: MaskFormerConfig, channels: Sequence[int]) -> None:
        super().__init__()
        *lower, top = channels
        width = config.channels
        self.align_corners = config.align_corners
        self.pool = PyramidPooling(top, width, config.pool_scales, align_corners=config.align_corners)
        self.fuse_pooled = ConvNormAct(self.pool.out_channels, width, 3)
        self.laterals = nn.ModuleList(ConvNormAct(wide, width, 1) for wide in lower)
        self.smooth = nn.ModuleList(ConvNormAct(width, width, 3) for _ in lower)  # coarsest first
        self.project = nn.Conv2d(width, config.mask_channels, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.fuse_pooled(self.pool(features[-1]))
        laterals = [lateral(feature) for lateral, feature in zip(self.laterals, features[:-1], strict=True)]
        for smooth, lateral in zip(self.smooth, reversed(laterals), strict=True):
            x = smooth(resize_like(x, lateral, align_corners=self.align_corners) + lateral)
        return self.project(x)


def _attention(config: MaskFormerConfig) -> AttentionBlock:
    return AttentionBlock(config.query_channels, config.num_heads, dropout=config.dropout, pre_norm=config.pre_norm)


def _feed_forward(config: MaskFormerConfig) -> FeedForward:
    return FeedForward(
        config.query_channels, config.feedforward_channels, dropout=config.dropout, pre_norm=config.pre_norm
    )


class EncoderLayer(nn.Module):
    """Tokens look at each other: tokens and positions (N, L, D) -> (N, L, D)."""

    def __init__(self, config: MaskFormerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.feed = _feed_forward(config)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.feed(self.self_attention(tokens, positions))


class DecoderLayer(nn.Module):
    """Queries (N, Q, D) look at each other, then at the tokens (N, L, D)."""

    def __init__(self, config: MaskFormerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.cross_attention = _attention(config)
        self.feed = _feed_forward(config)

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, tokens: Tensor) -> Tensor:
        x = self.self_attention(x, queries)
        return self.feed(self.cross_attention(x, queries, keys, tokens))


class QueryDecoder(nn.Module):
    """Learned queries look at the deepest feature: (N, C, h, w) -> (N, Q, D) after each layer."""

    def __init__(self, config: MaskFormerConfig, in_channels: int) -> None:
        super().__init__()
        width = config.query_channels
        projects = config.project_always or in_channels != width
        self.project = nn.Conv2d(in_channels, width, 1) if projects else nn.Identity()
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.encoder_norm = nn.LayerNorm(width) if config.pre_norm else nn.Identity()
        self.queries = nn.Embedding(config.num_queries, width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        start_projections(self.project)

    def forward(self, feature: Tensor) -> list[Tensor]:
        height, width = feature.shape[-2:]
        tokens = self.project(feature).flatten(2).transpose(1, 2)
        positions = sine_positions((height, width), tokens.shape[2], tokens.device)
        for layer in self.encoder:
            tokens = layer(tokens, positions)
        tokens = self.encoder_norm(tokens)
        queries = self.queries.weight.expand(len(tokens), -1, -1)
        x, states = torch.zeros_like(queries), []
        for layer in self.layers:
            x = layer(x, queries, tokens + positions, tokens)
            states.append(self.norm(x))
        return states


class WholeMasks:
    """Masks are compared at all pixels: in matching at the predictions' size, in the loss at the truth's."""

    def to_match(self, logits: Tensor, truth: Truth, image: int) -> Compared:
        height, width = logits.shape[-2:]
        maps = truth.masks if truth.valid is None else torch.cat([truth.masks, truth.valid[None]])
        maps = F.interpolate(maps[None].float(), (height, width), mode="nearest")[0].flatten(1)
        count = len(truth.masks)
        return Compared(logits.flatten(1), maps[:count], None if truth.valid is None else maps[count])

    def to_judge(self, logits: Tensor, truth: Tensor, valid: Tensor | None) -> Compared:
        height, width = truth.shape[-2:]
        resized = resize(logits[None], (height, width), align_corners=False)[0]
        return Compared(
            resized.flatten(1), truth.flatten(1).float(), None if valid is None else valid.flatten(1).float()
        )


class WholeMaskCriterion(MaskCriterion):
    """Focal and Dice loss over all pixels of the matched masks; see :class:`MaskCriterion`."""

    def __init__(self, config: MaskFormerConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, focal)

    def places(self, truths: Sequence[Truth], num_masks: int, device: torch.device) -> Places:
        return WholeMasks()


@HEADS.register(MaskFormerConfig)
class MaskFormer(MaskHead):
    """Queries, decoded from the deepest feature, each tell a class and a mask over the finest feature's cells.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_0, W_0) scores, 0 and more; of :meth:`predict` at the image's size.
    """

    def __init__(self, config: MaskFormerConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width = config.query_channels
        self.pixel_decoder = PixelDecoder(config, [spec.channels for spec in features])
        self.query_decoder = QueryDecoder(config, features[-1].channels)
        self.classify = nn.Linear(width, num_classes + 1)
        self.embed_mask = MLP(width, width, width, config.mask_channels)

    @classmethod
    def own_criterion(cls, config: MaskFormerConfig, num_classes: int) -> nn.Module:
        return WholeMaskCriterion(config, num_classes)

    def predictions(self, features: Sequence[Tensor], *, every_layer: bool) -> list[tuple[Tensor, Tensor]]:
        cells = self.pixel_decoder(features)
        states = self.query_decoder(features[-1])
        return [
            (self.classify(x), torch.einsum("nqc,nchw->nqhw", self.embed_mask(x), cells))
            for x in (states if every_layer else states[-1:])
        ]
