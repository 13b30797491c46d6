"""What every backbone promises, checked for every registered backbone."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.backbones import small
from timm.layers import GroupNorm1
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from segkit.config.backbones import (
    ConvNeXtConfig,
    ConvolutionalConfig,
    MixVisionTransformerConfig,
    MobileNetV2Config,
    MobileNetV3Config,
    ResNetConfig,
    SwinTransformerConfig,
    TIMMBackboneConfig,
)
from segkit.config.layers import (
    BatchNorm2dConfig,
    GroupNormConfig,
    LayerNorm2dConfig,
    LeakyReLUConfig,
    NormConfig,
    SyncBatchNormConfig,
)
from segkit.errors import ConfigError
from segkit.layers.defaults import layer_defaults
from segkit.layers.norm import LayerNorm2d, SyncBatchNorm2d
from segkit.models.backbones.same_padding import SameConv2d, simplify_same_padding
from segkit.registry import BACKBONES
from segkit.types import FeatureSpec

every_backbone = pytest.mark.parametrize("name", BACKBONES.names())
several_maps = pytest.mark.parametrize(
    "name", [name for name in BACKBONES.names() if "out_indices" in BACKBONES.config(name).__dataclass_fields__]
)


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return BACKBONES.build(small(name, **options))


def images(height: int = 65, width: int = 97, channels: int = 3, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(1))


def rounding(x: Tensor) -> float:
    """What float32 may differ by; before training, HRNet's numbers go into the thousands."""
    return 1e-4 * max(1.0, float(x.detach().abs().max()) / 100)


def norms(model: nn.Module) -> Iterator[nn.Module]:
    """But for those that belong to an attention."""
    kinds = (nn.BatchNorm2d, nn.GroupNorm, LayerNorm2d)
    return (m for m in model.modules() if isinstance(m, kinds) and not isinstance(m, GroupNorm1))


@every_backbone
@pytest.mark.parametrize("size", [(65, 97), (64, 96), (97, 129)])
def test_features_are_as_described(name: str, size: tuple[int, int]) -> None:
    model = build(name).eval()
    maps = model(images(*size))
    slack = 2 if name == "MobileViTV2" else 1  # it enlarges maps to even sizes
    assert len(maps) == len(model.features)
    for found, (channels, stride) in zip(maps, model.features, strict=True):
        assert found.shape[:2] == (2, channels)
        for cells, pixels in zip(found.shape[2:], size, strict=True):
            assert abs(cells * stride - pixels) < slack * stride


@every_backbone
def test_config_tells_the_strides_before_anything_is_built(name: str) -> None:
    assert small(name).strides in ((), tuple(feature.stride for feature in build(name).features))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and wary of sizes
@every_backbone
def test_traced_once_it_is_right_at_other_sizes(name: str) -> None:
    model = build(name).eval()
    traced = torch.jit.trace(model, images(64, 96), check_trace=False, strict=False)
    for size in ((97, 131), (96, 64)):
        for found, wanted in zip(traced(images(*size)), model(images(*size)), strict=True):
            torch.testing.assert_close(found, wanted)


@every_backbone
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = build(name).train()
    torch.stack([found.square().mean() for found in model(images())]).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@several_maps
@pytest.mark.parametrize("index", [0, 1])
def test_no_parameter_is_left_behind_the_last_feature(name: str, index: int) -> None:
    model = build(name, out_indices=(index,)).train()
    (found,) = model(images())
    found.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@several_maps
def test_features_come_in_the_order_asked_for(name: str) -> None:
    indices = (2, 0, 2)
    model, every = build(name, out_indices=indices).eval(), build(name, out_indices=(0, 1, 2)).eval()
    model.load_state_dict(every.state_dict(), strict=False)
    expected = every(images())
    for found, index in zip(model(images()), indices, strict=True):
        torch.testing.assert_close(found, expected[index])


@every_backbone
def test_images_do_not_mix_in_eval(name: str) -> None:
    model = build(name).eval()
    for both, first in zip(model(images()), model(images()[:1]), strict=True):
        torch.testing.assert_close(both[:1], first, rtol=1e-4, atol=rounding(first))


@every_backbone
def test_bfloat16_autocast_is_close(name: str) -> None:
    model = build(name).eval()
    expected = model(images())
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images())
    for low, high in zip(found, expected, strict=True):
        assert torch.isfinite(low).all()
        # untrained networks of many layers: the rounding that adds up depends on the processor's kernels
        assert (low.float() - high).abs().mean() < 0.1 * high.abs().mean()


@every_backbone
def test_channels_last_gives_the_same(name: str) -> None:
    model = build(name).eval()
    expected = model(images())
    found = model.to(memory_format=torch.channels_last)(images().to(memory_format=torch.channels_last))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=rounding(other))


