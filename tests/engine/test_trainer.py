"""What a run leaves behind, and how it refuses to go on."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import assert_same_state, finish, last, losses, start, tiny_config

import segkit
from segkit.checkpoint import read_checkpoint, write_checkpoint
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import AmpConfig, EmaConfig
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder, RunResult, read_config
from segkit.engine.step import StepOutcome, TrainModel, TrainStep
from segkit.errors import CheckpointError, ConfigError, SegkitError, TrainingError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[SegmentorConfig, RunResult]:
    """A run with everything that is written."""
    config = tiny_config(
        ema=EmaConfig(enabled=True, momentum=0.1),
        trainer={"eval_interval_epochs": 1, "keep_checkpoints": 2, "monitor": "ema/miou"},
        logger={"tensorboard": True, "num_overlays": 2, "log_interval_steps": 3},
    )
    return config, train(config, tmp_path_factory.mktemp("runs") / "run")


def test_the_run_folder(finished: tuple[SegmentorConfig, RunResult]) -> None:
    config, result = finished
    folder = RunFolder(result.run_dir)
    assert (result.step, result.epoch) == (16, 4)
    assert read_config(folder.config) == config
    names = {path.name for path in result.run_dir.iterdir()} - {".lock"}
    assert names == {
        "config.yaml",
        "checkpoints",
        "log.jsonl",
        "metrics.json",
        "train.csv",
        "val.csv",
        "index.html",
        "curves.png",
        "overlays.png",
        "tensorboard",
    }
    assert {p.name for p in folder.checkpoints.iterdir()} == {"last.pt", "best.pt", "epoch-0003.pt", "epoch-0004.pt"}
    assert result.checkpoint == folder.best
    figures = json.loads(folder.metrics.read_text())
    assert figures["metrics"] == pytest.approx(dict(result.metrics), nan_ok=True)
    assert list(figures["classes"]) == list(config.dataset.classes)


def test_the_log(finished: tuple[SegmentorConfig, RunResult]) -> None:
    _, result = finished
    records = read_log(RunFolder(result.run_dir).log)
    train_records = [r for r in records if r["kind"] == "train"]
    assert [r["step"] for r in train_records] == [3, 6, 9, 12, 15, 16]
    assert [r["epoch"] for r in train_records] == [1, 2, 3, 3, 4, 4]
    val = [r for r in records if r["kind"] == "val"]
    assert [(r["epoch"], r["step"]) for r in val] == [(1, 4), (2, 8), (3, 12), (4, 16)]
    assert {"miou", "ema/miou", "iou", "ema/iou"} <= val[-1].keys()
    best = max(val, key=lambda r: r["ema/miou"])
    assert result.best["value"] == best["ema/miou"]
    assert read_checkpoint(result.checkpoint)["progress"]["best_value"] == best["ema/miou"]


def test_the_checkpoint_is_all_that_is_needed(finished: tuple[SegmentorConfig, RunResult]) -> None:
    config, result = finished
    payload = read_checkpoint(result.checkpoint)
    assert payload["config"] == to_plain(config)
    assert payload["classes"] == list(config.dataset.classes)
    assert payload["metrics"].keys() == result.metrics.keys()
    scene = torch.zeros(32, 48, 3, dtype=torch.uint8).numpy()
    assert segkit.load(result.checkpoint)(scene).mask.shape == (32, 48)


def test_the_console_is_lines_of_plain_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny_config(scheduler={"max_epochs": 1}), tmp_path / "run")
    out, err = capfd.readouterr()
    assert err == ""
    assert "\x1b" not in out
    lines = out.splitlines()
    (line,) = [line for line in lines if line.startswith("epoch 1/1  step 4/4  loss ")]
    for figure in ("lr ", "images/s", "data wait", "GB", "eta 0:00:00"):
        assert figure in line
    assert (
        lines[-1] == f"predict:    segkit-predict {tmp_path}/run/checkpoints/best.pt YOUR_IMAGES --output predictions"
    )


def test_amp_trains(tmp_path: Path) -> None:
    for dtype in ("bfloat16", "float16"):
        config = tiny_config(amp=AmpConfig(enabled=True, dtype=dtype), scheduler={"max_epochs": 2})
        result = train(config, tmp_path / dtype)
        assert losses(result.run_dir)[-1][1] < losses(result.run_dir)[0][1]


@pytest.mark.slow
def test_compiled_is_eager(tmp_path: Path) -> None:
    config = short(head={"dropout": 0.0})
    train(config, tmp_path / "eager")
    train(replace(config, trainer=replace(config.trainer, compile=True)), tmp_path / "compiled")
    eager, compiled = losses(tmp_path / "eager"), losses(tmp_path / "compiled")
    assert [loss for _, loss in compiled] == pytest.approx([loss for _, loss in eager], rel=1e-3)


def test_max_steps_ends_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    result = train(tiny_config(scheduler={"max_steps": 6}), tmp_path / "run")
    assert (result.step, result.epoch) == (6, 2)
    assert result.metrics["miou"] >= 0


_MEASURED = {"time", "time_s", "images_per_s", "step_s", "data_wait", "memory_gb"}
"""What a log says of the machine, not of the training."""


def told(folder: Path) -> list[dict[str, Any]]:
    """The log, but for the machine's part in it."""
    return [{k: v for k, v in record.items() if k not in _MEASURED} for record in read_log(RunFolder(folder).log)]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_runs_are_the_same(tmp_path: Path, processes: int) -> None:
    config = tiny_config(
        scheduler={"max_epochs": 2},
        dataloader={"num_workers": 2},
        head={"dropout": 0.5},
        amp=AmpConfig(enabled=True),
        ema=EmaConfig(enabled=True),
        trainer={"deterministic": True, "devices": processes, "accumulation_steps": 2},
    )
    for name in ("a", "b"):
        code, output = finish(start(config, tmp_path / name))
        assert code == 0, output
    assert_same_state(tmp_path / "a", tmp_path / "b")
    assert told(tmp_path / "a") == told(tmp_path / "b")
    assert len(told(tmp_path / "a")) == 8 + 1
    assert losses(tmp_path / "a") != losses_of_seed_1(config, tmp_path / "c")


