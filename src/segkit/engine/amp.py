"""Automatic mixed precision: the type that the network computes in, and the scaling that float16 needs."""

from contextlib import AbstractContextManager

import torch

from segkit.config.training import AmpConfig
from segkit.inference.precision import autocast


class Precision:
    """How a step computes.

    Args:
        config: the options.
        device: where the model is.

    Attributes:
        scaler: scales the loss in float16, so that small gradients do not vanish; passes everything through otherwise.
    """

    def __init__(self, config: AmpConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        scales = config.enabled and config.dtype == "float16"
        self.scaler = torch.amp.GradScaler(device.type, init_scale=config.init_scale, enabled=scales)

    @property
    def scales(self) -> bool:
        """Whether the loss is scaled, and so a step may be left out while the scale is being found."""
        return self.scaler.is_enabled()

    @property
    def loss_scale(self) -> float | None:
        """The factor now, None without one; waits for the device."""
        return self.scaler.get_scale() if self.scales else None

    def autocast(self) -> AbstractContextManager[None]:
        """The context of the network's forward pass; losses belong outside."""
        return autocast(self.config, self.device)
