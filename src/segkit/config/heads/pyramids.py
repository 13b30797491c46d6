"""Context from several scales around a cell."""

from typing import Literal

from pydantic import PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig, PooledConfig, Scales


@component
class PSPNetConfig(PooledConfig):
    """Pyramid pooling head (Zhao et al., 2017, arXiv:1612.01105)."""

    type: Literal["PSPNet"] = "PSPNet"
    channels: PositiveInt = 512
    """Width of each pooled branch and of the fused feature."""
    pool_scales: Scales = (1, 2, 3, 6)
    """Side lengths of the pooling grids; 1 is the global average."""


@component
class AsppConfig(HeadConfig):
    """A head with atrous spatial pyramid pooling."""

    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    dilations: Scales = (1, 6, 12, 18)
    """Dilation of each branch; use (1, 12, 24, 36) at output stride 8."""

    @property
    def pools_to_one_cell(self) -> bool:
        return True


@component
class Deeplabv3Config(AsppConfig):
    """Atrous spatial pyramid pooling (Chen et al., 2017, arXiv:1706.05587)."""

    type: Literal["Deeplabv3"] = "Deeplabv3"


@component
class Deeplabv3PlusConfig(AsppConfig):
    """Separable ASPP with a decoder on the finest feature (Chen et al., 2018, arXiv:1802.02611)."""

    type: Literal["Deeplabv3Plus"] = "Deeplabv3Plus"
    channels: PositiveInt = 512
    """Width of each branch and of the decoder."""
    shortcut_channels: PositiveInt = 48
    """Width that the finest feature is reduced to."""


@component
class UPerNetConfig(PooledConfig):
    """Pyramid pooling on top of a feature pyramid (Xiao et al., 2018, arXiv:1807.10221)."""

    type: Literal["UPerNet"] = "UPerNet"
    channels: PositiveInt = 512
    """Width of every level."""


@component
class LRASPPNetConfig(HeadConfig):
    """Light head of MobileNetV3 (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["LRASPPNet"] = "LRASPPNet"
    channels: PositiveInt = 128
    """Width of the deepest feature and of the fused ones."""
    branch_channels: Scales = (32, 64)
    """Width of the shortcuts, finest feature first."""
    pool_size: PositiveInt | None = 49
    """Side of the pooling window on the deepest feature, strides (16, 20); a smaller map, or null, is pooled whole."""

    @property
    def pools_to_one_cell(self) -> bool:
        return True


@component
class APCNetConfig(HeadConfig):
    """Regions of several sizes weighed for each position (He et al., 2019, Adaptive Pyramid Context Network)."""

    type: Literal["APCNet"] = "APCNet"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    pool_scales: Scales = (1, 2, 3, 6)
    """Side lengths of the grids of regions."""

    @property
    def pools_to_one_cell(self) -> bool:
        return True


@component
class DMNetConfig(HeadConfig):
    """Convolutions whose filters are made from the image (He et al., 2019, Dynamic Multi-scale Filters)."""

    type: Literal["DMNet"] = "DMNet"
    channels: PositiveInt = 512
    """Width of each branch and of the fused feature."""
    filter_sizes: Scales = (1, 3, 5, 7)
    """Side of each branch's filter."""
    fusion: bool = False
    """A 1x1 convolution after each."""
