"""MCIBI++'s head: a memory of the classes' distributions (Jin et al., 2022, arXiv:2209.04471)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import MCIBIPlusPlusConfig, StageClassifierConfig
from segkit.dist import sum_over_ranks
from segkit.errors import ConfigError, Problem
from segkit.layers.classifier import ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import FusedPyramid
from segkit.layers.relation import Relation
from segkit.layers.topdown import TopDownStack
from segkit.models.heads.base import Head
from segkit.ops.classes import class_shares, class_sums
from segkit.ops.resize import resize_like
from segkit.registry import HEADS
from segkit.types import IGNORE_INDEX, FeatureSpec, StepInfo


class _Cells(NamedTuple):
    """What is known of each cell before the memory is read: features, and coarse logits by output."""

    pixels: Tensor
    around: Tensor | None
    coarse: dict[str, Tensor]


class DistributionMemory(nn.Module):
    """One normal distribution a class, whose samples the cells attend to.

    The samples are fixed: a class's vector is its mean plus its deviation times noise that depends on the class alone.

    Args:
        config: the options.
        num_classes: K.

    Shape:
        - Input: (N, C, H, W) cells and (N, K, H, W) logits.
        - Output: (N, out_channels, H, W).
    """

    moments: Tensor
    noise: Tensor

    def __init__(self, config: MCIBIPlusPlusConfig, num_classes: int) -> None:
        super().__init__()
        width = config.channels
        self.config = config
        self.reduce = ConvNormAct(width, width, 3, stride=2) if config.downsample else nn.Identity()
        self.relate = Relation(width, width, config.attention_channels, width)
        self.fuse = ConvNormAct(2 * width, config.out_channels, 3)
        self.register_buffer("moments", torch.tensor([0.0, 1.0]).repeat(num_classes, 1))
        self.register_buffer("noise", _noise(num_classes, width), persistent=False)

    def forward(self, pixels: Tensor, logits: Tensor) -> Tensor:
        mean, std = self.moments.clone().unbind(dim=1)  # a copy: it is written before the backward pass
        vectors = mean[:, None] + std[:, None] * self.noise  # (K, C)
        selected = torch.einsum("nkhw,kc->nchw", class_shares(logits, hard=self.config.hard), vectors)
        context = self.relate(self.reduce(pixels), self.reduce(selected))
        if self.config.downsample:
            context = resize_like(context, pixels, align_corners=self.config.align_corners)
        return self.fuse(torch.cat([pixels, context], dim=1))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def remember(self, pixels: Tensor, step: StepInfo) -> None:
        """Moves each class's moments towards those of the mean feature of its pixels, over all processes."""
        momentum = self.config.momentum_at(step.learning_rate)
        with torch.autocast(pixels.device.type, enabled=False):
            own = class_sums(pixels.float(), step.target, len(self.moments), align_corners=self.config.align_corners)
            joined = sum_over_ranks(torch.cat([own.sums, own.counts[:, None]], dim=1))
            counts = joined[:, -1:]
            means = joined[:, :-1] / counts.clamp(min=1)  # (K, C)
            seen = torch.stack([means.mean(dim=1), means.std(dim=1)], dim=1)
            self.moments.copy_(torch.where(counts > 0, self.moments.lerp(seen, momentum), self.moments))


def _noise(num_classes: int, channels: int) -> Tensor:
    """(K, C) standard normal: the first draws of torch's CPU generator when seeded with the class id."""
    rows = [torch.randn(1, channels, generator=torch.Generator().manual_seed(k)) for k in range(num_classes)]
    return torch.cat(rows)


