"""Steps on whole training batches, on the device: the two images of a pair are mixed."""

from typing import Annotated, ClassVar, Literal

from pydantic import PositiveFloat

from segkit.config.component import Choice, component
from segkit.config.transform_types import Probability


@component
class BatchTransformConfig:
    """Mixes each image of a training batch with its neighbour."""

    group: ClassVar[str] = "batch_transform"
    softens_labels: ClassVar[bool] = False
    """Whether a pixel has two labels afterwards, each with a weight."""

    prob: Probability = 0.5
    """How often: of the images, or of the steps for MixUp."""


@component
class MixUpConfig(BatchTransformConfig):
    """Means of two images, with the same mean of the losses of both labels (Zhang et al., 2018, arXiv:1710.09412)."""

    type: Literal["MixUp"] = "MixUp"
    softens_labels: ClassVar[bool] = True
    alpha: PositiveFloat = 0.2
    """A step draws the first image's weight from Beta(alpha, alpha); the smaller, the nearer to 0 or 1."""


@component
class CutMixConfig(BatchTransformConfig):
    """A rectangle of the other image, with its labels (Yun et al., 2019, arXiv:1905.04899)."""

    type: Literal["CutMix"] = "CutMix"
    alpha: PositiveFloat = 1.0
    """The share of the image that is kept is drawn from Beta(alpha, alpha)."""


@component
class ClassMixConfig(BatchTransformConfig):
    """Some of the classes in the other image, with their pixels and labels (Olsson et al., 2021, arXiv:2007.07936)."""

    type: Literal["ClassMix"] = "ClassMix"
    share: Probability = 0.5
    """Of the other image's classes, rounded down."""


BatchTransform = Annotated[BatchTransformConfig, Choice("batch_transform")]
BatchTransforms = dict[str, BatchTransform]
