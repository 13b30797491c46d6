"""ConvNeXt V1 and V2."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from segkit.config.backbones.base import LayerNormedConfig, PerStage, PyramidConfig
from segkit.config.component import component


@component
class ConvNeXtFamilyConfig(PyramidConfig, LayerNormedConfig):
    """What both versions of ConvNeXt have."""

    depths: PerStage = (3, 3, 9, 3)
    """Blocks in each stage."""
    channels: PerStage = (96, 192, 384, 768)
    """Width of each stage."""
    patch_size: PositiveInt = 4
    """Side of the patches that the stem turns into one cell."""
    layer_scale_init: NonNegativeFloat = 1e-6
    """Start of the factor on each residual branch; 0 leaves it out."""
    use_grn: bool = False
    """Global response normalisation in each block (ConvNeXt V2, arXiv:2301.00808)."""
    conv_mlp: bool = False
    """1x1 convolutions instead of linear layers in the blocks; another speed, the same result."""

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.patch_size * 2**i for i in self.out_indices)


@component
class ConvNeXtConfig(ConvNeXtFamilyConfig):
    """Convolutional network in the shape of a transformer (Liu et al., 2022, arXiv:2201.03545)."""

    type: Literal["ConvNeXt"] = "ConvNeXt"


@component
class ConvNeXtV2Config(ConvNeXtFamilyConfig):
    """ConvNeXt with global response normalisation in place of layer scale (Woo et al., 2023, arXiv:2301.00808)."""

    type: Literal["ConvNeXtV2"] = "ConvNeXtV2"
    layer_scale_init: NonNegativeFloat = 0.0
    use_grn: bool = True
    """Global response normalisation in each block."""
