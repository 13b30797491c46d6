"""MCIBI's head: a memory of the classes beyond the image (Jin et al., 2021, arXiv:2108.11819)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.heads import MCIBIConfig
from segkit.dist import sum_over_ranks
from segkit.layers.classifier import ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import FusedPyramid
from segkit.layers.relation import Relation
from segkit.models.heads.base import Head
from segkit.ops.classes import (
    class_shares,
    corners,
    flat_labels,
    label_sums,
    shares_of_cells,
    squared_norms,
    values_at_labels,
)
from segkit.registry import HEADS
from segkit.types import FeatureSpec, StepInfo

_EPS = 1e-8
"""Shorter vectors than this have no direction."""


@HEADS.register(MCIBIConfig)
class MCIBI(Head):
    """Coarse logits read vectors from a memory of the classes; each cell attends to them, and to its context.

    The memory takes in the features of the true classes at each training step, those of all processes together.

    Args:
        config: the options.
        features: what the backbone returns, finest first; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last); ``outputs`` adds the coarse logits, ``stage1``, and training with a loss of
          the memory (K * slots, K, 1, 1) logits of its vectors, ``memory``.
    """

    memory: Tensor

    def __init__(self, config: MCIBIConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.config = config
        in_channels, width, attended = features[-1].channels, config.channels, config.attention_channels
        self.context: nn.Module | None = None
        self.relate_context: nn.Module = nn.Identity()  # these two exist with a context only
        self.fuse_context: nn.Module = nn.Identity()
        if config.use_context:
            self.context = FusedPyramid(config.context, in_channels, width, config)
            self.relate_context = Relation(width, width, attended, width)
            self.fuse_context = ConvNormAct(width + config.out_channels, config.out_channels, 3)
        self.reduce = ConvNormAct(in_channels, width, 3)
        self.coarse = ConvClassifier(width, width, num_classes, config.dropout)
        self.relate = nn.ModuleList(Relation(width, width, attended, width) for _ in range(config.slots))
        self.fuse_slots = ConvNormAct(config.slots * width, width, 1) if config.slots > 1 else nn.Identity()
        self.fuse_memory = ConvNormAct(2 * width, config.out_channels, 3)
        self.classify = ConvClassifier(config.out_channels, config.out_channels, num_classes, config.dropout)
        self.register_buffer("memory", torch.zeros(num_classes, config.slots, width))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.outputs(features)["main"]

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        pixels = self.reduce(features[-1])
        coarse = self.coarse(pixels)
        return {"main": self._read(features[-1], pixels, coarse), "stage1": coarse}

    def learn(self, features: Sequence[Tensor], step: StepInfo) -> dict[str, Tensor]:
        pixels = self.reduce(features[-1])
        coarse = self.coarse(pixels)
        outputs = {"main": self._read(features[-1], pixels, coarse), "stage1": coarse}
        self.remember(pixels, step)
        if self.config.memory_loss and step.epoch > 1:  # before, there are classes that it has not met
            outputs["memory"] = self.classify(self.memory.clone().flatten(0, 1)[:, :, None, None])
        return outputs

    @classmethod
    def own_criterion(cls, config: MCIBIConfig, num_classes: int) -> nn.Module | None:
        """The loss of the memory's vectors, whose classes are known."""
        return MemoryLoss(config, num_classes) if config.memory_loss else None

    def _read(self, deepest: Tensor, pixels: Tensor, coarse: Tensor) -> Tensor:
        """Logits of cells that have seen the memory, and then their surroundings."""
        memory = self.memory.clone()  # it is written before the backward pass
        shares = class_shares(coarse, hard=self.config.hard)
        seen = [
            relate(pixels, torch.einsum("nkhw,kc->nchw", shares, memory[:, slot]))
            for slot, relate in enumerate(self.relate)
        ]
        x = self.fuse_memory(torch.cat([pixels, self.fuse_slots(torch.cat(seen, dim=1))], dim=1))
        if self.context is not None:
            around = self.relate_context(pixels, self.context(deepest))
            x = self.fuse_context(torch.cat([around, x], dim=1))
        return self.classify(x)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def remember(self, pixels: Tensor, step: StepInfo) -> None:
        """Moves the memory towards the features of the classes in ``step.target``.

        Features count as resized to the image. A class whose memory has a slot that is still empty puts their mean
        there; else each pixel is taken in by the slot most like it, the more the less like it is.

        Args:
            pixels: (N, C, h, w).
            step: its target has the size of the images.
        """
        with torch.autocast(pixels.device.type, enabled=False):
            sums, weights, counts = self._gather(pixels.float(), step.target)
            self.memory.copy_(self._moved(sums, weights, counts, self.config.momentum_at(step.learning_rate)))

    def _gather(self, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weighted sums (K, S, C), their weights (K, S) and pixels (K, S) of each slot, over all processes."""
        (num_classes, slots, _), size = self.memory.shape, (pixels.shape[-2], pixels.shape[-1])
        at = corners(size, (target.shape[-2], target.shape[-1]), align_corners=self.align_corners, device=target.device)
        labels, valid = flat_labels(target, num_classes)  # (N, P)
        likeness = self._likeness(pixels, labels, at)  # (N, S, P)
        slot = likeness.argmax(dim=1)
        weight = valid if self.config.update == "mean" else (1 - likeness.amax(dim=1)) * valid
        empty = ~self.memory.any(dim=2)  # (K, S)
        filling = empty.any(dim=1)[labels]
        slot = torch.where(filling, empty.float().argmax(dim=1)[labels], slot)
        weight = torch.where(filling, valid, weight)
        index, count = labels * slots + slot, num_classes * slots
        shares = shares_of_cells(weight, index, count, at, size[0] * size[1])
        sums = torch.einsum("nkp,ncp->kc", shares, pixels.flatten(2))
        totals = torch.stack([label_sums(weight, index, count), label_sums(valid, index, count)], dim=1)
        joined = sum_over_ranks(torch.cat([sums, totals], dim=1)).unflatten(0, (num_classes, slots))
        return joined[..., :-2], joined[..., -2], joined[..., -1]

    def _likeness(self, pixels: Tensor, labels: Tensor, at: Any) -> Tensor:
        """Cosine of each pixel's feature and the memory's vectors of its class: (N, S, P)."""
        lengths = self.memory.norm(dim=2).clamp(min=_EPS)  # (K, S)
        own = squared_norms(pixels, at).clamp(min=0).sqrt().clamp(min=_EPS)  # (N, P)
        directions = self.memory / lengths[..., None]
        return torch.stack(
            [
                values_at_labels(torch.einsum("nchw,kc->nkhw", pixels, directions[:, slot]), labels, at) / own
                for slot in range(directions.shape[1])
            ],
            dim=1,
        )

    def _moved(self, sums: Tensor, weights: Tensor, counts: Tensor, momentum: float) -> Tensor:
        """The memory after a step."""
        met = counts > 0  # (K, S)
        means = torch.where((weights > 0)[..., None], sums / weights.clamp(min=_EPS)[..., None], self.memory)
        means = means * met[..., None]  # a slot that no pixel chose fades
        moved = self.memory.lerp(means, momentum)
        filling = (~self.memory.any(dim=2)).any(dim=1)[:, None]
        filled = torch.where(met[..., None], means, self.memory)
        present = met.any(dim=1)[:, None, None]
        return torch.where(present, torch.where(filling[..., None], filled, moved), self.memory)


class MemoryLoss(nn.Module):
    """Cross entropy of the logits of a memory's vectors: (K * slots, K, 1, 1) -> a weighted scalar, ``memory.loss``."""

    def __init__(self, config: MCIBIConfig, num_classes: int) -> None:
        super().__init__()
        self.weight = config.memory_weight
        self.register_buffer("labels", torch.arange(num_classes).repeat_interleave(config.slots), persistent=False)

    def forward(self, outputs: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        if "memory" not in outputs:
            return {"memory.loss": outputs["main"].new_zeros((), dtype=torch.float32)}
        loss = F.cross_entropy(outputs["memory"].float().flatten(1), self.labels)  # type: ignore[arg-type]
        return {"memory.loss": self.weight * loss}
