"""HRNet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from segkit.config.backbones.base import ConvolutionalConfig, FixedStrides
from segkit.config.component import component


@component
class HRNetConfig(FixedStrides, ConvolutionalConfig):
    """High-resolution network: parallel branches that exchange what they see (Wang et al., 2019, arXiv:1908.07919)."""

    type: Literal["HRNet"] = "HRNet"
    width: PositiveInt = 18
    """Channels of the branch of stride 4; they double with the stride."""
    small: bool = False
    """Half of the blocks (HRNet-W18-Small-v2)."""
    stem_act: bool = True
    """Activation between the two convolutions of the stem; MCIBI's published weights go without."""
    out_indices: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)] = (0, 0, 0, 0)
    """What to return: 0 all branches stacked at stride 4, 1 to 4 the branches of stride 4, 8, 16 and 32. The stack four
    times, as it is set, costs nothing and suits heads that read several maps."""

    STRIDES: ClassVar = (4, 4, 8, 16, 32)
