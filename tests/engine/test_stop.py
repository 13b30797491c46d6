"""Time that is up, and grace that is over."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import assert_same_state, finish, losses, start, tiny_config, wait_for_step

from segkit.engine.launch import train
from segkit.engine.run import RunFolder
from segkit.errors import TrainingStopped


def test_the_hours_are_over(tmp_path: Path) -> None:
    config, folder = tiny_config(scheduler={"max_epochs": 2}), tmp_path / "run"
    with pytest.raises(
        TrainingStopped, match=r"trainer\.max_hours=1e-06 are over after step 1, which is saved"
    ) as stop:
        train(replace(config, trainer=replace(config.trainer, max_hours=1e-6)), folder)
    assert stop.value.exit_code == 75
    assert json.loads(RunFolder(folder).stopped.read_text())["step"] == 1
    train(config, folder)
    assert not RunFolder(folder).stopped.exists()
    train(config, tmp_path / "whole")
    assert_same_state(folder, tmp_path / "whole")
    assert losses(folder) == losses(tmp_path / "whole")


def test_a_step_that_does_not_end_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stuck_plugin.py").write_text(
        "import time\nfrom segkit.engine.step import TrainStep\n"
        "update = TrainStep._update\ncalls = []\n"
        "def stuck(self, *args):\n    calls.append(0)\n    time.sleep(600 * (len(calls) == 3))\n    return update(self, *args)\n"
        "TrainStep._update = stuck\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    config = replace(tiny_config(trainer={"grace_s": 1.0}), plugins=("stuck_plugin",))
    process = start(config, tmp_path / "run")
    wait_for_step(process, tmp_path / "run", 2)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 128 + signal.SIGTERM, output
    assert output.splitlines()[-1] == (
        "error: SIGTERM came 1 s ago (trainer.grace_s), and the step is not saved yet; the last checkpoint counts"
    )
