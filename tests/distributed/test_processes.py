"""Several real processes: the same training as one, the same bits after a kill, one clear error."""

import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import plugin
from support.faults import Fault
from support.runs import (
    assert_same_state,
    children,
    finish,
    last,
    losses,
    start,
    tiny_config,
    wait_for_step,
)

from segkit.config.layers import GELUConfig
from segkit.config.training import EmaConfig, SGDConfig
from segkit.config.transforms import NormalizeConfig, RandomFlipConfig
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder
from segkit.errors import ConfigError, TrainingError

GENTLE = {"optimizer": SGDConfig(lr=0.01)}
"""At a higher rate rounding grows a hundredfold every few steps, between any two orders of summation."""


def test_two_processes_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin.__file__).parents[1]), prepend=os.pathsep)
    # The pixels that count are spread unevenly over images and processes.
    uneven = {"forget": plugin.ForgetLabelsConfig(), "flip": RandomFlipConfig(), "normalize": NormalizeConfig()}
    config = tiny_config(
        plugins=("support.plugin",),
        backbone={"model_name": "test_efficientnet"},
        act=GELUConfig(),  # all smooth: where a ReLU sits at its kink, the last bit decides
        dataset={"num_train": 40, "train_transforms": uneven},
        head={"dropout": 0.0},
        trainer={"save_interval_steps": None, "clip_grad_norm": 5.0},
        ema=EmaConfig(enabled=True, momentum=0.1),
        scheduler=GENTLE,
    )
    alone, joined = tmp_path / "alone", tmp_path / "joined"
    one = train(config, alone)
    two = train(replace(config, trainer=replace(config.trainer, devices=2)), joined)
    assert one.step == two.step == 20
    assert [loss for _, loss in losses(joined)] == pytest.approx([loss for _, loss in losses(alone)], abs=1e-5)
    for key in ("model", "ema"):
        torch.testing.assert_close(last(joined)[key], last(alone)[key], rtol=0, atol=1e-5)
    assert two.metrics == pytest.approx(one.metrics, abs=1e-3)


def test_two_processes_killed_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    config = tiny_config(
        trainer={"devices": 2, "accumulation_steps": 2},
        dataloader={"num_workers": 1},
        head={"dropout": 0.3},
        ema=EmaConfig(enabled=True, momentum=0.1),
        scheduler={"max_epochs": 2},
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(config, whole)
    process = start(config, killed)
    wait_for_step(process, killed, 5)
    os.kill(process.pid, signal.SIGKILL)  # the launcher alone: its processes must not live on
    process.communicate()
    train(config, killed)
    assert_same_state(killed, whole)
    assert losses(killed) == losses(whole)
    assert not [*temporary.glob("torchelastic*"), *temporary.glob("segkit*")]


@pytest.mark.slow
def test_a_killed_process_is_told_on_the_page_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, run = tmp_path / "temporary", RunFolder(tmp_path / "run")
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin.__file__).parents[1]), prepend=os.pathsep)
    trainer = {"devices": 2, "eval_interval_epochs": 1}
    config = tiny_config(plugins=("support.faults",), scheduler={"max_epochs": 2}, trainer=trainer)

    def state() -> str:
        return re.search(r'class="state (\w+)"', run.report.read_text())[1]

    with monkeypatch.context() as patch:
        for name, value in Fault("step", 7, rank=1, folder=str(run.path)).to_environment().items():
            patch.setenv(name, value)
        with pytest.raises(TrainingError, match=r"^process 1 \(pid \d+\) was ended by SIGKILL .* at step 7; trainer"):
            train(config, run.path)
    assert state() == "failed"
    assert not [*temporary.glob("torchelastic*"), *temporary.glob("segkit*")]
    train(config, run.path)
    assert state() == "finished"
    assert not [*temporary.glob("torchelastic*"), *temporary.glob("segkit*")]


@pytest.mark.slow
def test_two_processes_asked_to_stop(tmp_path: Path) -> None:
    config, folder = tiny_config(trainer={"devices": 2, "save_interval_steps": None}), tmp_path / "run"
    process = start(config, folder)
    wait_for_step(process, folder, 2)
    process.send_signal(signal.SIGUSR1)  # to the launcher, which passes it on
    code, output = finish(process)
    assert code == 128 + signal.SIGUSR1, output
    assert "stopped by SIGUSR1 after step" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert last(folder)["progress"]["step"] == losses(folder)[-1][0]


