"""Normalisation and activation layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from segkit.config.component import Choice, component


@component
class NormConfig:
    """Normalisation between convolution and activation."""

    group: ClassVar[str] = "norm"


@component
class BatchNorm2dConfig(NormConfig):
    """Batch normalisation with the statistics of each process (Ioffe and Szegedy, 2015, arXiv:1502.03167)."""

    type: Literal["BatchNorm2d"] = "BatchNorm2d"
    eps: PositiveFloat = 1e-5
    """Added to the variance."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the new batch in the running statistics."""


@component
class SyncBatchNormConfig(NormConfig):
    """Batch normalisation over the batch of all processes; plain batch normalisation when there is one."""

    type: Literal["SyncBatchNorm"] = "SyncBatchNorm"
    eps: PositiveFloat = 1e-5
    """Added to the variance."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the new batch in the running statistics."""


@component
class GroupNormConfig(NormConfig):
    """Normalisation over groups of channels (Wu and He, 2018, arXiv:1803.08494)."""

    type: Literal["GroupNorm"] = "GroupNorm"
    num_groups: PositiveInt = 32
    """Groups that the channels are split into; must divide them."""
    eps: PositiveFloat = 1e-5
    """Added to the variance."""


@component
class LayerNorm2dConfig(NormConfig):
    """Normalisation over the channels of each cell (Ba et al., 2016, arXiv:1607.06450)."""

    type: Literal["LayerNorm2d"] = "LayerNorm2d"
    eps: PositiveFloat = 1e-6
    """Added to the variance."""


Norm = Annotated[NormConfig, Choice("norm")]


@component
class ActConfig:
    """Activation after a normalised convolution."""

    group: ClassVar[str] = "act"


@component
class ReLUConfig(ActConfig):
    """max(x, 0)."""

    type: Literal["ReLU"] = "ReLU"


@component
class ReLU6Config(ActConfig):
    """min(max(x, 0), 6)."""

    type: Literal["ReLU6"] = "ReLU6"


@component
class LeakyReLUConfig(ActConfig):
    """x where positive, else a small multiple of it."""

    type: Literal["LeakyReLU"] = "LeakyReLU"
    negative_slope: PositiveFloat = 0.01
    """Slope below zero."""


@component
class PReLUConfig(ActConfig):
    """Leaky ReLU with learned slopes (He et al., 2015, arXiv:1502.01852)."""

    type: Literal["PReLU"] = "PReLU"
    per_channel: bool = True
    """A slope for each channel; false shares one in each layer."""


@component
class GELUConfig(ActConfig):
    """x times the normal distribution function of x, exact form (arXiv:1606.08415)."""

    type: Literal["GELU"] = "GELU"


@component
class SiLUConfig(ActConfig):
    """x times its sigmoid, also called Swish (arXiv:1710.05941)."""

    type: Literal["SiLU"] = "SiLU"


@component
class HardSwishConfig(ActConfig):
    """x relu6(x + 3) / 6 (Howard et al., 2019, arXiv:1905.02244)."""

    type: Literal["HardSwish"] = "HardSwish"


Act = Annotated[ActConfig, Choice("act")]
