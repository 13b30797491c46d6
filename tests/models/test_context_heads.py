"""What the heads of context do beyond what all promise."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.build import build_criterion, build_segmentor
from segkit.config.backbones import BackboneConfig, MobileNetV2Config, ResNetConfig
from segkit.config.checks import cross_checks
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import (
    AuxiliaryConfig,
    CCNetConfig,
    CE2PConfig,
    EMANetConfig,
    ENCNetConfig,
    FCNConfig,
    HeadConfig,
    ICNeckConfig,
    ICNetConfig,
    MLANeckConfig,
    PSANetConfig,
    SETRMLAConfig,
    SETRUPConfig,
)
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError
from segkit.models.heads.ccnet import CCNet
from segkit.models.heads.ce2p import balanced_edge_loss
from segkit.models.heads.dmnet import DynamicConv
from segkit.models.heads.emanet import EMANet
from segkit.models.heads.encnet import ResidualCodes
from segkit.models.heads.psanet import PSANet
from segkit.models.heads.setrup import SETRUP
from segkit.models.necks.mlaneck import MLANeck
from segkit.types import FeatureSpec

SPECS = (FeatureSpec(8, 8),)
CASCADE = ICNeckConfig(channels=8, light_channels=4, pool_channels=8, branch_channels=(4, 8, 8))


def config(head: HeadConfig, **options: Any) -> SegmentorConfig:
    return SegmentorConfig(
        dataset=FolderDatasetConfig(class_names=("a", "b", "c")),
        backbone=ResNetConfig(depth=18, base_channels=8),
        head=head,
        **options,
    )


def test_criss_cross_attention_begins_as_nothing_and_reaches_all_in_two_rounds() -> None:
    head = CCNet(CCNetConfig(channels=8), SPECS, 3).eval()
    x = torch.randn(1, 8, 5, 6)
    torch.testing.assert_close(head.attend(x), x)
    nn.init.ones_(head.attend.scale)
    for rounds, reached in ((1, 10), (2, 30)):
        head.attend.zero_grad()
        y = x.clone().requires_grad_()
        out = y
        for _ in range(rounds):
            out = head.attend(out)
        (gradient,) = torch.autograd.grad(out[0, :, 2, 3].sum(), y)
        assert int((gradient.abs().sum(1) > 0).sum()) == reached


def test_bases_move_in_training_only() -> None:
    head = EMANet(EMANetConfig(channels=8, num_bases=4, momentum=0.5), SPECS, 3)
    before = head.rebuild.bases.clone()
    head.eval()([torch.randn(2, 8, 6, 6)])
    assert torch.equal(head.rebuild.bases, before)
    head.train()([torch.randn(2, 8, 6, 6)])
    moved = 2 * head.rebuild.bases - before  # momentum 0.5: the batch's own bases, of length 1
    assert not torch.equal(head.rebuild.bases, before)
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(1, 4))
    assert {name for name, p in head.named_parameters() if not p.requires_grad} == {"project.weight", "project.bias"}


@pytest.mark.parametrize("direction", ["bi-direction", "collect", "distribute"])
@pytest.mark.parametrize("shrink", [1, 2, 3])
@pytest.mark.parametrize("softmax", [False, True])
def test_point_wise_attention_in_every_form(direction: Any, shrink: int, softmax: bool) -> None:
    options = {"channels": 4, "direction": direction, "shrink_factor": shrink, "psa_softmax": softmax}
    head = PSANet(PSANetConfig(mask_size=(5, 7), normalization_factor=None, **options), SPECS, 3).eval()
    for size in ((6, 6), (7, 5), (6, 7), (1, 2)):
        assert head([torch.randn(2, 8, *size)]).shape == (2, 3, *size)


def test_compact_masks_must_fit() -> None:
    head = PSANet(PSANetConfig(channels=4, compact=True, mask_size=(4, 3)), SPECS, 3).eval()
    assert head([torch.randn(1, 8, 8, 6)]).shape == (1, 3, 8, 6)
    with pytest.raises(ConfigError, match=r"head\.mask_size: a compact mask .* which is \[4, 4\] \(got \[4, 3\]\)"):
        head([torch.randn(1, 8, 8, 8)])


def test_residual_codes_are_their_sum() -> None:
    codes = ResidualCodes(5, 3)
    x = torch.randn(2, 5, 3, 4)
    apart = x.flatten(2).transpose(1, 2).unsqueeze(2) - codes.codewords  # (N, L, B, C)
    shares = (codes.scale * apart.square().sum(3)).softmax(2)
    torch.testing.assert_close(codes(x), (shares.unsqueeze(3) * apart).sum(1), rtol=1e-4, atol=1e-5)


def test_an_image_is_asked_for_its_classes() -> None:
    own = build_criterion(config(ENCNetConfig(channels=8, se_weight=0.5)))
    target = torch.full((2, 4, 4), 255)
    target[0, 0, 0] = 1
    outputs = {"main": torch.randn(2, 3, 4, 4), "se": torch.randn(2, 3)}
    wanted = F.binary_cross_entropy_with_logits(outputs["se"], torch.tensor([[0.0, 1, 0], [0, 0, 0]]))
    torch.testing.assert_close(own(outputs, target)["se.loss"], 0.5 * wanted)
    plain = config(ENCNetConfig(channels=8, se_weight=0))
    assert set(build_segmentor(plain).outputs(torch.randn(2, 3, 32, 32))) == {"main"}
    assert build_criterion(plain).own is None


def test_lateral_features_of_encnet() -> None:
    model = build_segmentor(config(ENCNetConfig(channels=8, add_lateral=True)))
    outputs = model.outputs(torch.randn(2, 3, 40, 48))
    sum(x.square().mean() for x in outputs.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_edges_weigh_as_much_as_all_else() -> None:
    logits = torch.randn(1, 2, 3, 4, requires_grad=True)
    edges = torch.tensor([[[0, 0, 0, 255], [0, 0, 1, 1], [255, 0, 0, 0]]])
    values = F.cross_entropy(logits, edges, reduction="none", ignore_index=255)
    wanted = (values[edges == 0].mean() + values[edges == 1].mean()) / 2
    torch.testing.assert_close(balanced_edge_loss(logits, edges), wanted)
    for missing in (torch.zeros_like(edges), torch.full_like(edges, 255)):
        loss = balanced_edge_loss(logits, missing)
        loss.backward()
        assert loss.item() == 0


def test_the_cascade_trains_and_its_heads_see_it() -> None:
    auxiliary = {
        "coarse": AuxiliaryConfig(head=FCNConfig(channels=8, num_convs=1), level=-3),
        "middle": AuxiliaryConfig(head=FCNConfig(channels=8, num_convs=1), level=-2),
    }
    described = config(ICNetConfig(neck=CASCADE), auxiliary=auxiliary)
    assert not [p for p in cross_checks(described) if p.path.startswith("auxiliary")]
    model = build_segmentor(described)
    images = torch.randn(2, 3, 64, 96)
    outputs = model.outputs(images)
    sizes = {name: tuple(x.shape[-2:]) for name, x in outputs.items()}
    assert sizes == {"main": (8, 12), "middle": (8, 12), "coarse": (5, 7)}
    sum(x.square().mean() for x in outputs.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.eval()
    torch.testing.assert_close(model(images), model.outputs(images)["main"])
    assert model(torch.randn(1, 3, 33, 47)).shape == (1, 3, 5, 6)


def test_the_deepest_branch_sees_a_quarter() -> None:
    model = build_segmentor(config(ICNetConfig(neck=CASCADE))).eval()
    assert [tuple(x.shape[-2:]) for x in model.backbone(torch.randn(1, 3, 64, 64))] == [
        (17, 17),
        (9, 9),
        (4, 4),
        (4, 4),
    ]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (ResNetConfig(depth=18, out_indices=(0, 3)), r"head\.neck: needs a feature of stride 8 before the last"),
        (MobileNetV2Config(), "backbone: MobileNetV2 has no image cascade; use a ResNet"),
    ],
)
def test_a_cascade_says_what_it_needs(backbone: BackboneConfig, message: str) -> None:
    dataset = FolderDatasetConfig(class_names=("a",))
    with pytest.raises(ConfigError, match=message):
        build_segmentor(SegmentorConfig(dataset=dataset, backbone=backbone, head=ICNetConfig(neck=CASCADE)))


def test_setr_enlarges_as_told() -> None:
    for convs, factor in ((4, 2), (2, 4), (0, 2)):
        head = SETRUP(SETRUPConfig(channels=8, num_convs=convs, scale_factor=factor), SPECS, 3).eval()
        assert head([torch.randn(1, 8, 2, 3)]).shape == (1, 3, 2 * factor**convs, 3 * factor**convs)


def test_levels_are_summed_from_the_deepest_on() -> None:
    neck = MLANeck(MLANeckConfig(channels=4), [FeatureSpec(8, 16)] * 3).eval()
    features = [torch.randn(1, 8, 3, 3) for _ in range(3)]
    whole = neck(features)
    other = neck([torch.randn(1, 8, 3, 3), *features[1:]])
    assert [torch.equal(a, b) for a, b in zip(whole, other, strict=True)] == [True, True, False]
    model = build_segmentor(
        config(
            SETRMLAConfig(channels=4, neck=MLANeckConfig(channels=8)),
        )
    )
    assert isinstance(model.neck, MLANeck)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_dynamic_filters_are_each_image_s_own(size: int) -> None:
    conv = DynamicConv(6, 4, size, fusion=False).eval()
    x = torch.randn(2, 6, 8, 9)
    filters = conv.filters(F.adaptive_avg_pool2d(x, size))
    reduced = F.pad(conv.reduce(x), (size // 2, (size - 1) // 2) * 2)
    wanted: Tensor = torch.cat([F.conv2d(reduced[i : i + 1], filters[i].unsqueeze(1), groups=4) for i in range(2)])
    torch.testing.assert_close(conv(x), conv.act(conv.norm(wanted)), rtol=1e-4, atol=1e-5)


def test_edges_come_from_the_label() -> None:
    criterion = build_criterion(config(CE2PConfig(channels=8, edge_channels=8, edge_weight=2.0)))
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[:, :, 4:] = 1
    outputs = {name: torch.randn(1, 3, 4, 4) for name in ("main", "stage1")} | {"edge": torch.randn(1, 2, 8, 8)}
    edges = torch.zeros_like(target)
    edges[:, :, 2:6] = 1  # the last column of one class and the first of the other, dilated
    wanted = 2 * balanced_edge_loss(outputs["edge"], edges)
    torch.testing.assert_close(criterion(outputs, target)["edge.loss"], wanted)
