"""What all losses share: labels as one-hot maps, and means that count over all processes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segkit.config.losses import LossConfig
from segkit.dist import mean_over_ranks
from segkit.types import IGNORE_INDEX


class Terms(NamedTuple):
    """Values whose sum over a total is a loss.

    Attributes:
        values: float32 of any shape, connected to the graph, 0 where nothing counts.
        total: float32 scalar, what this process's sum is divided by: a count, or a sum of weights.
    """

    values: Tensor
    total: Tensor

    def mean(self) -> Tensor:
        """Sum over total; exactly 0, with zero gradients, where nothing counts.

        The total is averaged over processes: the mean of this over them, which is what DDP takes of the gradients,
        is then the mean over the joined batch, also if one process has nothing that counts.
        """
        total = mean_over_ranks(self.total.detach())
        return self.values.sum() / torch.where(total > 0, total, 1)


class Loss(nn.Module):
    """A loss by its config.

    Args:
        config: the options.
        num_classes: K.
        class_weights: one for each class, for losses that have them.

    Shape:
        - Input: (N, K, H, W) logits; (N, H, W) int64 target with class ids or ``IGNORE_INDEX``. K = 1 asks whether a
          pixel is 1 and not 0.
        - Output: a scalar, float32.
    """

    pixelwise = False
    """Whether the terms of a pixel depend on its own logits alone, and all pixels count alike."""
    class_weights: Tensor | None

    def __init__(self, config: LossConfig, num_classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.weight = config.weight
        self.flooding = config.flooding
        self.num_classes = num_classes
        # A buffer follows the module to its device; not persistent, as it belongs to the configuration.
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        """The loss before its mean; logits are float32."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.of_terms(self.terms(logits.float(), target))  # float: half has too few digits to sum pixels

    def of_terms(self, terms: Terms) -> Tensor:
        """The loss, from terms of all pixels."""
        loss = self.weight * terms.mean()
        return loss if self.flooding is None else (loss - self.flooding).abs() + self.flooding


def one_hot(target: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX) -> tuple[Tensor, Tensor]:
    """Labels (N, ...) as a float map (N, K, ...) and a mask (N, 1, ...) of the valid ones.

    With one class, label 1 is it. A valid label that is no class is 0 everywhere.
    """
    ids = torch.arange(num_classes, device=target.device) if num_classes > 1 else target.new_ones(1)
    labels = target.unsqueeze(1)
    valid = labels != ignore_index
    truth = (labels == ids.view(-1, *[1] * (target.ndim - 1))) & valid
    return truth.float(), valid


def label_weights(target: Tensor, valid: Tensor, class_weights: Tensor) -> Tensor:
    """The weight of each label, 0 where not valid: (N, ...) -> (N, ...)."""
    return class_weights[target.masked_fill(~valid, 0)] * valid


def per_channel(class_weights: Tensor, like: Tensor) -> Tensor:
    """Class weights (K,) shaped to multiply (N, K, ...)."""
    return class_weights.view(-1, *[1] * (like.ndim - 2))
