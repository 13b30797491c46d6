"""MobileNets with dilation: V2 (Sandler et al., 2018, arXiv:1801.04381), V3 (Howard et al., 2019, arXiv:1905.02244)."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from timm.models import build_model_with_cfg, checkpoint
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3 as TimmMobileNetV3
from torch import Tensor, nn

from segkit.config.backbones import BackboneConfig, MobileNetV2Config, MobileNetV3Config
from segkit.layers.act import build_act
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec


class MobileNet(TimmBackbone):
    """What the two share: a tap is the number of blocks before it, 0 being the stem's map."""

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        x = self.model.bn1(self.model.conv_stem(images))
        maps = {0: x}
        for count, block in enumerate(_blocks(self.model), 1):
            x = checkpoint(block, x) if self.model.grad_checkpointing else block(x)
            if count in self.taps:  # the others are free to go
                maps[count] = x
        return maps

    def _describe(self, config: BackboneConfig) -> tuple[FeatureSpec, ...]:
        channels = [self.model.conv_stem.out_channels]
        channels += [block.feature_info("")["num_chs"] for block in _blocks(self.model)]
        return tuple(FeatureSpec(channels[tap], stride) for tap, stride in zip(self.taps, config.strides, strict=True))

    def _cut(self) -> None:
        kept, left = [], max(self.taps)
        for stage in self.model.blocks:
            kept.append(stage[:left])
            left = max(0, left - len(stage))
        self.model.blocks = nn.Sequential(*(stage for stage in kept if len(stage)))
        for name in ("conv_head", "bn2"):
            setattr(self.model, name, nn.Identity())


@BACKBONES.register(MobileNetV2Config)
class MobileNetV2(MobileNet):
    """MobileNetV2; the first block of a stage carries the stage's dilation, the others none.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices`` of 7, with 16, 24, 32, 64, 96, 160, 320 channels times ``width``.
    """

    def __init__(self, config: MobileNetV2Config) -> None:
        known = {0.5: ("mobilenetv2_050", "lamb_in1k"), 1.4: ("mobilenetv2_140", "ra_in1k")}
        name, tag = known.get(config.width, ("mobilenetv2_100", "ra_in1k" if config.width == 1 else None))
        widen = partial(round_channels, multiplier=config.width)
        model = create_model(
            config,
            name,
            tag,
            partial(build_model_with_cfg, EfficientNet),
            block_args=decode_arch_def(
                [
                    ["ds_r1_k3_s1_c16"],
                    ["ir_r2_k3_s2_e6_c24"],
                    ["ir_r3_k3_s2_e6_c32"],
                    ["ir_r4_k3_s2_e6_c64"],
                    ["ir_r3_k3_s1_e6_c96"],
                    ["ir_r3_k3_s2_e6_c160"],
                    ["ir_r1_k3_s1_e6_c320"],
                ]
            ),
            num_features=max(1280, widen(1280)),  # of the classifier, which the weights hold
            round_chs_fn=widen,
            act_layer=nn.ReLU6 if config.act is None else partial(_act, config),
        )
        before = 2
        for stage, stride in zip(model.blocks, config.STAGE_STRIDES, strict=True):
            _place_stride(stage[0], before, stride, config.output_stride)
            before = stride
        ends = [sum(len(stage) for stage in model.blocks[: index + 1]) for index in range(7)]
        super().__init__(config, model, [ends[index] for index in config.out_indices])


@BACKBONES.register(MobileNetV3Config)
class MobileNetV3(MobileNet):
    """MobileNetV3 up to its last convolution; every block behind a left-out stride is dilated.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: layers ``out_indices``, the stem being 0; the last convolution has 960 (large) or 576 channels.
    """

    def __init__(self, config: MobileNetV3Config) -> None:
        reduced = config.reduction_factor != 1
        model = create_model(
            config,
            f"mobilenetv3_{config.arch}_100",
            None if reduced else {"large": "ra_in1k", "small": "lamb_in1k"}[config.arch],
            partial(build_model_with_cfg, TimmMobileNetV3),
            block_args=decode_arch_def((_large if config.arch == "large" else _small)(config.reduction_factor)),
            num_features={"large": 1280, "small": 1024}[config.arch],  # of the classifier, which the weights hold
            stem_size=16,
            fix_stem=True,
            pad_type="same",  # as where it was trained: an odd row or column of zeros at the bottom and right
            act_layer=nn.Hardswish,
            se_layer=partial(
                SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels
            ),
        )
        before, *strides = config.LAYER_STRIDES[config.arch]
        for block, stride in zip(_blocks(model), strides, strict=True):
            _place_stride(block, before, stride, config.output_stride)
            before = stride
        super().__init__(config, model, config.layers)


def _large(reduction: int) -> list[list[str]]:
    last = 160 // reduction
    return [
        ["ds_r1_k3_s1_e1_c16_nre"],
        ["ir_r1_k3_s2_e4_c24_nre", "ir_r1_k3_s1_e3_c24_nre"],
        ["ir_r3_k5_s2_e3_c40_se0.25_nre"],
        ["ir_r1_k3_s2_e6_c80", "ir_r1_k3_s1_e2.5_c80", "ir_r2_k3_s1_e2.3_c80"],
        ["ir_r2_k3_s1_e6_c112_se0.25"],
        [f"ir_r1_k5_s2_e{6 / reduction}_c{last}_se0.25", f"ir_r2_k5_s1_e6_c{last}_se0.25"],
        ["cn_r1_k1_s1_c960"],
    ]


def _small(reduction: int) -> list[list[str]]:
    last = 96 // reduction
    return [
        ["ds_r1_k3_s2_e1_c16_se0.25_nre"],
        ["ir_r1_k3_s2_e4.5_c24_nre", "ir_r1_k3_s1_e3.67_c24_nre"],
        ["ir_r1_k5_s2_e4_c40_se0.25", "ir_r2_k5_s1_e6_c40_se0.25"],
        ["ir_r2_k5_s1_e3_c48_se0.25"],
        [f"ir_r1_k5_s2_e{6 / reduction}_c{last}_se0.25", f"ir_r2_k5_s1_e6_c{last}_se0.25"],
        ["cn_r1_k1_s1_c576"],
    ]


def _blocks(model: Any) -> Iterator[Any]:
    for stage in model.blocks:
        yield from stage


def _place_stride(block: Any, before: int, after: int, output_stride: int) -> None:
    """Gives the depthwise convolution what is left of its stride, and the dilation that makes up for the rest.

    Args:
        block: changed in place; one without a depthwise convolution has no stride.
        before: the classifier's input pixels per cell in front of the block.
        after: and behind it.
        output_stride: the most input pixels per cell that are wanted.
    """
    conv = getattr(block, "conv_dw", None)
    if conv is None:
        return
    stride = min(after, output_stride) // min(before, output_stride)
    dilation = max(1, after // output_stride)
    conv.stride, conv.dilation = (stride, stride), (dilation, dilation)
    if conv.padding != (0, 0):  # one that pads as it runs has none of its own
        conv.padding = tuple(dilation * (side - 1) // 2 for side in conv.kernel_size)


def _act(config: MobileNetV2Config, inplace: bool = True) -> nn.Module:
    return build_act(1, config.act)
