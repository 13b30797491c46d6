"""PointRend: masks refined point by point where they are in doubt (Kirillov et al., 2020, arXiv:1912.08193)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.config.heads import PointRendConfig
from segkit.layers.act import build_act
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.fpn import FeaturePyramid, StepwiseSum, stepwise_strides
from segkit.layers.norm import build_norm
from segkit.models.heads.base import Head
from segkit.ops.points import cell_centres, class_doubt, doubtful_points, draw_points, values_at
from segkit.ops.resize import resize
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class PointLinear(nn.Module):
    """The same linear map, normalisation and activation for each point: (N, C, P) -> (N, out_channels, P)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, 1, bias=False)
        self.norm = build_norm(out_channels)
        self.act = build_act(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x).unsqueeze(3))).squeeze(3)  # norms are those of maps


class PointHead(nn.Module):
    """Classifies points by the fine feature and the coarse logits there.

    Args:
        config: the options.
        num_classes: K.

    Shape:
        - Input: (N, channels, P) fine features and (N, K, P) coarse logits.
        - Output: (N, K, P).
    """

    def __init__(self, config: PointRendConfig, num_classes: int) -> None:
        super().__init__()
        width, again = config.channels, num_classes if config.coarse_each_layer else 0
        inputs = [width + num_classes, *[width + again] * config.num_layers]
        self.coarse_each_layer = config.coarse_each_layer
        self.layers = nn.ModuleList(PointLinear(inputs[i], width) for i in range(config.num_layers))
        self.classify = nn.Sequential(nn.Dropout(config.dropout), nn.Conv1d(inputs[-1], num_classes, 1))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        x = torch.cat([fine, coarse], dim=1)
        for layer in self.layers:
            x = layer(x)
            if self.coarse_each_layer:
                x = torch.cat([x, coarse], dim=1)
        return self.classify(x)


@HEADS.register(PointRendConfig)
class PointRend(Head):
    """A semantic feature pyramid whose logits are enlarged step by step, the most doubtful cells classified anew.

    Trained at random points, mostly doubtful ones: ``main`` of :meth:`outputs` are logits (N, K, P) there, and
    ``main.points`` tells the criterion where (N, P, 2) that is.

    Args:
        config: the options.
        features: what the backbone returns, finest first; all are read.
        num_classes: K, the number of logits.

    Raises:
        ConfigError: if there is not one stride for each feature, or one is no power of 2 times the first.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, s H_0, s W_0), where s is ``scale_factor ** subdivision_steps``.
    """

    def __init__(self, config: PointRendConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.config = config
        strides = stepwise_strides(config.strides, features)
        channels, corners = [spec.channels for spec in features], config.align_corners
        self.pyramid = FeaturePyramid(channels, config.channels, mode=config.upsample, align_corners=corners)
        self.sum = StepwiseSum(config.channels, config.scale_head_channels, strides, align_corners=corners)
        widths = [config.scale_head_channels, *[config.coarse_channels] * config.coarse_num_convs]
        self.coarse_convs = nn.Sequential(
            *(ConvNormAct(widths[i], widths[i + 1], 3) for i in range(config.coarse_num_convs))
        )
        self.classify_coarse = Classifier(widths[-1], num_classes, config.coarse_dropout)
        self.classify_points = PointHead(config, num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        fine, coarse = self._maps(features)
        logits = coarse.float()
        for _ in range(self.config.subdivision_steps):
            logits = self._refine(logits, fine, coarse)
        return logits.to(coarse.dtype)

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        fine, coarse = self._maps(features)
        config = self.config
        ratios = config.oversample_ratio, config.importance_ratio
        draw = draw_points(len(coarse), config.num_points, *ratios, device=coarse.device)
        points = doubtful_points(coarse, class_doubt, draw)
        return {"main": self._logits_at(points, fine, coarse), "main.points": points, "coarse": coarse}

    def _maps(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The finest level, and the coarse logits."""
        levels = self.pyramid(features)
        return levels[0], self.classify_coarse(self.coarse_convs(self.sum(levels)))

    def _logits_at(self, points: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, P, 2) -> (N, K, P)."""
        picked = (values_at(x, points, align_corners=self.align_corners) for x in (fine, coarse))
        return self.classify_points(*picked)

    def _refine(self, logits: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """Enlarges logits (N, K, h, w), and classifies the cells anew that are most in doubt."""
        height, width = (self.config.scale_factor * side for side in logits.shape[-2:])
        logits = resize(logits, (height, width), align_corners=self.align_corners)
        count = torch.sym_min(self.config.subdivision_points, height * width)
        cells = class_doubt(logits.flatten(2)).topk(count, dim=1).indices  # (N, P)
        better = self._logits_at(cell_centres(cells, (height, width)), fine, coarse)
        places = cells.unsqueeze(1).expand_as(better)
        return logits.flatten(2).scatter(2, places, better.to(logits.dtype)).unflatten(2, (height, width))
