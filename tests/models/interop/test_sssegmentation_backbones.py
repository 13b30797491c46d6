"""Backbones of SSSegmentation: arguments, names, and stored numbers (the numbers: tests/golden)."""

from typing import Any

import pytest
import torch
from torch import Tensor

from segkit.config.backbones import (
    BackboneConfig,
    ConvNeXtConfig,
    ConvNeXtV2Config,
    HRNetConfig,
    MAEConfig,
    MixVisionTransformerConfig,
    MobileNetV3Config,
    MobileViTConfig,
    MobileViTV2Config,
    ResNetConfig,
    SVTConfig,
    SwinTransformerConfig,
    VisionTransformerConfig,
)
from segkit.config.layers import BatchNorm2dConfig, LeakyReLUConfig
from segkit.errors import CheckpointError, ConfigError
from segkit.models.interop.sssegmentation.backbones import backbone_config, backbone_state


def read(**arguments: Any) -> BackboneConfig:
    return backbone_config({"backbone": arguments})


def test_resnet_arguments() -> None:
    found = read(
        type="ResNet",
        structure_type="resnet101conv3x3stem",
        depth=101,
        outstride=16,
        use_conv3x3_stem=True,
        stem_channels=32,
        base_channels=48,
        contract_dilation=False,
        use_avg_for_downsample=True,
        style="caffe",
        in_channels=4,
        norm_cfg={"type": "BatchNorm2d", "eps": 1e-3},
        act_cfg={"type": "LeakyReLU", "negative_slope": 0.1, "inplace": True},
        out_indices=[0, 1, 2, 3],
        selected_indices=(2, 3),
    )
    assert found == ResNetConfig(
        depth=101,
        output_stride=16,
        deep_stem=True,
        stem_channels=32,
        base_channels=48,
        contract_dilation=False,
        avg_down=True,
        style="caffe",
        in_channels=4,
        norm=BatchNorm2dConfig(eps=1e-3),
        act=LeakyReLUConfig(negative_slope=0.1),
        out_indices=(2, 3),
    )


def test_defaults_are_theirs() -> None:
    assert read(type="ResNet", depth=50) == ResNetConfig(depth=50, deep_stem=True)
    assert read(type="MobileNetV3", out_indices=(0, 1, 12), arch_type="small").strides == (2, 4, 8)
    mit = read(type="MixVisionTransformer")
    assert mit == MixVisionTransformerConfig(embed_dim=64, depths=(3, 4, 6, 3), num_heads=(1, 2, 4, 8), drop_path=0.0)
    assert read(type="SwinTransformer", norm_cfg={"type": "LayerNorm"}) == SwinTransformerConfig()


def test_convnext_by_name_of_its_size() -> None:
    found = read(
        type="ConvNeXt",
        arch="base",
        gap_before_final_norm=False,
        layer_scale_init_value=0.0,
        linear_pw_conv=False,
        out_indices=[-1],
        norm_cfg={"type": "LayerNorm2d", "eps": 1e-6},
    )
    assert found == ConvNeXtConfig(
        depths=(3, 3, 27, 3), channels=(128, 256, 512, 1024), layer_scale_init=0.0, conv_mlp=True, out_indices=(3,)
    )


def test_second_convnext_is_the_first_with_response_normalisation() -> None:
    found = read(type="ConvNeXtV2", arch="nano")
    assert found == ConvNeXtV2Config(depths=(2, 2, 8, 2), channels=(80, 160, 320, 640))
    assert found.use_grn
    theirs = {"stages.0.1.grn.gamma": torch.ones(1, 1, 1, 320), "stages.0.1.dwconv.bias": torch.ones(80)}
    shapes = {name: tensor.shape for name, tensor in backbone_state(theirs, found).items()}
    assert shapes == {"model.stages.0.blocks.1.mlp.grn.weight": (320,), "model.stages.0.blocks.1.conv_dw.bias": (80,)}


def test_hrnet_has_one_map_that_is_selected_several_times() -> None:
    found = read(type="HRNet", arch="hrnetv2_w48", selected_indices=(0, 0), mcibi_version=True)
    assert found == HRNetConfig(width=48, stem_act=False, out_indices=(0, 0))
    assert read(type="HRNet") == HRNetConfig(width=18, small=True)
    assert read(type="HRNet", multiscale_output=False).strides == (4, 4, 4, 4)


def test_hrnets_last_exchange_is_left_out_where_nobody_listens() -> None:
    theirs = {f"stage4.{i}.fuse_layers.{j}.3.0.weight": torch.zeros(1) for i in (0, 1) for j in (0, 1)}
    found = backbone_state(theirs, HRNetConfig(small=True, out_indices=(1,)))
    assert set(found) == {f"model.{name}" for name in theirs} - {"model.stage4.1.fuse_layers.1.3.0.weight"}


def test_vision_transformer_arguments() -> None:
    found = read(
        type="VisionTransformer",
        img_size=[512, 768],
        num_layers=24,
        embed_dims=1024,
        num_heads=16,
        norm_cfg={"type": "LayerNorm", "eps": 1e-6},
        with_cls_token=False,
        patch_bias=False,
        selected_indices=(1, 3),
    )
    assert found == VisionTransformerConfig(
        image_size=(512, 768),
        depth=24,
        embed_dim=1024,
        num_heads=16,
        class_token=False,
        patch_bias=False,
        out_indices=(14, 23),
    )


def test_a_vision_transformer_without_class_token_drops_its_position() -> None:
    config = VisionTransformerConfig(class_token=False, out_indices=(0,))
    theirs = {
        "cls_token": torch.zeros(1, 1, 4),
        "pos_embed": torch.arange(12.0).view(1, 3, 4),
        "ln1.bias": torch.ones(4),
    }
    assert {name: x.flatten().tolist() for name, x in backbone_state(theirs, config).items()} == {
        "model.pos_embed": [4, 5, 6, 7, 8, 9, 10, 11]
    }


