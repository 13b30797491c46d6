"""What is tried out before a training: it tells the truth, and leaves nothing behind."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import finish, start, tiny_config

from segkit.config.training import AmpConfig
from segkit.engine.launch import train
from segkit.errors import ConfigError, TrainingError


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> None:
    """Each test trains into a folder of its own, which must not exist afterwards."""
    yield
    assert not (tmp_path / "run").exists()


def test_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(trainer={"dry_run": True, "accumulation_steps": 2}, amp=AmpConfig(enabled=True))
    result = train(config, tmp_path / "run")
    assert result.metrics.keys() == {"step_s", "evaluation_batch_s", "memory_gb"}
    assert all(value > 0 for value in result.metrics.values())
    *_, line = capsys.readouterr().out.splitlines()
    assert re.match(r"dry run: everything works; \d+\.\d{3} s a step without loading \(\d+\.\d images/s\), ", line)
    assert "GB; the training would take about 0:00:0" in line


def test_a_dry_run_finds_what_a_training_would(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fewer than dataloader\.total_batch_size"):
        train(tiny_config(dataset={"num_train": 4}, trainer={"dry_run": True}), tmp_path / "run")


def test_a_batch_is_learnt_by_heart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(trainer={"debug": "overfit_batch"}, dataloader={"total_batch_size": 2})
    result = train(config, tmp_path / "run")
    assert result.metrics["accuracy"] > 0.9
    assert "model, loss and labels work together; nothing was written" in capsys.readouterr().out


def test_a_batch_that_cannot_be_learnt(tmp_path: Path) -> None:
    config = tiny_config(trainer={"debug": "overfit_batch"})
    optimizer = replace(config.scheduler.optimizer, lr=1e-9)
    config = replace(config, scheduler=replace(config.scheduler, optimizer=optimizer, warmup=config.scheduler.warmup))
    with pytest.raises(TrainingError, match=r"after 200 steps: model, loss and labels do not work together; check"):
        train(config, tmp_path / "run")


def test_one_or_the_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.debug: cannot be set together with trainer\.dry_run"):
        train(tiny_config(trainer={"debug": "overfit_batch", "dry_run": True}), tmp_path / "run")


@pytest.mark.parametrize("mode", [{"dry_run": True}, pytest.param({"debug": "overfit_batch"}, marks=pytest.mark.slow)])
def test_two_processes(mode: dict[str, object], tmp_path: Path) -> None:
    code, output = finish(start(tiny_config(trainer={"devices": 2, **mode}), tmp_path / "run"))
    assert code == 0, output
    assert output.count("nothing was written") == 1