def losses_of_seed_1(config: SegmentorConfig, folder: Path) -> list[tuple[int, float]]:
    train(replace(config, trainer=replace(config.trainer, seed=1, deterministic=False, devices=1)), folder)
    return losses(folder)


def spoil_a_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The loss of this step is nan."""
    forward, calls = TrainModel.forward, 0

    def spoilt(self: TrainModel, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        terms = forward(self, *batch)
        return {k: v * math.nan for k, v in terms.items()} if calls == step else terms

    monkeypatch.setattr(TrainModel, "forward", spoilt)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_a_step(monkeypatch, 3)
    message = refused(short(trainer={"save_interval_steps": 2}), tmp_path / "run", TrainingError)
    assert message.startswith("step 3: the loss is not finite (main.loss nan); samples: train_0")
    assert message.count("train_0") == 8  # all of the step
    assert message.endswith(f"last checkpoint: {tmp_path}/run/checkpoints/last.pt (step 2)")


def test_steps_that_are_not_finite_are_left_out_if_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_a_step(monkeypatch, 2)
    result = train(short(trainer={"non_finite": "skip"}), tmp_path / "run")
    assert "step 2: the loss is not finite" in capsys.readouterr().out
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 3, 4]
    assert all(v.isfinite().all() for v in read_checkpoint(result.checkpoint)["model"].values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = TrainStep._update

    def spoilt(self: TrainStep, terms: dict[str, torch.Tensor], seen: torch.Tensor) -> StepOutcome:
        outcome = update(self, terms, seen)
        self.parameters[3].data.fill_(math.inf)  # as an infinite gradient would, while the loss is fine
        return outcome

    monkeypatch.setattr(TrainStep, "_update", spoilt)
    message = refused(short(trainer={"save_interval_steps": 1}), tmp_path / "run", TrainingError)
    assert message.startswith("step 1: weights are not finite: backbone.")
    assert message.endswith("there is no checkpoint yet")
    assert not RunFolder(tmp_path / "run").last.exists()


def short(**parts: Any) -> SegmentorConfig:
    return tiny_config(scheduler={"max_epochs": 1}, **parts)


def refused(config: SegmentorConfig, folder: Path, kind: type[SegkitError]) -> str:
    with pytest.raises(kind) as caught:
        train(config, folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_torn_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(short(), folder)
    path = RunFolder(folder).last
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    assert f"{path}: torn" in refused(short(), folder, CheckpointError)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    first, folder = tmp_path / "first", tmp_path / "run"
    train(short(), first)
    other = short(head={"channels": 24}, trainer={"resume": RunFolder(first).last})
    message = refused(other, folder, CheckpointError)
    assert "weights of another model: head." in message
    assert "16" in message
    assert "24" in message
    assert not folder.exists()


def test_another_number_of_steps_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(short(), folder)
    message = refused(short(dataloader={"total_batch_size": 4}), folder, ConfigError)
    assert "4 steps an epoch, now there are 8" in message


def test_weights_alone_are_no_run(tmp_path: Path) -> None:
    train(short(), tmp_path / "run")
    payload = last(tmp_path / "run")
    published = tmp_path / "weights.pt"
    write_checkpoint(published, {k: payload[k] for k in ("config", "classes", "palette", "model")})
    message = refused(short(trainer={"resume": published}), tmp_path / "next", CheckpointError)
    assert "use trainer.init_from" in message


def test_never_refuses_a_used_folder(tmp_path: Path) -> None:
    train(short(), tmp_path / "run")
    assert "holds a run" in refused(short(trainer={"resume": "never"}), tmp_path / "run", ConfigError)


def test_starting_from_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(short(), tmp_path / "first")
    config = short(head={"channels": 24}, trainer={"init_from": first.checkpoint})
    train(config, tmp_path / "second")
    out = capsys.readouterr().out
    assert f"{first.checkpoint}: loaded " in out
    assert "these start anew: head.convs.0.conv.weight (16x" in out
    assert losses(tmp_path / "second")[0][0] == 1
    other = short(backbone={"model_name": "test_efficientnet"}, trainer={"init_from": first.checkpoint})
    assert "not a checkpoint of this backbone" in refused(other, tmp_path / "third", CheckpointError)


def test_a_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    refused(short(trainer={"devices": 3}), tmp_path / "a" / "run", ConfigError)
    message = refused(short(dataset={"num_train": 4}), tmp_path / "b" / "run", ConfigError)
    assert "fewer than dataloader.total_batch_size" in message
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b" / "run").exists()
    if not torch.cuda.is_available():
        assert "trainer.accelerator" in refused(short(trainer={"accelerator": "cuda"}), tmp_path / "c", ConfigError)