@every_backbone
@pytest.mark.parametrize("channels", [1, 5])
def test_images_may_have_any_number_of_channels(name: str, channels: int) -> None:
    assert build(name, in_channels=channels).eval()(images(channels=channels))[-1].isfinite().all()


@every_backbone
def test_checkpointing_recomputes_and_changes_no_gradient(name: str) -> None:
    plain, saving = build(name).train(), build(name, grad_checkpointing=True).train()
    calls = 0

    def count(module: nn.Module, *_: Any) -> None:
        nonlocal calls
        calls += isinstance(module, (nn.Conv2d, nn.Linear))

    for module in saving.modules():
        module.register_forward_hook(count)
    for model in (plain, saving):
        torch.stack([found.square().mean() for found in model(images())]).sum().backward()
    assert calls > sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in saving.modules())
    for (name_, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=lambda m, n=name_: f"{n}: {m}")


CHOICES = [BatchNorm2dConfig(eps=1e-3), SyncBatchNormConfig(), GroupNormConfig(num_groups=4), LayerNorm2dConfig()]
KINDS = {
    "BatchNorm2d": nn.BatchNorm2d,
    "SyncBatchNorm": SyncBatchNorm2d,
    "GroupNorm": nn.GroupNorm,
    "LayerNorm2d": LayerNorm2d,
}
CONVOLUTIONAL = [name for name in BACKBONES.names() if issubclass(BACKBONES.config(name), ConvolutionalConfig)]
convolutional = pytest.mark.parametrize("name", CONVOLUTIONAL)


def choices(name: str) -> list[NormConfig]:
    """CGNet stacks the image on its features: no number of groups divides 35 and 131 channels."""
    return [choice for choice in CHOICES if name != "CGNet" or not isinstance(choice, GroupNormConfig)]


@pytest.mark.parametrize(
    ("name", "choice"),
    [pytest.param(name, choice, id=f"{name}-{choice.type}") for name in CONVOLUTIONAL for choice in choices(name)],
)
def test_the_norm_in_force_is_used(name: str, choice: NormConfig) -> None:
    with layer_defaults(choice):
        model = build(name)
    assert list(norms(model))
    assert all(isinstance(norm, KINDS[choice.type]) for norm in norms(model))
    assert all(found.isfinite().all() for found in model(images()))


@convolutional
def test_parameters_have_the_same_names_under_every_norm(name: str) -> None:
    names = []
    for choice in choices(name):
        with layer_defaults(choice):
            names.append([n for n, _ in build(name).named_parameters()])
    assert all(other == names[0] for other in names)


@convolutional
def test_the_backbones_own_norm_wins(name: str) -> None:
    with layer_defaults(SyncBatchNormConfig()):
        model = build(name, norm=BatchNorm2dConfig(eps=0.5, momentum=0.25))
    assert {(norm.eps, norm.momentum) for norm in norms(model)} == {(0.5, 0.25)}
    assert not any(isinstance(norm, SyncBatchNorm2d) for norm in norms(model))


@convolutional
def test_synchronised_norm_starts_as_the_plain_one(name: str) -> None:
    plain = build(name).train()
    with layer_defaults(SyncBatchNormConfig()):
        synchronised = build(name).train()
    for one, other in zip(plain(images()), synchronised(images()), strict=True):
        assert torch.equal(one, other)


