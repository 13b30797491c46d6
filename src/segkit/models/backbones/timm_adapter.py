"""The one bridge to timm: its networks as backbones.

A backbone's own file builds the timm network and patches what the segmentation literature does differently; all else
stands here: the choice of normalisation, cutting off what no feature needs, feature descriptions, weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segkit.config.backbones import BackboneConfig
from segkit.layers.norm import LayerNorm2d
from segkit.models.backbones.norms import use_chosen_norm
from segkit.models.backbones.same_padding import simplify_same_padding
from segkit.models.backbones.weights import load_weights
from segkit.types import FeatureSpec


class TimmBackbone(nn.Module):
    """A timm network that returns feature maps.

    Args:
        config: the options that all backbones share.
        model: the network with its patches; it is cut behind the last tap.
        taps: indices of the network's feature maps, in the order in which they are returned.
        level_norm_eps: if given, each returned map passes a LayerNorm2d of its own, with this eps.

    Attributes:
        features: channels and stride of each returned map.

    Shape:
        - Input: (N, config.image_channels, H, W).
        - Output: a list with one (N, C_i, H_i, W_i) for each of ``features``.
    """

    model: Any  # timm's networks share no type

    keeps_norm_numbers = False
    """Whether eps and momentum stay the model's own where the config names no normalisation of the backbone's."""

    def __init__(
        self, config: BackboneConfig, model: Any, taps: Sequence[int], *, level_norm_eps: float | None = None
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        simplify_same_padding(model)
        use_chosen_norm(model, getattr(config, "norm", None), keep_numbers=self.keeps_norm_numbers)
        self.model = model
        self.features = self._describe(config)
        self._cut()
        if config.grad_checkpointing:
            self._checkpoint()
        self.norms = nn.ModuleDict()
        if level_norm_eps is not None:
            for tap, feature in zip(self.taps, self.features, strict=True):
                self.norms[str(tap)] = LayerNorm2d(feature.channels, level_norm_eps)
        if config.weights is not None:
            load_weights(self, config)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self._maps(images)
        if self.norms:
            return [self.norms[str(tap)](maps[tap]) for tap in self.taps]
        return [maps[tap] for tap in self.taps]

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        """The network's feature maps by tap."""
        wanted = sorted(set(self.taps))
        maps = self.model.forward_intermediates(
            images, indices=wanted, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return dict(zip(wanted, maps, strict=True))

    def _describe(self, config: BackboneConfig) -> tuple[FeatureSpec, ...]:
        infos = [self.model.feature_info[tap] for tap in self.taps]
        return tuple(FeatureSpec(info["num_chs"], info["reduction"]) for info in infos)

    def _cut(self) -> None:
        """Drops what no tap depends on: a parameter without gradient would stop DDP."""
        self.model.prune_intermediate_layers(sorted(set(self.taps)), prune_norm=True, prune_head=True)

    def _checkpoint(self) -> None:
        """Has the network recompute its blocks in the backward pass."""
        self.model.set_grad_checkpointing(True)

    def adapt_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the same network for images of another size, or for another purpose, as this one needs them.

        Args:
            state: by our names; others are let through.
        """
        return state
