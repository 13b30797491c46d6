"""What all steps of the data pipeline share."""

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import component

N = TypeVar("N", int, float)


def _ascending(bounds: tuple[N, N]) -> tuple[N, N]:
    if bounds[0] > bounds[1]:
        raise ValueError("must not go down: the smaller number comes first")
    return bounds


Probability = Annotated[float, Field(ge=0, le=1)]
Size = tuple[PositiveInt, PositiveInt]
Range = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]
CountRange = Annotated[tuple[NonNegativeInt, NonNegativeInt], AfterValidator(_ascending)]


@component
class TransformConfig:
    """Changes a sample: image, mask, or both."""

    group: ClassVar[str] = "transform"
    changes_labels: ClassVar[bool] = True
    """Whether labels may move or change; what is made from them must come later."""
    needs: ClassVar[Literal["any", "rgb"]] = "any"
    """Images that the step takes: any, or those of three channels alone."""
    for_training: ClassVar[bool] = False
    """Whether the step has no place in evaluation."""
