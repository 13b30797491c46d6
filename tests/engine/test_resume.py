"""A run that was cut off, anywhere and anyhow, ends as if it never had been."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.runs import assert_same_state, finish, last, losses, start, tiny_config, wait_for_step

from segkit.config.training import EmaConfig
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder

EVERYTHING: dict[str, Any] = {
    "ema": EmaConfig(enabled=True, momentum=0.1),
    "dataloader": {"num_workers": 2},
    "head": {"dropout": 0.3},
    "trainer": {"accumulation_steps": 2, "clip_grad_norm": 1.0},
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbs, without loader processes: their number must not matter."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny_config(**{**EVERYTHING, "dataloader": {"num_workers": 0}}), folder)
    return folder


def test_killed_in_the_middle_of_an_epoch(tmp_path: Path, uninterrupted: Path) -> None:
    folder, config = tmp_path / "killed", tiny_config(**EVERYTHING)
    process = start(config, folder)
    wait_for_step(process, folder, 6)  # the second of four epochs; saved after 3, 4 and 6 steps
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 3 <= last(folder)["progress"]["step"] < 16
    train(config, folder)
    assert_same_state(folder, uninterrupted)
    assert losses(folder) == losses(uninterrupted)
    validations = [r["step"] for r in read_log(RunFolder(folder).log) if r["kind"] == "val"]
    assert validations == [8, 16]


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGUSR1", marks=pytest.mark.slow)])
def test_asked_to_stop(tmp_path: Path, uninterrupted: Path, name: str) -> None:
    folder, config = tmp_path / "stopped", tiny_config(**EVERYTHING)
    process = start(config, folder)
    wait_for_step(process, folder, 5)
    os.killpg(process.pid, signal.Signals[name])  # loader processes get it too, as under SLURM
    code, output = finish(process)
    assert code == 128 + signal.Signals[name], output
    step = last(folder)["progress"]["step"]
    assert f"stopped by {name} after step {step}" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert losses(folder)[-1][0] == step  # nothing that was done is lost
    train(config, folder)
    assert_same_state(folder, uninterrupted)
    assert losses(folder) == losses(uninterrupted)


def test_killed_in_an_evaluation(tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, config = tmp_path / "evaluating", tiny_config(**EVERYTHING)

    class KilledError(Exception):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("segkit.engine.evaluator.Evaluator.__call__", die)
        with pytest.raises(KilledError):
            train(config, folder)
    assert last(folder)["progress"]["step"] == 8
    assert last(folder)["progress"]["evaluated_step"] == 0
    train(config, folder)
    assert_same_state(folder, uninterrupted)


def test_loader_processes_that_linger_do_not_hold_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked():
        loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        loader.start()
    try:
        assert not folder.is_busy()
    finally:
        loader.kill()
        loader.join()


def test_a_finished_run_is_only_reported_again(tmp_path: Path) -> None:
    folder, config = tmp_path / "run", tiny_config(scheduler={"max_epochs": 1})
    first = train(config, folder)
    before = last(folder)["model"]
    second = train(config, folder)
    assert (second.metrics, second.best, second.step) == (first.metrics, first.best, first.step)
    assert all((before[name] == value).all() for name, value in last(folder)["model"].items())
    assert len(losses(folder)) == 4


def test_a_longer_schedule_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, config = tmp_path / "run", tiny_config(scheduler={"max_epochs": 1})
    train(config, folder)
    longer = replace(config, scheduler=replace(config.scheduler, max_epochs=2))
    assert train(longer, folder).step == 8
    assert "options changed since: scheduler.max_epochs: 1 -> 2" in capsys.readouterr().out