@HEADS.register(MCIBIPlusPlusConfig)
class MCIBIPlusPlus(Head):
    """Coarse logits read vectors from a memory of the classes' distributions; each cell attends to them.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last is read, and with a pyramid all.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last), with a pyramid (N, K, H_0, W_0); ``outputs`` adds the coarse logits, ``pr``,
          and those of the context, ``cwi``.
    """

    def __init__(self, config: MCIBIPlusPlusConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.config = config
        in_channels, width = features[-1].channels, config.channels
        self.context: nn.Module | None = None
        self.cwi: nn.Module | None = None
        self.relate: nn.Module | None = None
        final = config.out_channels
        if config.use_context:
            self.context = FusedPyramid(config.context, in_channels, width, config)
            if config.cwi is not None:
                self.cwi = self._classifier(width, config.cwi, num_classes)
            if config.context_attention:
                self.relate = Relation(width, config.out_channels, width // 2, width)
                final = width
        self.reduce = ConvNormAct(in_channels, width, 3)
        self.pr = self._classifier(width, config.pr, num_classes)
        self.memory = DistributionMemory(config, num_classes)
        self.pyramid: TopDownStack | None = None
        if config.use_context:
            final = self._add_pyramid(final, [spec.channels for spec in features[:-1]])
        self.classify = self._classifier(final, config.cls, num_classes)

    def _add_pyramid(self, read: int, lower: Sequence[int]) -> int:
        """Builds what follows the memory, which gives ``read`` channels; returns the width of the outcome."""
        config = self.config
        if config.pyramid_channels is None:
            return read + config.channels
        top = config.channels + (read if config.stack_before_pyramid else 0)
        if top != config.pyramid_channels:
            text = f"must be {top}, the width of what flows down (got {config.pyramid_channels})"
            raise ConfigError([Problem("head.pyramid_channels", text)])
        self.pyramid = TopDownStack(lower, top, config.pyramid_out_channels, align_corners=config.align_corners)
        return self.pyramid.out_channels + (0 if config.stack_before_pyramid else read)

    def _classifier(self, in_channels: int, stage: StageClassifierConfig, num_classes: int) -> ConvClassifier:
        dropout = self.config.dropout if stage.dropout is None else stage.dropout
        return ConvClassifier(in_channels, stage.channels, num_classes, dropout, kernel_size=stage.kernel_size)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.outputs(features)["main"]

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        cells = self._look(features)
        return {"main": self._read(features, cells, self._guess(cells)), **cells.coarse}

    def learn(self, features: Sequence[Tensor], step: StepInfo) -> dict[str, Tensor]:
        cells = self._look(features)
        guess = self._guess(cells)
        if step.epoch < self.config.warmup_epochs:  # coarse logits know nothing yet
            guess = _truth(step.target, guess)
        main = self._read(features, cells, guess)
        self.memory.remember(cells.pixels, step)
        return {"main": main, **cells.coarse}

    def _look(self, features: Sequence[Tensor]) -> _Cells:
        around = None if self.context is None else self.context(features[-1])
        pixels = self.reduce(features[-1])
        coarse = {"pr": self.pr(pixels)}
        if self.cwi is not None:
            coarse["cwi"] = self.cwi(around)
        return _Cells(pixels, around, coarse)

    def _guess(self, cells: _Cells) -> Tensor:
        """The logits by which the memory is read."""
        return cells.coarse["pr"] if self.config.read_by_pr else cells.coarse.get("cwi", cells.coarse["pr"])

    def _read(self, features: Sequence[Tensor], cells: _Cells, guess: Tensor) -> Tensor:
        x = self.memory(cells.pixels, guess)
        if cells.around is None:
            return self.classify(x)
        if self.relate is not None:
            x = self.relate(cells.around, x)
        if self.pyramid is None:
            return self.classify(torch.cat([x, cells.around], dim=1))
        if self.config.stack_before_pyramid:
            return self.classify(self.pyramid(features[:-1], torch.cat([x, cells.around], dim=1)))
        levels = self.pyramid(features[:-1], cells.around)
        return self.classify(torch.cat([levels, resize_like(x, levels, align_corners=self.align_corners)], dim=1))


def _truth(target: Tensor, like: Tensor) -> Tensor:
    """Labels at the size of ``like`` (N, K, h, w) as logits that are 1 for the true class."""
    size = (like.shape[-2], like.shape[-1])
    labels = F.interpolate(target[:, None].float(), size, mode="nearest").long()  # (N, 1, h, w)
    valid = labels != IGNORE_INDEX
    return torch.zeros_like(like).scatter_(1, labels.masked_fill(~valid, 0), valid.to(like.dtype))