def test_timm_models_keep_their_own_eps() -> None:
    with layer_defaults(SyncBatchNormConfig(eps=1e-5)):
        model = build("TIMMBackbone", model_name="tf_efficientnet_lite0")
    assert {norm.eps for norm in norms(model)} == {1e-3}
    assert all(isinstance(norm, SyncBatchNorm2d) for norm in norms(model))


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("contract", [True, False])
def test_resnet_dilates_one_convolution_of_each_block(depth: int, output_stride: int, contract: bool) -> None:
    config = ResNetConfig(depth=depth, output_stride=output_stride, contract_dilation=contract, base_channels=8)
    model = BACKBONES.build(config).model
    for natural, stage in zip((4, 8, 16, 32), (model.layer1, model.layer2, model.layer3, model.layer4), strict=True):
        wanted = max(1, natural // output_stride)
        for index, block in enumerate(stage):
            dilations = [m.dilation[0] for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] == 3]
            first = max(1, wanted // 2) if contract and index == 0 else wanted
            assert dilations == ([first, 1] if depth == 18 else [first])


def test_resnet_caffe_style_shrinks_in_the_first_convolution() -> None:
    model = BACKBONES.build(ResNetConfig(style="caffe", output_stride=32, base_channels=8)).model
    assert [(model.layer2[0].conv1.stride, model.layer2[0].conv2.stride)] == [((2, 2), (1, 1))]


def test_resnet_shortcut_is_not_pooled_where_nothing_shrinks() -> None:
    model = BACKBONES.build(ResNetConfig(avg_down=True, output_stride=8, base_channels=8)).model
    kinds = [type(layer[0].downsample[0]) for layer in (model.layer1, model.layer2, model.layer3, model.layer4)]
    assert kinds == [nn.Identity, nn.AvgPool2d, nn.Identity, nn.Identity]


@pytest.mark.parametrize("deep_stem", [True, False])
@pytest.mark.parametrize("stem_channels", [32, 64])
def test_resnet_stem(deep_stem: bool, stem_channels: int) -> None:
    config = ResNetConfig(depth=18, deep_stem=deep_stem, stem_channels=stem_channels, act=LeakyReLUConfig())
    model = BACKBONES.build(config).model
    widths = [m.out_channels for m in nn.Sequential(model.conv1).modules() if isinstance(m, nn.Conv2d)]
    assert widths == ([stem_channels // 2, stem_channels // 2, stem_channels] if deep_stem else [stem_channels])
    assert isinstance(model.act1, nn.LeakyReLU)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(
    ("config", "count"),
    [(MobileNetV2Config, 7), (MobileNetV3Config, 17)],
    ids=["V2", "V3"],
)
def test_mobilenets_have_the_strides_they_tell(config: type, count: int, output_stride: int) -> None:
    model = BACKBONES.build(config(output_stride=output_stride, out_indices=tuple(range(count)))).eval()
    for found, (_, stride) in zip(model(images(64, 96)), model.features, strict=True):
        assert found.shape[2:] == (64 // stride, 96 // stride)
    assert max(feature.stride for feature in model.features) == output_stride


@pytest.mark.parametrize(("width", "channels"), [(0.5, (16, 16, 48, 160)), (1.4, (32, 48, 136, 448))])
def test_mobilenetv2_widths_are_rounded_to_8(width: float, channels: tuple[int, ...]) -> None:
    features = BACKBONES.build(MobileNetV2Config(width=width)).features
    assert tuple(feature.channels for feature in features) == channels


@pytest.mark.parametrize(("arch", "channels"), [("large", (16, 80, 960)), ("small", (16, 48, 576))])
def test_mobilenetv3_reduction_spares_the_last_convolution(arch: str, channels: tuple[int, ...]) -> None:
    last = {"large": 16, "small": 12}[arch]
    config = MobileNetV3Config(arch=arch, reduction_factor=2, out_indices=(0, last - 1, last))
    assert tuple(feature.channels for feature in BACKBONES.build(config).features) == channels


def test_mobilenetv3_refuses_layers_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="out_indices must be at most 12 for the small network"):
        MobileNetV3Config(arch="small", out_indices=(16,))


def test_swin_does_not_mind_a_map_smaller_than_its_window() -> None:
    config = SwinTransformerConfig(embed_dim=12, window_size=12, depths=(2, 2, 2, 2))
    assert [found.shape[2:] for found in BACKBONES.build(config)(images(33, 47))] == [(9, 12), (5, 6), (3, 3), (2, 2)]


def test_transformers_take_their_eps_from_the_config() -> None:
    for config in (SwinTransformerConfig, MixVisionTransformerConfig, ConvNeXtConfig):
        eps = {m.eps for m in BACKBONES.build(config(norm_eps=0.5)).modules() if isinstance(m, nn.LayerNorm)}
        assert eps == {0.5}


def test_timm_model_by_name_with_its_arguments() -> None:
    config = TIMMBackboneConfig(model_name="convnext_atto", out_indices=(-1, 0), kwargs={"depths": [1, 1, 1, 1]})
    assert BACKBONES.build(config).features == (FeatureSpec(320, 32), FeatureSpec(40, 4))
    dilated = TIMMBackboneConfig(model_name="resnet18", output_stride=8, out_indices=(4,))
    assert BACKBONES.build(dilated).features == (FeatureSpec(512, 8),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_name": "resnet51"}, r"backbone\.model_name: timm has no model 'resnet51', did you mean 'resnet\d+"),
        ({"kwargs": {"depthz": 3}}, r"backbone\.kwargs: resnet18 cannot be built with these arguments .*depthz"),
        ({"out_indices": (0, 7)}, r"backbone\.out_indices: must be from -5 to 4, as resnet18 has 5 feature maps"),
    ],
)
def test_timm_mistakes_are_told_at_their_path(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BACKBONES.build(TIMMBackboneConfig(**options))


@pytest.mark.parametrize("size", [(9, 14), (8, 8), (15, 13), (1, 2)])
@pytest.mark.parametrize(("side", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (3, 1, 2), (1, 2, 1), (3, 2, 2)])
def test_same_padding_is_the_one_of_timm(side: int, stride: int, dilation: int, size: tuple[int, int]) -> None:
    theirs = Conv2dSame(4, 4, side, stride=stride, dilation=dilation, groups=2)
    ours = nn.Sequential(theirs)
    simplify_same_padding(ours)
    assert isinstance(ours[0], SameConv2d)
    x = torch.randn(2, 4, *size)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours[0].weight is theirs.weight
