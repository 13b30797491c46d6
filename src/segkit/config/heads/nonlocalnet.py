"""Non-local blocks."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from segkit.config.component import component
from segkit.config.heads.base import HeadConfig


@component
class NonLocalConfig(HeadConfig):
    """Each cell sees all others."""

    channels: PositiveInt = 512
    """Width of the convolutions."""
    reduction: PositiveInt = 2
    """Their width over that in which cells are related."""
    mode: Literal["embeddedgaussian", "gaussian", "dotproduct", "concatenation"] = "embeddedgaussian"
    """How: softmax of embedded products, or of plain ones; products; a layer on pairs."""
    use_scale: bool = True
    """Divide embedded products by the square root of their width before the softmax."""


@component
class NonLocalNetConfig(NonLocalConfig):
    """Each cell sees all others, weighted by likeness (Wang et al., 2018, arXiv:1711.07971)."""

    type: Literal["NonLocalNet"] = "NonLocalNet"


@component
class DNLNetConfig(NonLocalConfig):
    """Relations of cells and salience, disentangled (Yin et al., 2020, arXiv:2006.06668)."""

    type: Literal["DNLNet"] = "DNLNet"
    temperature: PositiveFloat = 0.05
    """What embedded products are divided by before the softmax."""


@component
class GCNetConfig(HeadConfig):
    """One context vector of the image for all cells (Cao et al., 2019, arXiv:1904.11492)."""

    type: Literal["GCNet"] = "GCNet"
    channels: PositiveInt = 512
    """Width of the convolutions."""
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Width of the layers that change the vector, over ``channels``."""
    pooling: Literal["att", "avg"] = "att"
    """Weigh cells by attention, or all the same."""
    fusions: tuple[Literal["channel_add", "channel_mul"], ...] = ("channel_add",)
    """How the vector changes the cells."""
    block_norm: Literal["LayerNorm", "default"] = "LayerNorm"
    """Normalise the vector over its channels, or as the other layers."""

    @property
    def pools_to_one_cell(self) -> bool:
        return self.block_norm == "default"
