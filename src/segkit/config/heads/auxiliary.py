"""Auxiliary heads."""

from pydantic import NonNegativeFloat

from segkit.config.component import component
from segkit.config.heads.base import Head
from segkit.config.heads.fcn import FCNConfig
from segkit.config.losses import Losses


@component
class AuxiliaryConfig:
    """A second head on an earlier feature, for training only."""

    head: Head = FCNConfig(channels=512, num_convs=1)
    """Any head; it sees the features up to ``level``."""
    level: int = -2
    """Which of the backbone's features is its deepest, counted from the finest (0) or from the last (-1)."""
    weight: NonNegativeFloat = 0.4
    """Factor of this head's losses in the sum."""
    loss: Losses | None = None
    """Its losses; null takes the main head's."""
