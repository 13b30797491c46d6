"""Any model of timm."""

from typing import Annotated, Any, Literal

from pydantic import Field

from segkit.config.backbones.base import ConvolutionalConfig
from segkit.config.component import component


@component
class TIMMBackboneConfig(ConvolutionalConfig):
    """Any model that timm can run as a feature extractor (Wightman, 2019, doi:10.5281/zenodo.4414861)."""

    type: Literal["TIMMBackbone"] = "TIMMBackbone"
    model_name: str = "resnet18"
    """timm's name; ``python -c "import timm; print(timm.list_models('*convnext*'))"`` lists them."""
    output_stride: Literal[8, 16, 32] | None = None
    """Input pixels per cell of the last feature; null keeps the model's own."""
    out_indices: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Features to return, negative ones counted from the last; null returns all."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the model's constructor."""
