"""Activations by config."""

from torch import nn

from segkit.config.layers import (
    ActConfig,
    GELUConfig,
    HardSwishConfig,
    LeakyReLUConfig,
    PReLUConfig,
    ReLU6Config,
    ReLUConfig,
    SiLUConfig,
)
from segkit.layers.defaults import current_defaults


def build_act(channels: int, config: ActConfig | None = None) -> nn.Module:
    """The activation for a map of ``channels``; without ``config``, the one in force (:mod:`segkit.layers.defaults`).

    Those whose gradient needs the output alone work in place: they stand behind a convolution or a normalisation,
    which keeps its input and not its output for the backward pass.
    """
    match config or current_defaults().act:
        case ReLUConfig():
            return nn.ReLU(inplace=True)
        case ReLU6Config():
            return nn.ReLU6(inplace=True)
        case LeakyReLUConfig(negative_slope=slope):
            return nn.LeakyReLU(slope, inplace=True)
        case PReLUConfig(per_channel=per_channel):
            return nn.PReLU(channels if per_channel else 1)
        case GELUConfig():
            return nn.GELU()
        case SiLUConfig():
            return nn.SiLU()
        case HardSwishConfig():
            return nn.Hardswish()
        case other:
            raise TypeError(f"no activation is built from {type(other).__name__}")
