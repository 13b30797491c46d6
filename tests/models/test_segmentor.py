"""Backbone, neck and heads joined by a config."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkit.build import build_segmentor
from segkit.config.backbones import ResNetConfig
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import AuxiliaryConfig, FCNConfig, Feature2PyramidConfig, SegformerConfig
from segkit.config.layers import BatchNorm2dConfig, GELUConfig, GroupNormConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError
from segkit.models.heads.base import Head
from segkit.models.necks.base import Neck
from segkit.models.segmentor import Segmentor

THIN = FCNConfig(channels=8, num_convs=1)


def config(**options: Any) -> SegmentorConfig:
    defaults = {
        "dataset": FolderDatasetConfig(class_names=("a", "b", "c")),
        "backbone": ResNetConfig(depth=18, output_stride=16, base_channels=8),
        "head": THIN,
    }
    return SegmentorConfig(**defaults | options)


def test_channels_and_classes_follow_from_backbone_and_data() -> None:
    model = build_segmentor(config(head=SegformerConfig(channels=8), auxiliary={"aux": AuxiliaryConfig(head=THIN)}))
    outputs = model.outputs(torch.randn(2, 3, 33, 49))
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {"main": (2, 3, 9, 13), "aux": (2, 3, 3, 4)}
    prefixes = {name.split(".")[0] for name in model.state_dict()}
    assert prefixes == {"backbone", "head", "auxiliary"}
    assert any(name.startswith("auxiliary.aux.") for name in model.state_dict())


def test_auxiliary_heads_train_and_inference_leaves_them_out() -> None:
    auxiliary = {"low": AuxiliaryConfig(head=THIN, level=0), "high": AuxiliaryConfig(head=THIN, level=-1)}
    model = build_segmentor(config(auxiliary=auxiliary))
    assert model.levels == {"low": 0, "high": 3}
    images = torch.randn(2, 3, 32, 32)
    sum(x.square().mean() for x in model.outputs(images).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.eval()
    torch.testing.assert_close(model(images), model.outputs(images)["main"])


def test_norm_and_act_of_the_config_reach_the_heads() -> None:
    model = build_segmentor(config(norm=GroupNormConfig(num_groups=4), act=GELUConfig()))
    kinds = {type(module) for module in model.head.modules()}
    assert {nn.GroupNorm, nn.GELU} <= kinds
    assert not {nn.BatchNorm2d, nn.ReLU} & kinds
    plain = build_segmentor(config(norm=BatchNorm2dConfig(eps=0.5)))
    assert {m.eps for m in plain.modules() if isinstance(m, nn.BatchNorm2d)} == {0.5}


def test_align_corners_is_the_main_head_s() -> None:
    assert build_segmentor(config(head=FCNConfig(channels=8, align_corners=True))).align_corners


def test_a_neck_serves_all_heads() -> None:
    class Plain(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [nn.functional.avg_pool2d(images, 16)] * 2

    class Double(Neck):
        def forward(self, features: list[Tensor]) -> list[Tensor]:
            return [2 * x for x in features]

    class Last(Head):
        def forward(self, features: list[Tensor]) -> Tensor:
            return features[-1]

    model = Segmentor(Plain(), Last(FCNConfig()), {"aux": (Last(FCNConfig()), 0)}, Double())
    images = torch.randn(1, 3, 32, 32)
    for out in model.outputs(images).values():
        torch.testing.assert_close(out, 2 * nn.functional.avg_pool2d(images, 16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"auxiliary": {"aux": AuxiliaryConfig(level=4)}},
            r"auxiliary\.aux\.level: there are 4 features; must be -4 to 3",
        ),
        ({"auxiliary": {"a.b": AuxiliaryConfig()}}, r"auxiliary\.a\.b: cannot be the name of a module"),
        ({"auxiliary": {"type": AuxiliaryConfig()}}, r"auxiliary\.type: cannot be the name of a module"),
        (
            {"auxiliary": {"aux": AuxiliaryConfig(head=FCNConfig(neck=Feature2PyramidConfig()))}},
            r"auxiliary\.aux\.head\.neck: must be null",
        ),
        ({"dataset": FolderDatasetConfig()}, "dataset: names no classes"),
    ],
)
def test_parts_that_do_not_fit_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_segmentor(config(**options))
