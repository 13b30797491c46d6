"""Facts about label maps."""

import torch
from torch import Tensor


def classes_present(labels: Tensor, num_classes: int) -> Tensor:
    """Whether each class is in each image: (N, H, W) int64 -> (N, num_classes) bool; other labels do not count."""
    flat = labels.flatten(1)
    other = (flat < 0) | (flat >= num_classes)
    present = flat.new_zeros(len(flat), num_classes + 1, dtype=torch.bool)
    present.scatter_(1, flat.masked_fill(other, num_classes), True)  # no sum, for which a GPU's threads would queue
    return present[:, :num_classes]
