"""Counts of (label, prediction) pairs, on which every metric rests."""

import torch
from torch import Tensor

from segkit.dist import sum_over_ranks

_VALUES = 256  # of uint8


class ConfusionMatrix:
    """Counts pixels as they come; the memory does not grow with them.

    Args:
        num_classes: K; 1 means yes/no, with ids 0 and 1, which are counted as two.
        device: where to count; that of the predictions saves a copy.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        # Every pair of bytes has its place: selecting the valid pixels first takes 20 times as long as counting all.
        self._pairs = torch.zeros(_VALUES * _VALUES, dtype=torch.int64, device=device)

    def update(self, preds: Tensor, target: Tensor) -> Tensor:
        """Counts the pixels of any number of images.

        Args:
            preds: uint8 class ids.
            target: the same shape, uint8; pixels whose value is no class do not count.

        Returns:
            (3, K) int64: of these images alone, the pixels of each class that are right, labelled so, and predicted
            so; where K is 1, those of "yes". On the device, which nobody has waited for.
        """
        if preds.shape != target.shape or preds.dtype != torch.uint8 or target.dtype != torch.uint8:
            got = f"{tuple(preds.shape)} {preds.dtype} and {tuple(target.shape)} {target.dtype}"
            raise ValueError(f"predictions and labels must be uint8 of one shape (got {got})")
        device = self._pairs.device
        index = target.to(device, torch.int32).mul_(_VALUES).add_(preds.to(device))
        count = torch.bincount if device.type == "cpu" else count_without_waiting
        pairs = count(index.flatten(), minlength=len(self._pairs))
        self._pairs += pairs
        side = max(self.num_classes, 2)
        counts = pairs.reshape(_VALUES, _VALUES)[:side, :side]
        return torch.stack([counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)])[:, side - self.num_classes :]

    def sum_over_ranks(self) -> "ConfusionMatrix":
        """The counts of all processes, by one all-reduce."""
        total = ConfusionMatrix(self.num_classes, self._pairs.device)
        total._pairs = sum_over_ranks(self._pairs)
        return total

    @property
    def counts(self) -> Tensor:
        """(K, K) int64, or (2, 2) where K is 1: row label, column prediction; on the CPU.

        Raises:
            ValueError: if a labelled pixel was predicted as something that is no class.
        """
        side = max(self.num_classes, 2)
        labelled = self._pairs.reshape(_VALUES, _VALUES)[:side].cpu()
        strangers = labelled[:, side:].sum(dim=0)
        if strangers.any():
            raise ValueError(f"class ids must be below {side} (got a prediction of {side + int(strangers.argmax())})")
        return labelled[:, :side]


def class_iou(counts: Tensor) -> Tensor:
    """IoU of each class, nan where it is neither labelled nor predicted: (..., 3, K) -> (..., K).

    The counts are those of :meth:`ConfusionMatrix.update`, or sums of them; float64 ones are divided as such.
    """
    right, labelled, predicted = counts.unbind(dim=-2)
    return right / (labelled + predicted - right)


def mean_iou(counts: Tensor) -> Tensor:
    """The mean over the classes that are labelled or predicted: (..., 3, K) -> (...), nan without any."""
    return class_iou(counts).nanmean(dim=-1)


def count_without_waiting(index: Tensor, minlength: int) -> Tensor:
    """How often each of 0 to ``minlength`` - 1 occurs, int64. For GPUs, as bincount reads the largest to the host."""
    ones = torch.ones((), dtype=torch.int64, device=index.device).expand(len(index))
    return ones.new_zeros(minlength).scatter_add_(0, index.long(), ones)
