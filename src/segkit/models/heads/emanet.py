"""EMANet's head (Li et al., 2019, arXiv:1907.13426)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import EMANetConfig
from segkit.dist import mean_over_ranks
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class ExpectationMaximization(nn.Module):
    """Rebuilds each position from a few bases, fitted to the image: (N, C, H, W) -> the same, without gradient.

    In training the bases that the next image starts from move towards those of the batch, of all processes.

    Args:
        channels: C.
        num_bases: how many bases.
        num_stages: steps of expectation and maximisation.
        momentum: share of a batch's bases in the next start.
    """

    bases: Tensor

    def __init__(self, channels: int, num_bases: int, num_stages: int, momentum: float) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.momentum = momentum
        bases = torch.randn(1, channels, num_bases) * (2 / num_bases) ** 0.5
        self.register_buffer("bases", F.normalize(bases, dim=1))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2)  # (N, C, L)
        bases = self.bases.expand(len(x), -1, -1)  # (N, C, B)
        for _ in range(self.num_stages):
            shares = (pixels.transpose(1, 2) @ bases).softmax(dim=2)  # (N, L, B)
            bases = F.normalize(pixels @ F.normalize(shares, p=1.0, dim=1), dim=1)
        if self.training:
            mean = mean_over_ranks(bases.float().mean(dim=0, keepdim=True))
            self.bases.lerp_(F.normalize(mean, dim=1), self.momentum)
        return (bases @ shares.transpose(1, 2)).view_as(x)


@HEADS.register(EMANetConfig)
class EMANet(Head):
    """Adds to the deepest feature what a few bases say of it.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last).
    """

    def __init__(self, config: EMANetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        width, channels = features[-1].channels, config.channels
        self.before = ConvNormAct(width, channels, 3)
        self.project = nn.Conv2d(channels, channels, 1).requires_grad_(False)  # no gradient comes through the bases
        self.rebuild = ExpectationMaximization(channels, config.num_bases, config.num_stages, config.momentum)
        self.after = ConvNormAct(channels, channels, 1, act=False)
        self.smooth = ConvNormAct(channels, channels, 3)
        self.fuse = ConvNormAct(width + channels, channels, 3)
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.before(features[-1])
        rebuilt = self.after(F.relu(self.rebuild(self.project(x.detach()))))
        context = self.smooth(F.relu(x + rebuilt))
        return self.classify(self.fuse(torch.cat([features[-1], context], dim=1)))
