"""Networks that timm lacks: SSSegmentation's arguments and names for them (their numbers: tests/golden)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segkit.config.backbones import (
    BackboneConfig,
    BiSeNetV1Config,
    BiSeNetV2Config,
    CGNetConfig,
    ERFNetConfig,
    FastSCNNConfig,
    ResNetConfig,
    UNetConfig,
)
from segkit.config.layers import BatchNorm2dConfig, LeakyReLUConfig, PReLUConfig
from segkit.errors import ConfigError
from segkit.models.interop.sssegmentation.backbones import backbone_config, backbone_state
from segkit.registry import BACKBONES

GOLDEN = Path(__file__).parents[2] / "golden" / "data"


def read(**arguments: Any) -> BackboneConfig:
    return backbone_config({"backbone": arguments})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("UNet", UNetConfig(out_indices=(0, 1, 2, 3, 4))),
        ("BiSeNetV2", BiSeNetV2Config()),
        ("CGNet", CGNetConfig()),
        ("ERFNet", ERFNetConfig()),
        ("FastSCNN", FastSCNNConfig()),
    ],
)
def test_defaults_are_theirs(name: str, ours: BackboneConfig) -> None:
    case = json.loads((GOLDEN / f"bb_{name.lower()}.json").read_text())["backbone_arguments"]
    assert read(type=name) == ours
    assert read(**case | {"norm_cfg": None}) == ours


def test_unet_arguments() -> None:
    found = read(
        type="UNet",
        structure_type="unets4os8",
        num_stages=4,
        base_channels=32,
        strides=[1, 2, 1, 1],
        downsamples=[True, True, False],
        enc_num_convs=[1, 2, 3, 2],
        dec_num_convs=[3, 2, 1],
        enc_dilations=[1, 1, 1, 2],
        dec_dilations=[1, 2, 1],
        upsample_cfg={"type": "InterpConv", "conv_first": True},
        act_cfg={"type": "LeakyReLU", "inplace": True},
        norm_cfg={"type": "BatchNorm2d", "eps": 1e-3},
        use_checkpoint=True,
        selected_indices=[2, 3],
    )
    assert found == UNetConfig(
        base_channels=32,
        stage_strides=(1, 2, 1, 1),
        downsamples=(True, True, False),
        enc_num_convs=(1, 2, 3, 2),
        dec_num_convs=(3, 2, 1),
        enc_dilations=(1, 1, 1, 2),
        dec_dilations=(1, 2, 1),
        conv_first=True,
        act=LeakyReLUConfig(),
        norm=BatchNorm2dConfig(eps=1e-3),
        grad_checkpointing=True,
        out_indices=(2, 3),
    )
    assert read(type="UNet", upsample_cfg={"type": "DeconvModule"}, selected_indices=(3, 4)) == UNetConfig(
        upsample="deconv"
    )


def test_bisenetv1_takes_its_norm_to_the_path_of_context_unless_that_has_one() -> None:
    given: dict[str, Any] = {
        "type": "BiSeNetV1",
        "spatial_channels_list": [256, 256, 256, 512],
        "context_channels_list": [512, 1024, 2048],
        "out_channels": 1024,
        "norm_cfg": {"type": "BatchNorm2d", "eps": 1e-3},
        "backbone_cfg": {"type": "ResNet", "depth": 50, "outstride": 32, "use_conv3x3_stem": True, "pretrained": True},
    }
    context = ResNetConfig(
        depth=50, output_stride=32, deep_stem=True, pretrained=True, norm=BatchNorm2dConfig(eps=1e-3)
    )
    assert read(**given) == BiSeNetV1Config(
        spatial_channels=(256, 256, 256, 512),
        context_channels=512,
        channels=1024,
        norm=BatchNorm2dConfig(eps=1e-3),
        context=context,
    )
    given["backbone_cfg"] |= {"norm_cfg": {"type": "BatchNorm2d"}}
    found = read(**given)
    assert isinstance(found, BiSeNetV1Config)
    assert found.context.norm == BatchNorm2dConfig()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"type": "BiSeNetV1", "context_channels_list": [128, 300, 512], "backbone_cfg": {"outstride": 32}},
            r"backbone\.context_channels_list\.1: must be 256 \(got 300\)",
        ),
        (
            {"type": "BiSeNetV1", "backbone_cfg": {"type": "MobileNetV2", "outstride": 32, "depth": 18, "dcn": 1}},
            r"backbone_cfg\.type: must be 'ResNet' \(got 'MobileNetV2'\)\nbackbone\.backbone_cfg\.dcn: has no",
        ),
        ({"type": "BiSeNetV2", "bga_channels": 64}, r"backbone\.bga_channels: must be 128 \(got 64\)"),
        ({"type": "ERFNet", "dec_non_bottleneck_channels": [64, 32]}, r"dec_non_bottleneck_channels: must be"),
        ({"type": "ERFNet", "selected_indices": [1]}, r"backbone\.selected_indices: must be \(0,\) \(got \(1,\)\)"),
        ({"type": "FastSCNN", "higher_in_channels": 32}, r"backbone\.higher_in_channels: must be 64 \(got 32\)"),
        ({"type": "FastSCNN", "act_cfg": {"type": "GELU"}}, r"backbone\.dw_act_cfg: must be GELU"),
        ({"type": "UNet", "upsample_cfg": {"type": "Carafe"}}, r"upsample_cfg\.type: must be 'DeconvModule'"),
        (
            {"type": "UNet", "upsample_cfg": {"type": "InterpConv", "kernel_size": 3}},
            r"backbone\.upsample_cfg\.kernel_size: must be 1 \(got 3\)",
        ),
    ],
)
def test_what_has_no_counterpart_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**arguments)


MAPS = {"UNet": 5, "BiSeNetV1": 3, "BiSeNetV2": 5, "CGNet": 3, "FastSCNN": 3}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name, count in MAPS.items() for index in range(count)])
def test_what_the_config_leaves_out_is_dropped(name: str, index: int) -> None:
    case = json.loads((GOLDEN / f"bb_{name.lower()}.json").read_text())
    config = read(**case["facts"]["backbone"] | {"selected_indices": [index]})
    with torch.device("meta"):
        model = BACKBONES.build(config)
        theirs = {entry[0]: torch.empty(entry[1]) for entry in case["state"]}
    found = {entry: tuple(value.shape) for entry, value in backbone_state(theirs, config).items()}
    assert found == {entry: tuple(value.shape) for entry, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("arguments", "theirs", "ours"),
    [
        ({"type": "UNet"}, "decoder.3.upsample.interp_upsample.1.0.weight", "decoder.0.enlarge.project.conv.weight"),
        (
            {"type": "UNet", "upsample_cfg": {"type": "InterpConv", "conv_first": True}},
            "decoder.0.upsample.interp_upsample.0.1.bias",
            "decoder.3.enlarge.project.norm.bias",
        ),
        (
            {"type": "UNet", "upsample_cfg": {"type": "DeconvModule"}},
            "decoder.1.upsample.deconv_upsamping.0.bias",
            "decoder.2.enlarge.conv.bias",
        ),
        (
            {"type": "UNet", "downsamples": [True, True, True, False]},
            "decoder.3.upsample.1.weight",
            "decoder.0.enlarge.norm.weight",
        ),
        (
            {"type": "UNet", "downsamples": [True, True, True, False]},
            "encoder.4.0.convs.1.0.weight",
            "encoder.4.1.conv.weight",
        ),
        (
            {"type": "UNet", "act_cfg": {"type": "PReLU"}},
            "encoder.2.1.convs.0.2.weight",
            "encoder.2.0.act.weight",
        ),
    ],
)
def test_names_that_depend_on_arguments(arguments: dict[str, Any], theirs: str, ours: str) -> None:
    config = read(**arguments)
    value = torch.ones(1)
    assert backbone_state({theirs: value}, config) == {ours: value}
    with torch.device("meta"):
        assert ours in BACKBONES.build(config).state_dict()


def test_erfnet_activation_that_is_listed_several_times_is_one() -> None:
    config = read(type="ERFNet", act_cfg={"type": "PReLU"})
    assert config == ERFNetConfig(act=PReLUConfig(per_channel=False))
    slopes = {f"encoder.2.convs_layers.{i}.weight": torch.full((1,), float(i)) for i in (1, 4, 6)}
    found: dict[str, Tensor] = backbone_state({"encoder.2.act.weight": torch.zeros(1)} | slopes, config)
    assert found == {"encoder.2.act.weight": torch.tensor([6.0])}  # as loading into one object leaves it
