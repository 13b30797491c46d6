"""What changes the backbone's features before any head sees them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import NeckConfig, Scales


def _power_of_two(factor: float) -> float:
    if factor not in (4, 2, 1, 0.5, 0.25):
        raise ValueError("must be 4, 2, 1, 0.5 or 0.25")
    return factor


Rescale = Annotated[float, AfterValidator(_power_of_two)]


@component
class Feature2PyramidConfig(NeckConfig):
    """Rescales the equal-sized features of a plain vision transformer to a pyramid (Bao et al., 2021)."""

    type: Literal["Feature2Pyramid"] = "Feature2Pyramid"
    rescales: tuple[Rescale, ...] = (4, 2, 1, 0.5)
    """Factor of each feature's height and width, finest first."""


@component
class ICNeckConfig(NeckConfig):
    """The image at three resolutions, each through fewer layers (Zhao et al., 2018, arXiv:1704.08545).

    A few convolutions see all of the image, the backbone half, its last stages a quarter. Three features come out, for
    two auxiliary heads and the main one.
    """

    type: Literal["ICNeck"] = "ICNeck"
    in_channels: PositiveInt | None = None
    """Channels of the images; null takes those of the data set, and a number is checked against them."""
    channels: PositiveInt = 128
    """Width of what comes out."""
    light_channels: PositiveInt = 32
    """Width of the convolutions on the full image."""
    pool_channels: PositiveInt = 512
    """Width of the pyramid pooling on the deepest feature."""
    pool_scales: Scales = (1, 2, 3, 6)
    """Side lengths of the pooling grids."""
    branch_channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 256, 256)
    """Width of the branches of full, half and quarter resolution."""

    def count(self, features: int) -> int:
        return 3

    @property
    def pools_to_one_cell(self) -> bool:
        return 1 in self.pool_scales


@component
class MLANeckConfig(NeckConfig):
    """Normalises a transformer's features, and sums them from the deepest on (Zheng et al., 2021, arXiv:2012.15840)."""

    type: Literal["MLANeck"] = "MLANeck"
    channels: PositiveInt = 256
    """Width of what comes out: one feature for each, the deepest first."""
    norm_eps: PositiveFloat = 1e-6
    """Eps of the layer normalisation."""


@component
class JPUConfig(NeckConfig):
    """Joint pyramid upsampling, FastFCN's stand-in for a dilated backbone (Wu et al., 2019, arXiv:1903.11816).

    The deepest feature becomes one of the finest joined feature's size; the others are passed on.
    """

    type: Literal["JPU"] = "JPU"
    levels: PositiveInt = 3
    """How many features, the deepest, are joined."""
    channels: PositiveInt = 512
    """Width of each feature before they are joined, and of each dilated branch after."""
    dilations: Scales = (1, 2, 4, 8)
    """Dilation of each branch that looks at the joined features."""


@component
class LevelsNeckConfig(NeckConfig):
    """Each feature by itself: layer normalisation, a strided convolution (Jin et al., 2021, arXiv:2108.11819).

    All features share the convolution. MCIBI puts the normalisation behind a plain vision transformer, and the
    convolution behind an HRNet.
    """

    type: Literal["LevelsNeck"] = "LevelsNeck"
    normalize: bool = False
    """Layer normalisation of each position, by a layer for each feature."""
    norm_eps: PositiveFloat = 1e-6
    """Its eps."""
    stride: PositiveInt = 1
    """Step of the convolution, which keeps the width; 1 has none. All features must be of one width."""
    kernel_size: Literal[1, 3, 5, 7] = 3
    """Side of its kernel."""
