"""Attention between cells."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig


@component
class CCNetConfig(HeadConfig):
    """Criss-cross attention, applied again and again (Huang et al., 2019, arXiv:1811.11721)."""

    type: Literal["CCNet"] = "CCNet"
    channels: Annotated[int, Field(ge=8)] = 512
    """Width of the attended and of the fused feature; queries and keys have an eighth."""
    num_recurrence: PositiveInt = 2
    """How often the attention is applied; twice reaches every position."""


@component
class PSANetConfig(HeadConfig):
    """Point-wise spatial attention: each position predicts a mask over its surroundings (Zhao et al., 2018)."""

    type: Literal["PSANet"] = "PSANet"
    channels: PositiveInt = 512
    """Width of the attended and of the fused feature."""
    direction: Literal["bi-direction", "collect", "distribute"] = "bi-direction"
    """Whether positions gather from others, spread to them, or both."""
    mask_size: tuple[PositiveInt, PositiveInt] = (97, 97)
    """(height, width) of the mask around a position; odd, twice the shrunken map less one covers all of it."""
    compact: bool = False
    """One mask value for each position of the shrunken map, which must then be of ``mask_size``."""
    shrink_factor: PositiveInt = 2
    """How much smaller the attention's map is."""
    normalization_factor: PositiveFloat | None = 1.0
    """What the attended sum is divided by; null divides by the cells of the mask."""
    psa_softmax: bool = True
    """Each position's mask sums to one."""


@component
class ISANetConfig(HeadConfig):
    """Attention between distant positions, then between near ones (Huang et al., 2019, arXiv:1907.12273)."""

    type: Literal["ISANet"] = "ISANet"
    channels: PositiveInt = 512
    """Width of the attended and of the fused feature."""
    attention_channels: PositiveInt = 256
    """Width of queries and keys."""
    down_factor: tuple[PositiveInt, PositiveInt] = (8, 8)
    """(height, width) of the blocks within which positions are near."""


@component
class ANNNetConfig(HeadConfig):
    """Attention to a few pooled positions (Zhu et al., 2019, arXiv:1908.07678)."""

    type: Literal["ANNNet"] = "ANNNet"
    channels: PositiveInt = 512
    """Width of the second attention and of the fused feature."""
    attention_channels: PositiveInt = 256
    """Width of queries and keys, and of the first attention's values."""
    pool_scales: tuple[PositiveInt, ...] = (1, 3, 6, 8)
    """Side lengths of the grids that keys and values are pooled to."""
    stages: PositiveInt = 1
    """Attentions side by side, which are summed."""


@component
class DANetConfig(HeadConfig):
    """Attention over positions and over channels (Fu et al., 2019, arXiv:1809.02983)."""

    type: Literal["DANet"] = "DANet"
    channels: PositiveInt = 512
    """Width of both branches."""
    attention_channels: PositiveInt = 64
    """Width of queries and keys of positions."""
    pam_weight: NonNegativeFloat = 1.0
    """Factor of the losses of positions alone, output ``pam``, in the sum."""
    cam_weight: NonNegativeFloat = 1.0
    """Factor of the losses of channels alone, output ``cam``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "pam": self.pam_weight, "cam": self.cam_weight}
