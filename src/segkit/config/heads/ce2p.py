"""CE2P."""

from collections.abc import Mapping
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import PooledConfig, Share


@component
class CE2PConfig(PooledConfig):
    """Pyramid pooling with a finest shortcut, refined along predicted edges (Ruan et al., 2019, arXiv:1809.05996)."""

    type: Literal["CE2P"] = "CE2P"
    channels: PositiveInt = 512
    """Width of the pooled and of the fused features."""
    edge_channels: PositiveInt = 256
    """Width of each feature that edges are found in."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""
    stage1_dropout: Share = 0.0
    """Share of channels dropped between the first prediction's feature and the second's; ``dropout`` is behind it."""
    stage1_weight: NonNegativeFloat = 1.0
    """Factor of the first prediction's losses."""
    edge_weight: NonNegativeFloat = 1.0
    """Factor of the loss of the edges between classes."""
    edge_weighted_mean: bool = True
    """Divide that loss by its pixels' weights, which balance the two; false divides by their number."""
    edge_width: PositiveInt = 3
    """Width in pixels of the edges that are asked for."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}
