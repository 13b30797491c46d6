"""A model that is small but sees its surroundings."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class Toy(nn.Module):
    """One 3x3 convolution with a stride: 3 channels to K classes."""

    def __init__(self, num_classes: int = 4, stride: int = 1, kernel: int = 3, align_corners: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, kernel, stride=stride, padding=kernel // 2)
        self.align_corners = align_corners
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return self.conv(images)


@pytest.fixture
def toy() -> Callable[..., Toy]:
    def make(**kwargs: int) -> Toy:
        torch.manual_seed(0)
        return Toy(**kwargs).eval()

    return make


@pytest.fixture
def images() -> Tensor:
    """(2, 3, 37, 50)."""
    return torch.randn(2, 3, 37, 50, generator=torch.Generator().manual_seed(1))
