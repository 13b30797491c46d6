"""What a training says of what looks wrong: once, with the remedy."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.runs import tiny_config
from torch import nn
from torch.optim import Optimizer

from segkit.config.datasets import FolderDatasetConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import (
    AdamWConfig,
    DataloaderConfig,
    OptimizerConfig,
    PolySchedulerConfig,
    SGDConfig,
    WarmupConfig,
)
from segkit.config.transforms import NormalizeConfig
from segkit.engine.diagnostics import Diagnostics
from segkit.engine.launch import train
from segkit.engine.step import TrainStep
from segkit.errors import TrainingError
from segkit.optim.schedulers import PolyScheduler, Scheduler


@pytest.fixture
def images(tmp_path: Path) -> FolderDatasetConfig:
    """4 images of classes a and b, the last one without any label; nobody ever drew a c."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        for i in range(4):
            cv2.imwrite(str(tmp_path / f"images/{split}/{i}.png"), rng.integers(0, 255, (32, 48, 3), np.uint8))
            label = rng.integers(0, 2, (32, 48), np.uint8) if i < 3 else np.full((32, 48), 255, np.uint8)
            cv2.imwrite(str(tmp_path / f"labels/{split}/{i}.png"), label)
    return FolderDatasetConfig(
        root=tmp_path,
        class_names=("a", "b", "c"),
        train_transforms={"normalize": NormalizeConfig()},
        val_transforms={"normalize": NormalizeConfig()},
    )


def one_by_one(dataset: FolderDatasetConfig) -> SegmentorConfig:
    config = tiny_config(dataloader={"total_batch_size": 1}, scheduler={"max_epochs": 3})
    return replace(config, dataset=dataset)


def warnings_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("warning: ")]


def test_labels_that_teach_nothing(
    images: FolderDatasetConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(one_by_one(images), tmp_path / "run")
    said = warnings_of(capsys.readouterr().out)
    assert len(said) == 2  # each once, in three epochs
    ignored, unseen = sorted(said, key=lambda line: "never occurred" in line)
    assert ": every pixel of the batch is ignored, so it teaches nothing: 3; check dataset.label_map" in ignored
    assert "1 of 3 classes never occurred in 4 steps: c; " in unseen


def test_nothing_is_said_of_a_good_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny_config(scheduler={"max_epochs": 6}), tmp_path / "run")
    assert warnings_of(capsys.readouterr().out) == []


def test_rates_of_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"backbone": {"lr_multiplier": 0}}
    base = tiny_config(scheduler={"max_epochs": 1, "power": 1e5, "min_lr": 0.0})  # (3/4) ** power is 0
    optimizer = replace(base.scheduler.optimizer, params_rules=rules)
    train(replace(base, scheduler=replace(base.scheduler, optimizer=optimizer)), tmp_path / "run")
    rate, frozen = warnings_of(capsys.readouterr().out)
    assert "the learning rate is 0 in 75% of all steps; check scheduler" in rate
    assert "parameters never change: their lr_multiplier" in frozen


