"""What every head's options have, and what families share."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt

from segkit.config.component import Choice, component

Share = Annotated[float, Field(ge=0, lt=1)]
Scales = tuple[PositiveInt, ...]


@component
class NeckConfig:
    """Changes the backbone's features before any head sees them."""

    group: ClassVar[str] = "head/neck"

    def count(self, features: int) -> int:
        """How many features come out of ``features``."""
        return features

    @property
    def pools_to_one_cell(self) -> bool:
        """Whether a normalisation sees one cell an image, of which batch statistics need more than one image."""
        return False


Neck = Annotated[NeckConfig, Choice("head/neck")]


@component
class HeadConfig:
    """Turns the backbone's features into logits."""

    group: ClassVar[str] = "head"
    reads_labels: ClassVar[bool] = False
    """Whether it sees the labels in training, as a memory of the classes does; each pixel then needs a single one."""

    neck: Neck | None = None
    """What happens to the features first; auxiliary heads see the outcome too."""
    dropout: Share = 0.1
    """Share of channels dropped before the classifier in training."""
    align_corners: bool = False
    """How every bilinear resize of the head, and of all logits in training, lines up the corners."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        """Training logits by name, with the factor of their losses in the sum; ``main`` is what inference uses."""
        return {"main": 1.0}

    @property
    def pools_to_one_cell(self) -> bool:
        """Whether a normalisation sees one cell an image, of which batch statistics need more than one image."""
        return False


Head = Annotated[HeadConfig, Choice("head")]


@component
class PooledConfig(HeadConfig):
    """A head with pyramid pooling."""

    pool_scales: Scales = (1, 2, 3, 6)
    """Side lengths of the pooling grids on the deepest feature."""

    @property
    def pools_to_one_cell(self) -> bool:
        return 1 in self.pool_scales


@component
class TwoStageConfig(HeadConfig):
    """A head whose first, coarse logits are trained too."""

    stage1_weight: NonNegativeFloat = 0.4
    """Factor of the losses of the coarse logits, output ``stage1``, in the sum."""

    @property
    def output_weights(self) -> Mapping[str, float]:
        return {"main": 1.0, "stage1": self.stage1_weight}


@component
class ContextPyramidConfig(HeadConfig):
    """A head that may have an aspp or a ppm, a pyramid of dilated convolutions or of pooled grids."""

    dilations: Scales = (1, 12, 24, 36)
    """Dilation of each branch of an aspp."""
    pool_scales: Scales = (1, 2, 3, 6)
    """Side lengths of the grids of a ppm."""

    def pools(self, context: str | None) -> bool:
        """Whether that pyramid averages all of the image."""
        return context == "aspp" or (context == "ppm" and 1 in self.pool_scales)


@component
class SampledPointsConfig(HeadConfig):
    """A head trained at points, drawn at random where it is in doubt."""

    oversample_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Random candidates for each point, of which the most doubtful are taken."""
    importance_ratio: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the points taken by doubt; the others lie anywhere."""
