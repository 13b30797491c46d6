"""What every neck promises, checked for every registered neck between a backbone and a head."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.build import build_segmentor
from segkit.config.backbones import BackboneConfig, ResNetConfig, VisionTransformerConfig
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import FCNConfig, JPUConfig, LevelsNeckConfig
from segkit.config.layers import GroupNormConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError
from segkit.models.necks.jpu import JPU
from segkit.models.necks.levelsneck import LevelsNeck
from segkit.models.segmentor import Segmentor
from segkit.registry import NECKS
from segkit.types import FeatureSpec

CONVOLUTIONAL = ResNetConfig(depth=18, output_stride=32, base_channels=8, stem_channels=16, deep_stem=True)
PLAIN = VisionTransformerConfig(embed_dim=24, depth=2, num_heads=3, image_size=(64, 96), out_indices=(0, 0, 1, 1))
SMALL: dict[str, tuple[BackboneConfig, dict[str, Any]]] = {
    "Feature2Pyramid": (PLAIN, {}),
    "ICNeck": (CONVOLUTIONAL, {"channels": 8, "light_channels": 8, "pool_channels": 8, "branch_channels": (8, 8, 8)}),
    "JPU": (CONVOLUTIONAL, {"channels": 8}),
    "LevelsNeck": (PLAIN, {"normalize": True, "stride": 2}),
    "MLANeck": (PLAIN, {"channels": 8}),
}
every_neck = pytest.mark.parametrize("name", NECKS.names())


def build(name: str) -> Segmentor:
    torch.manual_seed(0)
    backbone, options = SMALL[name]
    config = SegmentorConfig(
        dataset=FolderDatasetConfig(class_names=("a", "b", "c")),
        backbone=backbone,
        head=FCNConfig(channels=8, neck=NECKS.config(name)(**options)),
        norm=GroupNormConfig(num_groups=4),
    )
    return build_segmentor(config)


def images(height: int = 65, width: int = 97, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@every_neck
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 47)])
def test_features_are_as_described(name: str, size: tuple[int, int]) -> None:
    model = build(name).eval()
    found = model.features(images(*size))
    assert len(found) == len(model.neck.features)
    for x, (channels, stride) in zip(found, model.neck.features, strict=True):
        assert x.shape[:2] == (2, channels)
        for cells, pixels in zip(x.shape[2:], size, strict=True):
            assert abs(cells * stride - pixels) < stride + 16  # a plain transformer's patches are whole


@every_neck
def test_the_config_tells_how_many_come_out(name: str) -> None:
    model, (backbone, options) = build(name), SMALL[name]
    assert NECKS.config(name)(**options).count(len(backbone.strides)) == len(model.neck.features)


@every_neck
def test_every_parameter_gets_a_gradient_from_one_image(name: str) -> None:
    model = build(name).train()
    sum(x.square().mean() for x in model.features(images(batch=1))).backward()
    trained = [(n, p) for n, p in model.neck.named_parameters() if p.requires_grad]
    assert trained
    assert [n for n, p in trained if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()] == []


@every_neck
@torch.no_grad()
def test_neither_memory_order_nor_bfloat16_changes_much(name: str) -> None:
    model = build(name).eval()
    whole = model(images())
    torch.testing.assert_close(
        model(images().contiguous(memory_format=torch.channels_last)), whole, rtol=1e-4, atol=1e-5
    )
    with torch.autocast("cpu", torch.bfloat16):
        half = model(images())
    assert float((half.float() - whole).abs().max()) < 0.05 * float(whole.abs().max())


SPECS = (FeatureSpec(4, 4), FeatureSpec(6, 8), FeatureSpec(8, 16), FeatureSpec(10, 32))


def test_jpu_replaces_the_deepest_feature_by_one_of_the_finest_joined() -> None:
    neck = JPU(JPUConfig(channels=5, dilations=(1, 2)), SPECS)
    assert neck.features == (*SPECS[:3], FeatureSpec(10, 8))
    features = [torch.randn(2, spec.channels, 64 // spec.stride, 96 // spec.stride) for spec in SPECS]
    found = neck(features)
    assert all(a is b for a, b in zip(found[:3], features[:3], strict=True))
    assert found[3].shape == (2, 10, 8, 12)
    assert not torch.equal(found[3], neck([*features[:1], features[1] + 1, *features[2:]])[3])
    torch.testing.assert_close(found[3], neck([features[0] + 1, *features[1:]])[3])  # which is not joined


def test_one_convolution_shrinks_all_levels() -> None:
    specs = [FeatureSpec(6, 16)] * 2
    neck = LevelsNeck(LevelsNeckConfig(normalize=True, norm_eps=0.5, stride=2), specs).eval()
    assert neck.features == (FeatureSpec(6, 32),) * 2
    x = torch.randn(1, 6, 5, 7)
    one, other = neck([x, x])
    torch.testing.assert_close(one, other)
    assert one.shape == (1, 6, 3, 4)
    plain = LevelsNeck(LevelsNeckConfig(normalize=True, norm_eps=0.5), specs)([x, x])[0]
    torch.testing.assert_close(plain, F.layer_norm(x.movedim(1, -1), (6,), eps=0.5).movedim(-1, 1))


def test_necks_say_what_they_need() -> None:
    with pytest.raises(ConfigError, match=r"head\.neck\.levels: must be at most 4, .* \(got 5\)"):
        JPU(JPUConfig(levels=5), SPECS)
    with pytest.raises(ConfigError, match=r"head\.neck\.stride: above 1, all features must have as many channels"):
        LevelsNeck(LevelsNeckConfig(stride=2), SPECS)
