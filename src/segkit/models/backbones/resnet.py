"""ResNet (He et al., 2016, arXiv:1512.03385) and ResNeSt (Zhang et al., 2020, arXiv:2004.08955), with dilation."""

from functools import partial
from typing import Any

from timm.layers.pool2d_same import AvgPool2dSame
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from segkit.config.backbones import ResNeStConfig, ResNetConfig
from segkit.layers.act import build_act
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.ops.resize import halve
from segkit.registry import BACKBONES

_TIMM_WEIGHTS = {  # (letter, depth) -> tag
    **{("", depth): "tv_in1k" for depth in (18, 34, 50, 101, 152)},
    **{(letter, depth): "gluon_in1k" for letter in "cds" for depth in (50, 101, 152)},
    **{("d", depth): "ra2_in1k" for depth in (18, 34)},
}


@BACKBONES.register(ResNetConfig)
class ResNet(TimmBackbone):
    """ResNet whose last stages keep their resolution by dilation, as PSPNet and DeepLab use it.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has base_channels * 2**i channels, four times as many from depth 50.
    """

    def __init__(self, config: ResNetConfig) -> None:
        letter = _letter(config)
        model = create_model(
            config,
            f"resnet{config.depth}{letter if (letter, config.depth) in _TIMM_WEIGHTS else ''}",
            _TIMM_WEIGHTS.get((letter or "", config.depth)) if letter is not None else None,
            output_stride=config.output_stride,
            channels=tuple(config.base_channels * 2**stage for stage in range(4)),
            avg_down=config.avg_down,
            **_stem(config),
            **({} if config.act is None else {"act_layer": lambda inplace: build_act(1, config.act)}),
        )
        if not config.deep_stem and config.stem_channels != 64:
            model.conv1 = nn.Conv2d(config.image_channels, config.stem_channels, 7, stride=2, padding=3, bias=False)
        _place_dilation(model, config)
        if config.style == "caffe":
            _shrink_first(model)
        super().__init__(config, model, [stage + 1 for stage in config.out_indices])  # timm's map 0 is the stem's

    def halve_deep_stages(self, align_corners: bool) -> None:
        """Makes the last two stages see their input at half its size, as ICNet's cascade has it.

        The stem's pooling then keeps the last, incomplete window. Names of parameters do not change.
        """
        self.model.maxpool.ceil_mode = True
        if hasattr(self.model, "layer3"):  # else no feature is that deep
            # A hook of the block, not of the stage, whose blocks are called one by one when they are checkpointed.
            self.model.layer3[0].register_forward_pre_hook(partial(_halve_input, align_corners=align_corners))


def _halve_input(block: nn.Module, inputs: tuple[Tensor], *, align_corners: bool) -> Tensor:
    return halve(inputs[0], align_corners=align_corners)


@BACKBONES.register(ResNeStConfig)
class ResNeSt(TimmBackbone):
    """ResNeSt with dilation.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has 256 * 2**i channels.
    """

    def __init__(self, config: ResNeStConfig) -> None:
        name, stem, layers = {
            50: ("resnest50d", 64, (3, 4, 6, 3)),
            101: ("resnest101e", 128, (3, 4, 23, 3)),
            152: ("resnest101e", None, (3, 8, 36, 3)),
            200: ("resnest200e", 128, (3, 24, 36, 3)),
        }[config.depth]
        model = create_model(
            config,
            name,
            "in1k" if stem == config.stem_channels else None,
            output_stride=config.output_stride,
            layers=layers,
            stem_width=config.stem_channels // 2,
        )
        _place_dilation(model, config)
        super().__init__(config, model, [stage + 1 for stage in config.out_indices])


def _stem(config: ResNetConfig) -> dict[str, Any]:
    if not config.deep_stem and config.stem_channels == 64:  # the one width of timm's plain stem
        return {"stem_type": ""}
    return {"stem_type": "deep", "stem_width": config.stem_channels // 2}


def _letter(config: ResNetConfig) -> str | None:
    """The letter by which the Gluon zoo, and timm, call this kind of ResNet; None if it has no name."""
    if config.base_channels != 64 or config.act is not None or config.style != "pytorch":
        return None
    kinds = {(False, 64, False): "", (True, 64, False): "c", (True, 64, True): "d", (True, 128, False): "s"}
    return kinds.get((config.deep_stem, config.stem_channels, config.avg_down))


def _place_dilation(model: Any, config: ResNetConfig | ResNeStConfig) -> None:
    """Dilates one convolution of each block, and no pooling; timm dilates both convolutions of a BasicBlock."""
    stages = (model.layer1, model.layer2, model.layer3, model.layer4)
    for stage, natural_stride in zip(stages, (4, 8, 16, 32), strict=True):
        dilation = max(1, natural_stride // config.output_stride)
        for index, block in enumerate(stage):
            cell = max(1, dilation // 2) if config.contract_dilation and index == 0 else dilation
            if isinstance(block, BasicBlock):
                _dilate(block.conv1, cell)
                _dilate(block.conv2, 1)
            else:
                _dilate(getattr(block.conv2, "conv", block.conv2), cell)
            if block.downsample is not None and isinstance(block.downsample[0], AvgPool2dSame):
                block.downsample[0] = nn.Identity()  # nothing shrinks here


def _dilate(conv: nn.Conv2d, dilation: int) -> None:
    conv.dilation = conv.padding = (dilation, dilation)


def _shrink_first(model: Any) -> None:
    """Moves the stride of each bottleneck to its first convolution."""
    for block in model.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
