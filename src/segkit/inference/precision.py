"""The type that a network computes in."""

import torch

from segkit.config.training import AmpConfig

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(config: AmpConfig, device: torch.device) -> torch.autocast:
    """The context of a forward pass; it changes nothing where mixed precision is off."""
    return torch.autocast(device.type, dtype=DTYPES[config.dtype], enabled=config.enabled)