def test_a_killed_process_ends_the_others_and_is_named(tmp_path: Path) -> None:
    config, folder = tiny_config(trainer={"devices": 2}), tmp_path / "run"
    process = start(config, folder)
    wait_for_step(process, folder, 4)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    code, output = finish(process)
    assert code == 2
    error = output.splitlines()[-1]
    assert error.startswith("error: process 1 (pid ")
    assert re.search(r"was ended by SIGKILL \(often: out of memory\) at [a-z ]*step \d+; ", error), error
    assert f"trainer.run_dir={folder}" in error
    assert "Traceback" not in output


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    config, folder = tiny_config(trainer={"devices": 2}), tmp_path / "run"
    rules = {"no_such_layer": {"lr_multiplier": 2.0}}
    optimizer = replace(config.scheduler.optimizer, params_rules=rules)
    config = replace(config, scheduler=replace(config.scheduler, optimizer=optimizer))
    with pytest.raises(ConfigError, match="no_such_layer: matches no parameter"):
        train(config, folder)
    assert not folder.exists()
    code, output = finish(start(config, folder))
    assert code == 2
    assert output.count("no_such_layer") == 1, output
    assert not folder.exists()


@pytest.mark.slow
def test_a_bug_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "broken_plugin.py"
    plugin.write_text(
        "import os, segkit.engine.step as step\n"
        "def broken(self, parts, **step):\n    raise ZeroDivisionError(f'rank {os.environ[\"RANK\"]}')\n"
        "if 'RANK' in os.environ:\n    step.TrainStep.__call__ = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = replace(tiny_config(trainer={"devices": 2}), plugins=("broken_plugin",))
    with pytest.raises(RuntimeError, match=r"process \d failed.*\n(.*\n)*.*ZeroDivisionError: rank \d"):
        train(config, tmp_path / "run")


def test_the_batch_must_divide(tmp_path: Path) -> None:
    config = tiny_config(trainer={"devices": 3})
    with pytest.raises(ConfigError, match="must divide by 3"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_under_an_external_torchrun(tmp_path: Path) -> None:
    config, folder = tiny_config(scheduler={"max_epochs": 1}), tmp_path / "run"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    code, output = finish(start(config, folder, *torchrun))
    assert code == 0, output
    assert RunFolder(folder).metrics.exists()
    assert "2 x cpu" in output
    assert [r["step"] for r in read_log(RunFolder(folder).log) if r["kind"] == "train"] == [1, 2, 3, 4]


@pytest.mark.slow
def test_the_number_of_processes_may_change(tmp_path: Path) -> None:
    config, folder = tiny_config(head={"dropout": 0.0}, scheduler={"max_epochs": 2, **GENTLE}), tmp_path / "run"
    whole = tmp_path / "whole"
    train(config, whole)
    process = start(replace(config, trainer=replace(config.trainer, devices=2)), folder)
    wait_for_step(process, folder, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    train(config, folder)
    torch.testing.assert_close(last(folder)["model"], last(whole)["model"], rtol=0, atol=1e-5)


def test_a_folder_is_trained_into_by_one_run_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = tiny_config(), tmp_path / "run"
    process = start(config, folder)
    wait_for_step(process, folder, 1)
    monkeypatch.setattr("segkit.engine.run._LOCK_WAIT_S", 0.5)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TrainingError, match=rf"process {process.pid} .* is training into this folder"):
            train(config, folder)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
def test_processes_are_restarted_if_configured(tmp_path: Path) -> None:
    config = tiny_config(trainer={"devices": 2, "max_restarts": 1}, scheduler={"max_epochs": 2})
    whole, folder = tmp_path / "whole", tmp_path / "run"
    process = start(config, folder)
    wait_for_step(process, folder, 4)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    code, output = finish(process)
    assert code == 0, output
    assert "going on from" in output
    train(config, whole)
    assert_same_state(folder, whole)
    assert losses(folder) == losses(whole)


@pytest.mark.slow
def test_a_process_that_hangs_is_named(tmp_path: Path) -> None:
    config, folder = tiny_config(trainer={"devices": 2, "timeout_s": 15.0}), tmp_path / "run"
    process = start(config, folder)
    wait_for_step(process, folder, 4)
    os.kill(children(process.pid)[1], signal.SIGSTOP)
    code, output = finish(process)
    assert code == 2, output
    error = output.splitlines()[-1]
    places = r"process 0: [a-z ]*step \d+, process 1: [a-z ]*step \d+"  # wherever each was, but never "starting"
    assert re.search(rf"error: process 0 waited for another in vain \({places}\)", error), error
    assert f"trainer.run_dir={folder} goes on" in error
