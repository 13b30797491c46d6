"""Transformers as backbones: positions at any size, windows, weights of other sizes; and HRNet's branches."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.config.backbones import (
    BEiTConfig,
    HRNetConfig,
    MAEConfig,
    MobileViTConfig,
    PCPVTConfig,
    SVTConfig,
    VisionTransformerConfig,
)
from segkit.models.backbones.positions import resize_bias_table, resize_positions, square, square_window
from segkit.registry import BACKBONES

TINY: dict[str, Any] = {
    "embed_dim": 12,
    "depth": 2,
    "num_heads": 3,
    "image_size": (64, 64),
    "out_indices": (0, 1),
    "drop_path": 0.0,
}
PLAIN = (VisionTransformerConfig, BEiTConfig, MAEConfig)
plain = pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)


def build(config: Any) -> Any:
    torch.manual_seed(0)
    model = BACKBONES.build(config).eval()
    for parameter in model.parameters():  # as they start, much is zero or next to it
        if parameter.ndim != 1 or not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return model


def images(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_positions_are_a_grid_behind_the_prefix() -> None:
    rows = torch.arange(4.0).view(4, 1).expand(4, 6)
    positions = torch.cat([torch.full((1, 2, 1), 9.0), rows.reshape(1, 24, 1)], dim=1)
    found = resize_positions(positions, (4, 6), (8, 3), prefix=2, mode="bilinear")
    assert found.shape == (1, 2 + 24, 1)
    assert torch.equal(found[:, :2], positions[:, :2])
    grid = found[0, 2:, 0].view(8, 3)
    assert torch.equal(grid[:, 0], grid[:, 2])  # rows stay rows
    torch.testing.assert_close(grid[:, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
    assert resize_positions(positions, (4, 6), (4, 6), prefix=2, mode="bilinear") is positions


def test_bias_tables_keep_the_middle_and_what_has_no_place() -> None:
    offsets = torch.arange(-2.0, 3.0).view(1, 5).expand(3, 5)  # of a window of 2 x 3, by column
    table = torch.cat([offsets.reshape(15, 1), torch.tensor([[7.0], [8.0], [9.0]])])
    found = resize_bias_table(table, (2, 3), (4, 5))
    assert found.shape == (7 * 9 + 3, 1)
    assert found[-3:].flatten().tolist() == [7, 8, 9]
    grid = found[:-3].view(7, 9)
    torch.testing.assert_close(grid[:, 4], torch.zeros(7))
    torch.testing.assert_close(grid, -grid.flip(1))


def test_sides_of_what_is_square() -> None:
    assert [square(count) for count in (0, 1, 9, 10)] == [None, (1, 1), (3, 3), None]
    assert [square_window(count) for count in (1, 9, 16, 25)] == [(1, 1), (2, 2), None, (3, 3)]


@plain
def test_at_its_own_size_it_is_timms_network(kind: Any) -> None:
    model = build(kind(**TINY))
    taken = model.model.forward_intermediates
    if kind is not VisionTransformerConfig:
        for block in model.model.blocks:
            block.attn.__class__ = block.attn.__class__.__mro__[1]
        expected = taken(images(64, 64), indices=[0, 1], intermediates_only=True)
        fresh = build(kind(**TINY))
    else:
        expected = taken(images(64, 64), indices=[0, 1], intermediates_only=True)
        fresh = model
    for found, wanted in zip(fresh(images(64, 64)), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@plain
@pytest.mark.parametrize("size", [(64, 96), (33, 50), (16, 16)])
def test_images_may_have_another_size(kind: Any, size: tuple[int, int]) -> None:
    for found in build(kind(**TINY))(images(*size)):
        assert found.shape == (2, 12, -(-size[0] // 16), -(-size[1] // 16))
        assert found.isfinite().all()


@plain
def test_positions_matter_at_another_size(kind: Any) -> None:
    model = build(kind(**TINY))
    moved = model(images(48, 80).roll(16, dims=3))[-1].roll(-1, dims=3)  # by a patch, and back
    assert (moved - model(images(48, 80))[-1]).abs().mean() > 1e-3


@plain
def test_the_last_map_is_normed_on_request(kind: Any) -> None:
    usual, normed = build(kind(**TINY)), build(kind(**TINY, final_norm=True))
    for found, expected, norm in zip(
        normed(images(64, 64)), usual(images(64, 64)), (nn.Identity(), normed.model.norm), strict=True
    ):
        torch.testing.assert_close(found, norm(expected.movedim(1, -1)).movedim(-1, 1))
    assert "model.norm.weight" in normed.state_dict()
    cut = build(kind(**TINY | {"out_indices": (0,)}, final_norm=True))
    assert "model.norm.weight" not in cut.state_dict()


@plain
def test_weights_for_another_image_size_are_resized(kind: Any, tmp_path: Path) -> None:
    source = build(kind(**TINY))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = BACKBONES.build(kind(**TINY | {"image_size": (96, 128)}, weights=tmp_path / "weights.pth")).eval()
    for name, value in source.state_dict().items():
        if value.shape == model.state_dict()[name].shape:
            assert torch.equal(value, model.state_dict()[name])
    for one, other in zip(source(images(96, 128)), model(images(96, 128)), strict=True):
        torch.testing.assert_close(one, other)


def test_an_autoencoders_weights_have_no_biases_by_position(tmp_path: Path) -> None:
    source = build(VisionTransformerConfig(**TINY))
    state = {name.removeprefix("model."): value for name, value in source.state_dict().items()}
    torch.save({"model": state | {"decoder_pred.bias": torch.zeros(3)}}, tmp_path / "mae.pth")
    torch.manual_seed(0)
    model = BACKBONES.build(MAEConfig(**TINY, weights=tmp_path / "mae.pth")).eval()
    for one, other in zip(source(images(64, 64)), model(images(64, 64)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"class_token": False}, {"patch_bias": False}, {"patch_norm": True}, {"pre_norm": True}, {"qkv_bias": False}],
    ids=lambda options: next(iter(options)),
)
def test_vision_transformers_options(options: dict[str, Any]) -> None:
    model = BACKBONES.build(VisionTransformerConfig(**TINY, **options)).train()
    torch.stack([found.square().mean() for found in model(images(64, 80))]).sum().backward()
    names = dict(model.named_parameters())
    assert [name for name, parameter in names.items() if parameter.grad is None] == []
    present = {
        "class_token": "model.cls_token",
        "patch_bias": "model.patch_embed.proj.bias",
        "patch_norm": "model.patch_embed.norm.weight",
        "pre_norm": "model.norm_pre.weight",
        "qkv_bias": "model.blocks.0.attn.qkv.bias",
    }
    for option, value in options.items():
        assert (present[option] in names) == value


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (VisionTransformerConfig, {"out_indices": (9, 12)}, "out_indices must be at most 11, as there are 12 blocks"),
        (BEiTConfig, {"num_heads": 7}, "7 heads do not divide the 768 channels"),
        (MAEConfig, {"image_size": (8, 64)}, "image_size must be at least patch_size"),
        (PCPVTConfig, {"depths": (1, 2)}, "depths must have a value for each of the 4 stages"),
        (SVTConfig, {"window_sizes": (7,)}, "window_sizes must have a value for each of the 4 stages"),
    ],
)
def test_what_cannot_be_is_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def windows_of(size: tuple[int, int]) -> tuple[nn.Module, Tensor, Tensor]:
    """One windowed attention of side 7, its input, and plain attention over all cells."""
    config = SVTConfig(
        embed_dims=(8,),
        depths=(1,),
        num_heads=(2,),
        mlp_ratios=(4.0,),
        sr_ratios=(1,),
        window_sizes=(7,),
        out_indices=(0,),
    )
    attention = build(config).model.blocks[0][0].attn
    x = torch.randn(2, size[0] * size[1], 8)
    query, key, value = attention.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    return attention, x, attention.proj(attended)


@pytest.mark.parametrize("size", [(7, 7), (5, 6)])
def test_one_window_is_plain_attention_over_what_is_inside(size: tuple[int, int]) -> None:
    attention, x, expected = windows_of(size)
    torch.testing.assert_close(attention(x, size), expected)


def test_padding_on_one_side_is_seen_as_the_weights_know_it() -> None:
    attention, x, expected = windows_of((7, 5))
    assert (attention(x, (7, 5)) - expected).abs().max() > 1e-3
    timms = attention.__class__.__mro__[1].forward
    for size in ((7, 5), (14, 21)):
        x = torch.randn(2, size[0] * size[1], 8)
        torch.testing.assert_close(attention(x, size), timms(attention, x, size))


def test_stages_of_twins_may_be_fewer() -> None:
    config = SVTConfig(
        embed_dims=(8, 16),
        depths=(2, 1),
        num_heads=(1, 2),
        mlp_ratios=(4.0, 4.0),
        sr_ratios=(4, 2),
        window_sizes=(3, 5),
        out_indices=(1,),
    )
    (found,) = build(config)(images(65, 70))
    assert found.shape == (2, 16, 9, 9)


def test_hrnets_stack_begins_with_its_first_branch() -> None:
    model = build(HRNetConfig(width=4, small=True, out_indices=(0, 1, 2, 3, 4)))
    stack, *branches = model(images(50, 77))
    assert [branch.shape[1:] for branch in branches] == [(4, 13, 20), (8, 7, 10), (16, 4, 5), (32, 2, 3)]
    assert stack.shape[1:] == (60, 13, 20)
    assert torch.equal(stack[:, :4], branches[0])
    torch.testing.assert_close(stack[:, 28:], F.interpolate(branches[3], (13, 20), mode="bilinear"))


def test_hrnets_branch_alone_needs_no_last_exchange_for_the_others() -> None:
    whole, alone = build(HRNetConfig(width=4, small=True)), build(HRNetConfig(width=4, small=True, out_indices=(2,)))
    missing = whole.state_dict().keys() - alone.state_dict().keys()
    assert missing
    assert all(name.startswith("model.stage4.1.fuse_layers.") for name in missing)
    alone.load_state_dict(whole.state_dict(), strict=False)
    torch.testing.assert_close(
        F.interpolate(alone(images(64, 64))[0], scale_factor=2, mode="bilinear"), whole(images(64, 64))[0][:, 4:12]
    )


def test_mobilevits_projection_may_go_without_activation() -> None:
    plain, active = (build(MobileViTConfig(arch="xx_small", projection_act=act)) for act in (False, True))
    assert plain.state_dict().keys() == active.state_dict().keys()
    assert not torch.equal(plain(images(64, 64))[-1], active(images(64, 64))[-1])
