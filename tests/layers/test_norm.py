"""Normalisations by config; batch normalisation over two processes is that of one."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from segkit.config.layers import BatchNorm2dConfig, GroupNormConfig, LayerNorm2dConfig, NormConfig, SyncBatchNormConfig
from segkit.errors import ConfigError
from segkit.layers.defaults import layer_defaults
from segkit.layers.norm import LayerNorm2d, SyncBatchNorm2d, build_norm

EVERY_NORM = [BatchNorm2dConfig(), SyncBatchNormConfig(), GroupNormConfig(num_groups=2), LayerNorm2dConfig()]


@pytest.mark.parametrize("config", EVERY_NORM, ids=lambda config: config.type)
def test_standardises_and_has_eps_of_the_config(config: NormConfig) -> None:
    norm = build_norm(4, config)
    assert norm.eps == config.eps
    out = norm(5 + 3 * torch.randn(8, 4, 9, 9)).detach()
    assert abs(float(out.mean())) < 0.1
    assert abs(float(out.std()) - 1) < 0.1


def test_layer_norm_is_over_channels() -> None:
    x = torch.randn(2, 6, 3, 5)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(LayerNorm2d(6)(x), expected)


def test_groups_that_do_not_divide_are_an_error_at_their_path() -> None:
    with pytest.raises(ConfigError, match=r"norm\.num_groups: 32 groups do not divide a layer of 48 channels"):
        build_norm(48, GroupNormConfig())


def test_the_choice_in_force_ends_with_its_block() -> None:
    with layer_defaults(norm=SyncBatchNormConfig(eps=1e-3)):
        inside = build_norm(4)
    assert isinstance(inside, SyncBatchNorm2d)
    assert inside.eps == 1e-3
    assert type(build_norm(4)) is nn.BatchNorm2d


def test_one_process_is_plain_batch_norm() -> None:
    x = torch.randn(3, 4, 5, 5)
    sync, plain = SyncBatchNorm2d(4), nn.BatchNorm2d(4)
    assert torch.equal(sync(x), plain(x))
    assert torch.equal(sync.running_var, plain.running_var)


def run(norm: nn.Module, x: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
    """One training step of ``norm`` on ``x`` towards ``wanted``: all that it computes."""
    x = x.clone().requires_grad_()
    out = norm(x)
    (out.sigmoid() * wanted).sum().backward()
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    return {"out": out.detach(), "x.grad": x.grad, "w.grad": norm.weight.grad, "b.grad": norm.bias.grad, **state}


def data() -> tuple[SyncBatchNorm2d, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    norm = SyncBatchNorm2d(3, momentum=0.3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, 1000 + torch.randn(5, 3, 4, 6), torch.randn(5, 3, 4, 6)  # a large mean: naive variances cancel


def rank_main(rank: int, folder: Path, split: tuple[int, int]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    norm, x, wanted = data()
    result = run(norm, x.split(split)[rank], wanted.split(split)[rank])
    torch.save(result, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("split", [(1, 4), (3, 2)])
def test_two_processes_are_one_on_the_joined_batch(split: tuple[int, int], tmp_path: Path) -> None:
    mp.spawn(rank_main, (tmp_path, split), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    norm, x, wanted = data()
    whole = run(norm, x, wanted)
    for name in ("out", "x.grad"):
        torch.testing.assert_close(torch.cat([first[name], second[name]]), whole[name], rtol=1e-3, atol=1e-4)
    for name in ("w.grad", "b.grad"):
        torch.testing.assert_close(first[name] + second[name], whole[name], rtol=1e-3, atol=1e-4)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(first[name], whole[name])
        assert torch.equal(first[name], second[name])
