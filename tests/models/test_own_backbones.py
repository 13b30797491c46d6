"""The networks that timm lacks: what sets each apart (what all backbones promise: test_backbones.py)."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkit.config.backbones import (
    BiSeNetV1Config,
    BiSeNetV2Config,
    CGNetConfig,
    ERFNetConfig,
    FastSCNNConfig,
    OwnBackboneConfig,
    ResNetConfig,
    UNetConfig,
)
from segkit.config.layers import BatchNorm2dConfig, GroupNormConfig, LayerNorm2dConfig, LeakyReLUConfig, PReLUConfig
from segkit.errors import CheckpointError
from segkit.layers.defaults import layer_defaults
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

SMALL_RESNET = ResNetConfig(depth=18, output_stride=32, base_channels=8, deep_stem=True)
SMALL: dict[type[OwnBackboneConfig], dict[str, Any]] = {
    UNetConfig: {"base_channels": 8},
    BiSeNetV1Config: {"context": SMALL_RESNET},
    BiSeNetV2Config: {},
    CGNetConfig: {"num_blocks": (2, 2)},
    ERFNetConfig: {"enc_blocks": (1, 2), "dilations": (2, 4)},
    FastSCNNConfig: {},
}
every_network = pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.type)


def build(kind: type[OwnBackboneConfig], **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return BACKBONES.build(kind(**SMALL[kind] | options))


def images(height: int = 65, width: int = 97, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (UNetConfig(), 28_949_568),
        (UNetConfig(upsample="deconv"), 39_395_328),
        (BiSeNetV1Config(), 12_699_552),
        (BiSeNetV2Config(), 2_157_456),
        (CGNetConfig(), 491_442),
        (ERFNetConfig(), 2_062_831),
        (ERFNetConfig(act=PReLUConfig(per_channel=False)), 2_062_853),
        (FastSCNNConfig(), 1_361_392),
    ],
    ids=lambda value: getattr(value, "type", value),
)
def test_parameters_are_as_many_as_the_reference_has(config: OwnBackboneConfig, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in BACKBONES.build(config).parameters()) == count


@every_network
def test_one_image_trains_with_group_normalisation(kind: type[OwnBackboneConfig]) -> None:
    with layer_defaults(LayerNorm2dConfig() if kind is CGNetConfig else GroupNormConfig(num_groups=4)):
        model = build(kind).train()
    torch.stack([found.square().mean() for found in model(images(batch=1))]).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@every_network
def test_a_network_pools_to_one_cell_if_it_says_so(kind: type[OwnBackboneConfig]) -> None:
    model = build(kind).train()
    if model_pools := kind(**SMALL[kind]).pools_to_one_cell:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            model(images(64, 64, batch=1))
    else:
        model(images(64, 64, batch=1))
    assert model_pools == (kind in (BiSeNetV1Config, BiSeNetV2Config, FastSCNNConfig))


@every_network
def test_the_activation_is_the_one_chosen_or_its_own(kind: type[OwnBackboneConfig]) -> None:
    def acts(model: nn.Module) -> set[type]:
        return {type(m) for m in model.modules() if isinstance(m, (nn.ReLU, nn.PReLU, nn.LeakyReLU))}

    with layer_defaults(act=LeakyReLUConfig(negative_slope=0.3)):  # heads' choice
        assert nn.LeakyReLU not in acts(build(kind))
    chosen = acts(build(kind, act=LeakyReLUConfig()))
    assert nn.LeakyReLU in chosen
    assert chosen <= {nn.LeakyReLU, *{CGNetConfig: (nn.PReLU, nn.ReLU), BiSeNetV1Config: (nn.ReLU,)}.get(kind, ())}


@every_network
def test_there_are_no_pretrained_weights(kind: type[OwnBackboneConfig]) -> None:
    with pytest.raises(CheckpointError, match=f"timm has no weights for a {kind.__dataclass_fields__['type'].default}"):
        build(kind, pretrained=True)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (48, 31)])
@pytest.mark.parametrize("options", [{}, {"upsample": "deconv"}, {"conv_first": True}], ids=str)
def test_unet_takes_any_size(size: tuple[int, int], options: dict[str, Any]) -> None:
    maps = build(UNetConfig, out_indices=(0, 1, 2, 3, 4), **options).eval()(images(*size))
    ceil = [tuple(-(-pixels // stride) for pixels in size) for stride in (16, 8, 4, 2, 1)]
    assert [tuple(found.shape[2:]) for found in maps] == ceil


def test_unet_at_an_odd_size_sees_what_the_padded_image_shows_away_from_the_edge() -> None:
    model = build(UNetConfig, norm=BatchNorm2dConfig()).eval()
    odd = images(63, 95)
    padded = torch.nn.functional.pad(odd, (0, 1, 0, 1))
    for one, other in zip(model(odd), model(padded), strict=True):
        assert (one - other[..., : one.shape[2], : one.shape[3]])[..., :4, :4].abs().max() < 0.05 * other.abs().max()


def test_unet_strides_and_stages_of_one_resolution() -> None:
    config = UNetConfig(
        base_channels=4,
        stage_strides=(2, 1, 2, 1),
        downsamples=(False, True, True),
        enc_num_convs=(1, 2, 1, 2),
        dec_num_convs=(1, 2, 1),
        enc_dilations=(1, 2, 1, 4),
        dec_dilations=(2, 1, 1),
        out_indices=(0, 1, 2, 3),
    )
    model = BACKBONES.build(config).eval()
    assert model.features == (FeatureSpec(32, 8), FeatureSpec(16, 4), FeatureSpec(8, 2), FeatureSpec(4, 2))
    assert [found.shape[2:] for found in model(images(33, 47))] == [(5, 6), (9, 12), (17, 24), (17, 24)]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (UNetConfig, {"dec_num_convs": (2, 2)}, "dec_num_convs must have 4 values, one less than stage_strides"),
        (UNetConfig, {"out_indices": (5,)}, "out_indices must be at most 4, as there are 5 stages"),
        (
            UNetConfig,
            {"stage_strides": (1, 2), "downsamples": (False,), "enc_num_convs": (1, 1), "dec_num_convs": (1,)}
            | {"enc_dilations": (1, 1), "dec_dilations": (1,), "out_indices": (1,)},
            "downsamples must be true for stage 1, whose stride is 2",
        ),
        (BiSeNetV1Config, {"context": ResNetConfig(output_stride=8)}, "context.output_stride must be 32"),
        (BiSeNetV2Config, {"detail_channels": (8, 8, 8)}, "the last of semantic_channels must be the last of detail"),
        (CGNetConfig, {"channels": (32, 63, 128)}, r"must be even, as a block has two halves \(got 63\)"),
        (CGNetConfig, {"channels": (32, 4, 128)}, r"reductions must not exceed .* \(got 8 of 4\)"),
        (ERFNetConfig, {"enc_channels": (16, 16, 128)}, r"enc_channels must grow from in_channels on"),
        (ERFNetConfig, {"enc_blocks": (5, 7)}, "must divide by the number of dilations, 4"),
        (FastSCNNConfig, {"channels": 96}, r"channels must divide global_channels, 128 \(got 96\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    kind: type[OwnBackboneConfig], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_bisenetv1_hands_its_options_to_the_path_of_context() -> None:
    config = BiSeNetV1Config(in_channels=5, norm=BatchNorm2dConfig(eps=0.5), context=SMALL_RESNET)
    context = BACKBONES.build(config).context
    assert context.model.conv1[0].in_channels == 5
    assert {m.eps for m in context.modules() if isinstance(m, nn.BatchNorm2d)} == {0.5}


def test_erfnet_at_an_odd_size_has_no_cells_beyond_the_image() -> None:
    model = build(ERFNetConfig).eval()
    (found,) = model(images(65, 97))
    assert found.shape[2:] == (33, 49)


def test_fastscnn_may_end_at_another_stride() -> None:
    config = FastSCNNConfig(block_strides=(2, 1, 1), global_channels=64, channels=32, stem_channels=(8, 16, 24))
    model = BACKBONES.build(config).eval()
    assert (
        model.features
        == (FeatureSpec(24, 8), FeatureSpec(64, 16), FeatureSpec(32, 8))
        == tuple(
            FeatureSpec(feature.channels, stride)
            for feature, stride in zip(model.features, config.strides, strict=True)
        )
    )
    assert [found.shape[2:] for found in model(images(64, 96))] == [(8, 12), (4, 6), (8, 12)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BiSeNetV2Config, UNetConfig], ids=lambda kind: kind.type)
def test_compiled_gives_the_same(kind: type[OwnBackboneConfig]) -> None:
    model = build(kind).eval()
    expected = model(images(33, 47))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for one, other in zip(compiled(images(33, 47)), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
