"""What every head promises."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from segkit.config.heads import HeadConfig
from segkit.types import StepInfo


class Head(nn.Module):
    """Turns features into logits.

    A head is built as ``PSPNet(config, features, num_classes)``. Most define ``forward`` alone. One that trains
    further logits defines ``outputs`` too, and names them in its config's ``output_weights``; one whose loss is not
    of logits against the label of each pixel (masks, points, edges) defines ``own_criterion``; one that keeps
    statistics of the classes from step to step defines ``learn``; one whose scores are made of maps that must have the
    image's size first defines ``predict``.

    Attributes:
        align_corners: how the head's logits are resized to the image.
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.align_corners = config.align_corners

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features, finest first, to (N, K, h, w) logits at the head's own resolution."""
        raise NotImplementedError

    def predict(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """What inference uses of images of ``size`` (height, width): ``forward``'s logits, at any resolution."""
        return self(features)

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """What training needs, by name: ``main``, mostly as ``forward`` gives it, and whatever else the losses read."""
        return {"main": self(features)}

    def learn(self, features: Sequence[Tensor], step: StepInfo) -> dict[str, Tensor]:
        """``outputs`` in a training step, for heads that read the labels too or update a memory by them.

        A memory is a buffer, is written in place and without gradient, and ends the same on every process.
        """
        return self.outputs(features)

    @classmethod
    def own_criterion(cls, config: Any, num_classes: int) -> nn.Module | None:
        """A loss that the head brings along: (outputs, target) -> weighted terms by name. Most have none."""
        return None
