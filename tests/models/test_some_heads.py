"""What single heads do beyond what all promise."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkit.config.heads import FCNConfig, Feature2PyramidConfig, LRASPPNetConfig, SemanticFPNConfig
from segkit.errors import ConfigError
from segkit.models.heads.fcn import FCN
from segkit.models.heads.lrasppnet import LRASPPNet
from segkit.models.heads.semanticfpn import SemanticFPN
from segkit.models.necks.feature2pyramid import Feature2Pyramid
from segkit.types import FeatureSpec

SPECS = tuple(FeatureSpec(channels=8, stride=4 * 2**i) for i in range(4))


@pytest.mark.parametrize("num_convs", [0, 1, 3])
@pytest.mark.parametrize("depthwise", [False, True])
def test_fcn_has_as_many_convolutions_as_asked(num_convs: int, depthwise: bool) -> None:
    head = FCN(FCNConfig(channels=16, num_convs=num_convs, depthwise=depthwise), SPECS, 5)
    assert len(head.convs) == num_convs
    assert head([torch.randn(2, 8, 6, 7)]).shape == (2, 5, 6, 7)


@pytest.mark.parametrize("size", [(8, 8), (49, 49), (52, 70), (100, 30)])
def test_lraspp_pools_as_the_paper_wherever_that_works(size: tuple[int, int]) -> None:
    head = LRASPPNet(LRASPPNetConfig(branch_channels=(4, 4)), SPECS[:3], 5)
    x = torch.randn(1, 8, *size)
    kernel = min(49, size[0]), min(49, size[1])
    torch.testing.assert_close(head._pool(x), F.avg_pool2d(x, kernel, (16, 20)), rtol=1e-4, atol=1e-5)
    whole = LRASPPNet(LRASPPNetConfig(branch_channels=(4, 4), pool_size=None), SPECS[:3], 5)
    torch.testing.assert_close(whole._pool(x), x.mean((2, 3), keepdim=True))


def test_lraspp_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"head\.branch_channels: at most 1, as the backbone returns 2 features"):
        LRASPPNet(LRASPPNetConfig(), SPECS[:2], 5)


def test_semantic_fpn_doubles_by_the_strides_it_is_told() -> None:
    def depths(config: SemanticFPNConfig) -> list[int]:
        return [len(branch) for branch in SemanticFPN(config, SPECS, 5).sum.branches]

    small = {"channels": 8, "scale_head_channels": 8}
    assert depths(SemanticFPNConfig(**small)) == [1, 1, 2, 3]
    assert depths(SemanticFPNConfig(**small, strides=(8, 8, 8, 16))) == [1, 1, 1, 1]
    with pytest.raises(ConfigError, match=r"head\.strides: needs one for each of the backbone's 4 features"):
        SemanticFPN(SemanticFPNConfig(strides=(4, 8, 16)), SPECS, 5)
    with pytest.raises(ConfigError, match="16 times the first"):
        SemanticFPN(SemanticFPNConfig(strides=(4, 6, 8, 16)), SPECS, 5)


def test_a_plain_transformers_features_become_a_pyramid() -> None:
    specs = [FeatureSpec(8, 16)] * 4
    neck = Feature2Pyramid(Feature2PyramidConfig(), specs)
    assert neck.features == tuple(FeatureSpec(8, stride) for stride in (4, 8, 16, 32))
    features = [torch.randn(2, 8, 6, 7) for _ in specs]
    pyramid: list[Tensor] = neck(features)
    assert [tuple(x.shape[-2:]) for x in pyramid] == [(24, 28), (12, 14), (6, 7), (3, 3)]
    torch.testing.assert_close(pyramid[2], features[2])
    torch.testing.assert_close(pyramid[3], F.max_pool2d(features[3], 2))
    with pytest.raises(ConfigError, match=r"head\.neck\.rescales: needs a factor for each of the backbone's 3"):
        Feature2Pyramid(Feature2PyramidConfig(), specs[:3])