def test_the_bias_of_keys_is_left_out() -> None:
    theirs = {
        "layers.0.attn.qkv.bias": torch.arange(6.0),
        "layers.0.attn.relative_position_index": torch.zeros(2, 2),
        "layers.0.gamma_1": torch.ones(2),
        "layers.1.gamma_1": torch.ones(2),
        "pos_embed": torch.zeros(1, 2, 2),
    }
    found = backbone_state(theirs, MAEConfig(out_indices=(0,)))
    assert found["model.blocks.0.attn.q_bias"].tolist() == [0, 1]
    assert found["model.blocks.0.attn.v_bias"].tolist() == [4, 5]
    assert set(found) == {f"model.blocks.0.{x}" for x in ("attn.q_bias", "attn.v_bias", "gamma_1")} | {
        "model.pos_embed"
    }


def test_twins_have_as_many_stages_as_widths() -> None:
    found = read(type="SVT", patch_sizes=[4, 2, 2, 2], strides=[4, 2, 2, 2], sr_ratios=[4, 2, 1])
    assert found == SVTConfig(
        embed_dims=(64, 128, 256),
        depths=(4, 4, 4),
        num_heads=(1, 2, 4),
        mlp_ratios=(4.0, 4.0, 4.0),
        sr_ratios=(4, 2, 1),
        window_sizes=(7, 7, 7),
        out_indices=(0, 1, 2),
        drop_path=0.0,
    )


def test_mobilevits_by_name_of_their_size() -> None:
    found = read(type="MobileViT", arch="x_small", out_indices=[-1], act_cfg={"type": "Swish"})
    assert found == MobileViTConfig(arch="x_small", projection_act=False, out_indices=(4,))
    assert read(type="MobileViTV2", arch="mobilevitv2_175") == MobileViTV2Config(width=1.75)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "ResNeet"}, r"backbone\.type: no backbone here is ResNeet, did you mean 'ResNet'\?"),
        ({"type": "ResNet", "dcn": 1, "gcb": 2}, r"backbone\.dcn: has no counterpart here\nbackbone\.gcb: has no"),
        ({"type": "SwinTransformer", "use_abs_pos_embed": True}, r"use_abs_pos_embed: must be False \(got True\)"),
        ({"type": "SwinTransformer", "norm_cfg": {"type": "GroupNorm"}}, r"norm_cfg\.type: must be LayerNorm"),
        ({"type": "MAE", "final_norm": True}, r"backbone\.final_norm: must be False \(got True\)"),
        ({"type": "PCPVT", "strides": [4, 2, 2, 1]}, r"strides: must be \(4, 2, 2, 2\) \(got \(4, 2, 2, 1\)\)"),
        ({"type": "ConvNeXt", "act_cfg": {"type": "ReLU"}}, r"act_cfg\.type: must be GELU \(got ReLU\)"),
        ({"type": "ResNet", "act_cfg": {"type": "Mish"}}, r"act_cfg\.type: Mish has no counterpart"),
    ],
)
def test_what_has_no_counterpart_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**arguments)


def test_unknown_names_are_listed() -> None:
    with pytest.raises(CheckpointError, match=r"not of this ResNetConfig: fc\.weight, neck\.bias"):
        backbone_state({name: torch.zeros(1) for name in ("conv1.weight", "fc.weight", "neck.bias")}, ResNetConfig())


def test_stages_that_are_left_out_are_known_all_the_same() -> None:
    theirs = {"layer1.0.conv1.weight": torch.zeros(1), "layer4.0.conv1.weight": torch.zeros(1)}
    assert set(backbone_state(theirs, ResNetConfig(out_indices=(0, 1)))) == {"model.layer1.0.conv1.weight"}
    layers = {f"layer{i}.linear_conv.bn.weight": torch.zeros(1) for i in (2, 9)}
    assert set(backbone_state(layers, MobileNetV3Config(out_indices=(1, 3)))) == {"model.blocks.1.0.bn3.weight"}


def unfold(x: Tensor) -> Tensor:
    """Their order of the cells that are merged, as torch's own unfold has it: channel, row, column."""
    return torch.nn.functional.unfold(x, 2, stride=2).transpose(1, 2)  # (N, L, 4 C)


def test_swin_merging_is_reordered_to_the_same_result() -> None:
    x = torch.randn(1, 3, 4, 6)
    weight = torch.randn(5, 12)
    config = SwinTransformerConfig(embed_dim=3, num_heads=(1, 1, 1, 1))
    ((name, ours),) = backbone_state({"stages.0.downsample.reduction.weight": weight}, config).items()
    assert name == "model.layers.1.downsample.reduction.weight"
    cells = x.permute(0, 2, 3, 1).reshape(1, 2, 2, 3, 2, 3).permute(0, 1, 3, 4, 2, 5).flatten(3)  # timm's merging
    torch.testing.assert_close((cells @ ours.T).flatten(1, 2), unfold(x) @ weight.T)


def test_swin_index_tables_are_left_out() -> None:
    name = "stages.0.blocks.0.attn.w_msa.relative_position_index"
    assert backbone_state({name: torch.zeros(49, 49)}, SwinTransformerConfig()) == {}


def test_mit_queries_part_from_keys_and_values() -> None:
    joined = torch.arange(12.0).view(12, 1)
    found = backbone_state({"layers.1.1.0.attn.attn.in_proj_weight": joined}, MixVisionTransformerConfig())
    assert torch.equal(found["model.stages.1.blocks.0.attn.q.weight"], joined[:4])
    assert torch.equal(found["model.stages.1.blocks.0.attn.kv.weight"], joined[4:])
