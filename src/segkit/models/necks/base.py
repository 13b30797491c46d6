"""What every neck promises."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from segkit.types import FeatureSpec


class Neck(nn.Module):
    """Changes the backbone's features before any head sees them; built as ``Neck(config, features, align_corners)``.

    Most define ``forward`` alone. One that needs the image, or shows the backbone another one, defines ``run``; one
    that needs the backbone to work differently defines ``prepare``.

    Attributes:
        features: what comes out, finest first unless the neck's config says otherwise.
    """

    features: tuple[FeatureSpec, ...]

    def prepare(self, backbone: Any) -> None:
        """Changes the backbone once, when the model is built; most leave it.

        Raises:
            ConfigError: if the backbone does not offer what the neck needs.
        """

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        raise NotImplementedError

    def run(self, backbone: nn.Module, images: Tensor) -> list[Tensor]:
        """(N, C, H, W) images to what the heads see."""
        return self(backbone(images))
