"""What every loss promises, checked for every registered loss."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from segkit.config.losses import LovaszLossConfig, OHEMConfig
from segkit.registry import LOSSES
from segkit.types import IGNORE_INDEX

every_loss = pytest.mark.parametrize("name", LOSSES.names())
both_forms = pytest.mark.parametrize("use_sigmoid", [False, True], ids=["softmax", "sigmoid"])


def build(name: str, num_classes: int = 4, **options: Any) -> nn.Module:
    return LOSSES.build(LOSSES.config(name)(**options), num_classes)


def data(num_classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, num_classes, 5, 6, generator=generator)
    target = torch.randint(0, max(num_classes, 2), (3, 5, 6), generator=generator)
    target[0, 0] = IGNORE_INDEX
    return logits, target


@every_loss
@both_forms
def test_a_batch_without_labels_costs_nothing_and_teaches_nothing(name: str, use_sigmoid: bool) -> None:
    logits = data()[0].requires_grad_()
    loss = build(name, use_sigmoid=use_sigmoid)(logits, torch.full((3, 5, 6), IGNORE_INDEX))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@every_loss
@both_forms
def test_ignored_pixels_have_no_say(name: str, use_sigmoid: bool) -> None:
    loss = build(name, use_sigmoid=use_sigmoid)
    logits, target = data()
    other = logits.clone()
    other[0, :, 0] = 50.0
    other.requires_grad_()
    value = loss(other, target)
    torch.testing.assert_close(value, loss(logits, target))
    value.backward()
    assert other.grad is not None
    assert not other.grad[0, :, 0].any()
    assert other.grad.any()


@every_loss
@both_forms
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_value_and_gradient_are_finite_at_any_certainty(name: str, use_sigmoid: bool, scale: float) -> None:
    logits, target = data()
    logits = (logits * scale).requires_grad_()
    loss = build(name, use_sigmoid=use_sigmoid)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_loss
@both_forms
def test_right_is_cheaper_than_wrong(name: str, use_sigmoid: bool) -> None:
    loss = build(name, use_sigmoid=use_sigmoid)
    target = data()[1]
    labels = target.masked_fill(target == IGNORE_INDEX, 0)
    right = 20 * nn.functional.one_hot(labels, 4).movedim(-1, 1).float() - 10
    if (name, use_sigmoid) == ("LovaszLoss", True):  # a hinge on probabilities, which is never 0
        assert loss(right, target) < loss(-right, target)
    else:
        assert float(loss(right, target)) < 0.01
        assert loss(-right, target) > 0.3


@every_loss
@both_forms
def test_is_computed_in_float32_under_autocast(name: str, use_sigmoid: bool) -> None:
    loss = build(name, use_sigmoid=use_sigmoid)
    logits, target = data()
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), target), rtol=1e-6, atol=1e-6)


@every_loss
def test_one_class_asks_whether_a_pixel_is_1(name: str) -> None:
    loss = build(name, num_classes=1)
    target = data(1)[1]
    right = torch.where(target == 1, 12.0, -12.0).unsqueeze(1)
    assert loss(right, target) < loss(-right, target)


@every_loss
def test_weight_scales_and_flooding_turns_around(name: str) -> None:
    logits, target = data()
    plain = build(name)(logits, target)
    torch.testing.assert_close(build(name, weight=0.4)(logits, target), 0.4 * plain)
    floor = float(plain) + 1
    torch.testing.assert_close(build(name, flooding=floor)(logits, target), 2 * floor - plain)


@every_loss
@both_forms
@pytest.mark.parametrize("ohem", [None, OHEMConfig(), OHEMConfig(threshold=None)], ids=["all", "hard", "hardest"])
def test_nothing_waits_for_the_device(name: str, use_sigmoid: bool, ohem: OHEMConfig | None) -> None:
    options: dict[str, Any] = {"use_sigmoid": use_sigmoid}
    if name == "CrossEntropyLoss":
        options |= {"ohem": ohem, "class_weights": (0.5, 1.0, 1.5, 2.0)}
    with FakeTensorMode():  # whose tensors have no values: reading one, or a size that hangs on them, is an error
        logits = torch.randn(3, 4, 5, 6, requires_grad=True)
        build(name, **options)(logits, torch.zeros(3, 5, 6, dtype=torch.int64)).backward()
        assert logits.grad is not None


@every_loss
def test_the_state_has_nothing_to_save(name: str) -> None:
    options = {"class_weights": (1.0, 2.0, 3.0, 4.0)} if name != "DiceLoss" else {}
    assert not build(name, **options).state_dict()


def over_ranks() -> dict[str, nn.Module]:
    """Losses that are one mean over the joined batch, whatever process a pixel is in."""
    weights = (0.5, 1.0, 1.5, 2.0)
    return {
        "plain": build("CrossEntropyLoss"),
        "weighted": build("CrossEntropyLoss", class_weights=weights),
        "hard": build("CrossEntropyLoss", ohem=OHEMConfig(threshold=1.0)),
        "sigmoid": build("CrossEntropyLoss", use_sigmoid=True, class_weights=weights),
        "focal": build("FocalLoss"),
        "dice": build("DiceLoss"),
    }


def run(loss: nn.Module, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


def rank_main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    logits, target = data()
    blank = torch.full_like(target, IGNORE_INDEX)
    parts = (slice(0, 1), slice(1, 3))[rank]
    results = {}
    for name, loss in over_ranks().items():
        results[name] = run(loss, logits[parts], target[parts])
        results[f"{name}, no labels on rank 1"] = run(loss, logits[parts], (target if rank == 0 else blank)[parts])
    lovasz = LOSSES.build(LovaszLossConfig(), 4)
    results["lovasz, no labels on rank 1"] = run(lovasz, logits[parts], (target if rank == 0 else blank)[parts])
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one_on_the_joined_batch(tmp_path: Path) -> None:
    mp.spawn(rank_main, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    logits, target = data()
    part = target.clone()
    part[1:] = IGNORE_INDEX
    for name, loss in {**over_ranks(), "lovasz": LOSSES.build(LovaszLossConfig(), 4)}.items():
        for case, labels in ((name, target), (f"{name}, no labels on rank 1", part)):
            if case not in first:
                continue
            value, gradient = run(loss, logits, labels)
            torch.testing.assert_close((first[case][0] + second[case][0]) / 2, value, msg=case)
            joined = torch.cat([first[case][1], second[case][1]]) / 2  # DDP takes the mean of gradients
            torch.testing.assert_close(joined, gradient, msg=case)
        assert float(second[f"{name}, no labels on rank 1"][0]) == 0.0
        assert not second[f"{name}, no labels on rank 1"][1].any()
