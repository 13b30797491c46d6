"""Facts about label maps."""

from torch import Tensor


def classes_present(labels: Tensor, num_classes: int) -> Tensor:
    """Whether each class is in each image: (N, H, W) int64 -> (N, num_classes) bool; other labels do not count."""
    flat = labels.flatten(1)
    counted = (flat >= 0) & (flat < num_classes)
    present = labels.new_zeros(len(flat), num_classes)
    present.scatter_add_(1, flat.masked_fill(~counted, 0), counted.to(present.dtype))
    return present > 0
