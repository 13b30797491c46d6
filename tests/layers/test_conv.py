"""Convolution blocks: size kept, biases only where they count, the config's layers used."""

import pytest
import torch
from torch import nn

from segkit.config.component import CONFIGS
from segkit.config.layers import GELUConfig, LayerNorm2dConfig
from segkit.layers.act import build_act
from segkit.layers.conv import ConvNormAct, DepthwiseSeparableConv
from segkit.layers.defaults import layer_defaults
from segkit.layers.norm import LayerNorm2d

FORMULAS = {
    "ReLU": lambda x: x.clamp(min=0),
    "ReLU6": lambda x: x.clamp(0, 6),
    "LeakyReLU": lambda x: torch.where(x > 0, x, 0.01 * x),
    "PReLU": lambda x: torch.where(x > 0, x, 0.25 * x),
    "GELU": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "SiLU": lambda x: x * x.sigmoid(),
    "HardSwish": lambda x: x * (x + 3).clamp(0, 6) / 6,
}


@pytest.mark.parametrize("name", sorted(CONFIGS["act"]))
def test_activation_is_its_formula(name: str) -> None:
    x = torch.linspace(-7, 7, 40).view(1, 2, 4, 5)
    torch.testing.assert_close(build_act(2, CONFIGS["act"][name]())(x.clone()), FORMULAS[name](x))


@pytest.mark.parametrize("kernel_size", [1, 3, (1, 3), (5, 1)])
@pytest.mark.parametrize("dilation", [1, 4])
def test_size_is_kept(kernel_size: int | tuple[int, int], dilation: int) -> None:
    assert ConvNormAct(2, 4, kernel_size, dilation=dilation)(torch.randn(2, 2, 9, 14)).shape == (2, 4, 9, 14)


def test_stride_rounds_up() -> None:
    assert ConvNormAct(2, 4, 3, stride=2)(torch.randn(2, 2, 9, 14)).shape == (2, 4, 5, 7)


def test_bias_stands_where_no_normalisation_follows() -> None:
    assert ConvNormAct(2, 4, 3).conv.bias is None
    assert ConvNormAct(2, 4, 3, norm=False).conv.bias is not None
    assert DepthwiseSeparableConv(2, 4, 3, norm=False).pointwise.conv.bias is None


def test_layers_in_force_are_used() -> None:
    with layer_defaults(LayerNorm2dConfig(), GELUConfig()):
        block = DepthwiseSeparableConv(2, 4, 3)
    for part in (block.depthwise, block.pointwise):
        assert isinstance(part.norm, LayerNorm2d)
        assert isinstance(part.act, nn.GELU)


def test_separable_convolution_is_its_two_parts() -> None:
    block = DepthwiseSeparableConv(3, 5, 3, dilation=2).eval()
    x = torch.randn(1, 3, 8, 8)
    middle = nn.functional.conv2d(x, block.depthwise.conv.weight, padding=2, dilation=2, groups=3)
    middle = block.depthwise.norm(middle).relu()
    torch.testing.assert_close(block(x), block.pointwise(middle))
