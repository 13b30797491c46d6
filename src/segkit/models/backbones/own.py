"""What the networks that timm lacks have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from segkit.config.layers import ActConfig, ReLUConfig
from segkit.layers.defaults import layer_defaults
from segkit.models.backbones.weights import load_weights, refuse_pretrained
from segkit.types import FeatureSpec


class OwnBackbone(nn.Module):
    """A network that returns feature maps.

    A subclass defines ``build``, which makes the layers and tells what maps there are, and ``maps``, which computes
    them. Neither may go beyond what ``config.out_indices`` asks for: a parameter without gradient would stop DDP.

    Args:
        config: the options.

    Attributes:
        features: channels and stride of each returned map.

    Shape:
        - Input: (N, config.image_channels, H, W).
        - Output: a list with one (N, C_i, ceil(H / stride_i), ceil(W / stride_i)) for each of ``features``.
    """

    act: ActConfig = ReLUConfig()
    """The architecture's own activation."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        refuse_pretrained(config)
        self.checkpointing: bool = config.grad_checkpointing
        self.out_indices: tuple[int, ...] = getattr(config, "out_indices", (0,))
        with layer_defaults(config.norm, config.act or self.act):
            maps = self.build(config)
        self.features = tuple(maps[i] for i in self.out_indices)
        load_weights(self, config)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.maps(images)
        return [maps[i] for i in self.out_indices]

    def build(self, config: Any) -> Sequence[FeatureSpec]:
        """Makes the layers; tells all maps of the architecture, those that nobody asked for included."""
        raise NotImplementedError

    def maps(self, images: Tensor) -> Sequence[Tensor] | dict[int, Tensor]:
        """The maps by index, at least those that are returned."""
        raise NotImplementedError

    def run(self, stage: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Calls ``stage``, without keeping what is inside of it if the config wants to save memory."""
        if self.checkpointing and torch.is_grad_enabled():
            result: Tensor = checkpoint(stage, *inputs, use_reentrant=False)
            return result
        return stage(*inputs)
