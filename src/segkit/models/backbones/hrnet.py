"""High-resolution network (Wang et al., 2019, arXiv:1908.07919)."""

from collections.abc import Mapping, Sequence
from typing import Any

from timm.models import checkpoint
from timm.models.hrnet import HighResolutionModule
from torch import Tensor, nn

from segkit.config.backbones import BackboneConfig, HRNetConfig
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.ops.resize import fit, join_like_first
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

_TIMM_WEIGHTS: dict[Any, tuple[str, str]] = {  # (width, small) -> name, tag
    (18, True): ("hrnet_w18_small_v2", "ms_in1k"),
    **{(width, False): (f"hrnet_w{width}", "ms_in1k") for width in (18, 30, 32, 40, 44, 48, 64)},
}
_STACK = 0
"""The tap of all branches together."""


@BACKBONES.register(HRNetConfig)
class HRNet(TimmBackbone):
    """HRNet whose branches are resized bilinearly wherever they meet.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: for each of ``out_indices``: 0 the branches stacked at stride 4, with 15 * width channels; i from 1
          on branch i alone, with width * 2**(i-1) channels at stride 2**(i+1). Sizes are rounded up.
    """

    def __init__(self, config: HRNetConfig) -> None:
        name, tag = _TIMM_WEIGHTS.get((config.width, config.small), ("hrnet_w18", None))
        model = create_model(config, name, tag, head="", **_stages(config))
        model.grad_checkpointing = False
        if not config.stem_act:
            model.act1 = nn.Identity()
        for module in model.modules():
            if isinstance(module, HighResolutionModule):
                module.__class__ = _Exchange
                for layer in module.fuse_layers.modules():
                    if isinstance(layer, nn.Upsample):
                        layer.mode, layer.align_corners = "bilinear", False
        super().__init__(config, model, config.out_indices)

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        model = self.model
        x = model.act1(model.bn1(model.conv1(images)))
        x = self._run(model.layer1, model.act2(model.bn2(model.conv2(x))))
        branches = [x]
        transitions = (model.transition1, model.transition2, model.transition3)
        for transition, stage in zip(transitions, (model.stage2, model.stage3, model.stage4), strict=True):
            branches = _widen(transition, branches)
            for module in stage:
                branches = self._run(module, branches)
        maps = dict(enumerate(branches, 1))
        if _STACK in self.taps:
            maps[_STACK] = join_like_first(branches)
        return maps

    def _run(self, module: nn.Module, x: Any) -> Any:
        return checkpoint(module, x) if self.model.grad_checkpointing else module(x)

    def _describe(self, config: BackboneConfig) -> tuple[FeatureSpec, ...]:
        widths = [branch[-1].conv2.out_channels for branch in self.model.stage4[-1].branches]
        widths = [sum(widths), *widths]
        return tuple(FeatureSpec(widths[tap], stride) for tap, stride in zip(self.taps, config.strides, strict=True))

    def _cut(self) -> None:
        # There is nothing to cut but what the last exchange tells branches that nobody listens to.
        if _STACK not in self.taps:
            last = self.model.stage4[-1]
            last.fuse_layers = last.fuse_layers[: max(self.taps)]
            for i in range(len(last.fuse_layers)):
                if i + 1 not in self.taps:
                    last.fuse_layers[i] = nn.ModuleList()

    def _checkpoint(self) -> None:
        self.model.grad_checkpointing = True


class _Exchange(HighResolutionModule):
    """Sums what the branches tell each other, at the exact size of the one that listens, as odd sizes need it."""

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        seen = [branch(y) for branch, y in zip(self.branches, x, strict=True)]
        fused: list[Tensor] = []
        for i, (own, layers) in enumerate(zip(seen, self.fuse_layers, strict=False)):
            told = [layer(y) for layer, y in zip(layers, seen, strict=False)]
            size = (own.shape[2], own.shape[3])
            told[i + 1 :] = [fit(y, size) for y in told[i + 1 :]]  # enlarged by a power of two: often by too much
            fused.append(self.fuse_act(sum(told[1:], start=told[0])) if told else own)
        return fused


def _widen(transition: nn.ModuleList, branches: Sequence[Tensor]) -> list[Tensor]:
    """A further branch from the coarsest; the first transition makes both of its branches from the one there is."""
    widened = []
    for i, layer in enumerate(transition):
        widened.append(layer(branches[min(i, len(branches) - 1)]))
    return widened


def _stages(config: HRNetConfig) -> dict[str, Any]:
    depth = 2 if config.small else 4
    modules = {2: 1, 3: 3, 4: 2} if config.small else {2: 1, 3: 4, 4: 3}
    first = {"num_modules": 1, "num_branches": 1, "block_type": "BOTTLENECK", "num_blocks": (depth,)}
    stages: dict[str, Any] = {"stage1": first | {"num_channels": (64,), "fuse_method": "SUM"}}
    for branches, count in modules.items():
        stages[f"stage{branches}"] = {
            "num_modules": count,
            "num_branches": branches,
            "block_type": "BASIC",
            "num_blocks": (depth,) * branches,
            "num_channels": tuple(config.width * 2**i for i in range(branches)),
            "fuse_method": "SUM",
        }
    return stages