def spoil_the_gradient(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """One gradient of this step is infinite, while the loss is fine."""
    backward, calls = TrainStep._backward, 0

    def spoilt(self: TrainStep, *inputs: object) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        terms = backward(self, *inputs)  # type: ignore[arg-type]
        if calls == step:
            self.parameters[2].grad.fill_(math.inf)  # type: ignore[union-attr]
        return terms

    monkeypatch.setattr(TrainStep, "_backward", spoilt)


def test_a_gradient_that_is_not_finite_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_the_gradient(monkeypatch, 4)
    config = tiny_config(trainer={"clip_grad_norm": 1.0})
    with pytest.raises(TrainingError) as caught:
        train(config, tmp_path / "run")
    message = str(caught.value)
    assert message.startswith("step 4: the loss is finite (")
    assert "but its gradient is not; lower scheduler.optimizer.lr, set trainer.clip_grad_norm" in message
    assert message.endswith("last.pt (step 3)")


def test_a_gradient_that_is_not_finite_is_left_out_if_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_the_gradient(monkeypatch, 2)
    result = train(tiny_config(scheduler={"max_epochs": 1}, trainer={"non_finite": "skip"}), tmp_path / "run")
    assert "its gradient is not; the step is left out" in capsys.readouterr().out
    assert result.step == 4


SMALL = "next to no weight has changed in the 20 steps and more before step "


@pytest.mark.parametrize("optimizer", [SGDConfig(lr=1e-12, momentum=0.9), AdamWConfig(lr=1e-12)])
def test_a_rate_too_small_for_float32(
    optimizer: OptimizerConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told once, after the warm-up, whether the steps are small by themselves or for a small gradient."""
    warmup = WarmupConfig(type="linear", length=8, ratio=1e-6)
    train(tiny_config(scheduler={"max_epochs": 8, "optimizer": optimizer, "warmup": warmup}), tmp_path / "run")
    (said,) = warnings_of(capsys.readouterr().out)
    assert said.startswith(f"warning: {SMALL}25: the updates are smaller than float32 resolves beside the weights; ")
    assert "raise scheduler.optimizer.lr (the rate is " in said
    assert "e-13, where the gradient's norm is " in said


def diagnose(optimizer: Optimizer, scheduler: Scheduler, *, every: int = 1, start: int = 0) -> list[str]:
    """What is said of a training by a gradient of 1, with a log line every so many steps."""
    said: list[str] = []
    diagnostics = Diagnostics(("a", "b"), DataloaderConfig(), say=said.append)
    diagnostics.schedule(scheduler, optimizer)
    for step in range(start, scheduler.total_steps):
        rate = scheduler.apply(optimizer, step)
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.ones_like(p)
        optimizer.step()
        if (step + 1) % every == 0:
            record = {"data_wait": 0.0, "step": step + 1, "step_s": 0.1, "lr": rate, "grad_norm": 1.0}
            diagnostics.line(record, None)
    return [line for line in said if SMALL in line]


def poly(**options: Any) -> Scheduler:
    return PolyScheduler(PolySchedulerConfig(**{"max_steps": 400} | options), 100)


def sgd(*parameters: nn.Parameter, lr: float = 0.01, **options: Any) -> Optimizer:
    return torch.optim.SGD([{"params": list(parameters), "lr_multiplier": 1.0, **options}], lr=lr)


def weight() -> nn.Parameter:
    return nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, 0),
        ({"warmup": WarmupConfig(type="linear", length=300, ratio=1e-6), "min_lr": 0.0}, 0),  # tiny steps at first
        ({"power": 9.0, "min_lr": 0.0, "optimizer": SGDConfig(lr=1e-4)}, 0),  # and at last
        ({"power": 9.0, "min_lr": 0.0}, 360),  # a run that goes on there
        ({"optimizer": SGDConfig(lr=2e-7)}, 0),  # just enough for float32
    ],
)
@pytest.mark.parametrize("every", [1, 7, 50])
def test_no_false_alarm(options: dict[str, Any], start: int, every: int) -> None:
    assert diagnose(sgd(weight()), poly(**options), every=every, start=start) == []


@pytest.mark.parametrize("every", [1, 7, 50])
def test_weights_that_stand_still(every: int) -> None:
    (said,) = diagnose(sgd(weight()), poly(optimizer=SGDConfig(lr=1e-12)), every=every)
    told = next(step for step in range(every, 400, every) if step - every >= 20)
    assert f"before step {told}: " in said


def test_what_is_meant_to_stand_still_is_not_looked_at() -> None:
    frozen, bias = weight(), nn.Parameter(torch.ones(8))
    assert diagnose(sgd(frozen, lr_multiplier=0.0), poly()) == []
    assert diagnose(sgd(bias), poly(optimizer=SGDConfig(lr=1e-12))) == []
    groups = [{"params": [frozen], "lr_multiplier": 0.0}, {"params": [weight()], "lr_multiplier": 1.0}]
    assert diagnose(torch.optim.SGD(groups, lr=0.01), poly()) == []


@pytest.mark.parametrize(
    ("workers", "remedy"), [(0, "raise dataloader.num_workers (0 now"), (10_000, "cores are in use")]
)
def test_slow_data(workers: int, remedy: str) -> None:
    said: list[str] = []
    diagnostics = Diagnostics(("a", "b"), DataloaderConfig(num_workers=workers), say=said.append)
    for step, wait in ((50, 0.9), (100, 0.1), (150, 0.9)):  # the start of the workers, and a hiccup
        diagnostics.line({"data_wait": wait, "step": step, "step_s": 0.3}, None)
    assert said == []
    for step in (200, 250, 300):
        diagnostics.line({"data_wait": 0.9, "step": step, "step_s": 0.3}, None)
    assert len(said) == 1
    assert "waits 90% of the time" in said[0]
    assert remedy in said[0]


def test_a_loss_scale_that_vanishes() -> None:
    said: list[str] = []
    diagnostics = Diagnostics(("a", "b"), DataloaderConfig(), say=said.append)
    for scale in (65536.0, 1.0, 1e-3, 1e-4):
        diagnostics.line({"data_wait": 0.0, "step": 1, "step_s": 0.1}, scale)
    assert len(said) == 1
    assert "the loss scale fell to 0.001" in said[0]
    assert "amp.dtype=bfloat16" in said[0]
