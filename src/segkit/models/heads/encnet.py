"""ENCNet's head (Zhang et al., 2018, arXiv:1803.08904)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import ENCNetConfig
from segkit.layers.act import build_act
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import build_norm
from segkit.models.heads.base import Head
from segkit.ops.labels import classes_present
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec


class ResidualCodes(nn.Module):
    """Sums, for each codeword, of how far the positions near it lie from it: (N, C, H, W) -> (N, num_codes, C)."""

    def __init__(self, channels: int, num_codes: int) -> None:
        super().__init__()
        bound = 1 / (num_codes * channels) ** 0.5
        self.codewords = nn.Parameter(torch.empty(num_codes, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(num_codes).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # distances are small differences of large squares
            pixels, codes = x.flatten(2).transpose(1, 2).float(), self.codewords.float()  # (N, L, C), (B, C)
            squares = pixels.square().sum(2, keepdim=True) - 2 * pixels @ codes.T + codes.square().sum(1)  # (N, L, B)
            shares = (self.scale * squares).softmax(dim=2)
            return shares.transpose(1, 2) @ pixels - shares.sum(dim=1).unsqueeze(2) * codes


class ContextEncoding(nn.Module):
    """An image's context as one vector, and the feature with its channels weighed by it.

    Args:
        channels: C.
        num_codes: codewords.

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, C) and (N, C, H, W).
    """

    def __init__(self, channels: int, num_codes: int) -> None:
        super().__init__()
        self.project = ConvNormAct(channels, channels, 1)
        self.codes = ResidualCodes(channels, num_codes)
        self.norm = build_norm(num_codes)
        self.act = build_act(num_codes)
        self.gate = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.codes(self.project(x)).unsqueeze(3)  # (N, B, C, 1): each codeword is a channel
        context = self.act(self.norm(codes)).mean(dim=(1, 3))
        weights = self.gate(context).sigmoid()[:, :, None, None]
        return context, F.relu(x + x * weights)


@HEADS.register(ENCNetConfig)
class ENCNet(Head):
    """Weighs the channels of the deepest feature by the image's context, which is also asked for its classes.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read, with ``add_lateral`` all.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last); the output ``se`` is (N, K), whether a class is in the image.
    """

    def __init__(self, config: ENCNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        *lower, width = (spec.channels for spec in features)
        channels = config.channels
        self.reduce = ConvNormAct(width, channels, 3)
        self.laterals = nn.ModuleList()
        self.fuse: nn.Module = nn.Identity()
        if config.add_lateral:
            self.laterals.extend(ConvNormAct(other, channels, 1, bias=True) for other in lower)
            self.fuse = ConvNormAct(channels * len(features), channels, 3, bias=True)
        self.encode = ContextEncoding(channels, config.num_codes)
        self.ask = nn.Linear(channels, num_classes) if config.se_weight else None
        self.classify = Classifier(channels, num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.classify(self._encoded(features)[1])

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        context, encoded = self._encoded(features)
        outputs = {"main": self.classify(encoded)}
        if self.ask is not None:
            outputs["se"] = self.ask(context)
        return outputs

    def _encoded(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.reduce(features[-1])
        if self.laterals:
            pairs = zip(self.laterals, features[:-1], strict=True)
            laterals = [resize_like(lateral(f), x, align_corners=self.align_corners) for lateral, f in pairs]
            x = self.fuse(torch.cat([x, *laterals], dim=1))
        context, encoded = self.encode(x)
        return context, encoded

    @classmethod
    def own_criterion(cls, config: ENCNetConfig, num_classes: int) -> nn.Module | None:
        return SemanticEncodingLoss(config.se_weight) if config.se_weight else None


class SemanticEncodingLoss(nn.Module):
    """Binary cross entropy of whether each class is in the image: (outputs, target) -> ``se.loss``.

    Args:
        weight: its factor.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        logits = outputs["se"].float()
        present = classes_present(target, logits.shape[1]).to(logits.dtype)
        return {"se.loss": self.weight * F.binary_cross_entropy_with_logits(logits, present)}
