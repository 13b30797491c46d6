"""Two machines, which are network namespaces: they train as one, and survive what happens to each and between them."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.machines import Machine, two_machines
from support.runs import assert_same_state, children, finish, last, losses, tiny_config, wait_for_step

from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import EmaConfig
from segkit.engine.launch import train

pytestmark = pytest.mark.slow

LOST_AFTER_S = 8.0
ENDLESS = {"max_steps": 100_000}
Running = list[tuple[subprocess.Popen[str], Path]]


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with two_machines() as both:
        yield both


def shared(first: Machine, **parts: Any) -> SegmentorConfig:
    """The configuration that both machines are started with."""
    trainer = {"nnodes": 2, "rendezvous": first.address, "lost_after_s": LOST_AFTER_S, **parts.pop("trainer", {})}
    return tiny_config(head={"dropout": 0.3}, ema=EmaConfig(enabled=True, momentum=0.1), trainer=trainer, **parts)


def begin(machines: tuple[Machine, Machine], config: SegmentorConfig, base: Path, *, step: int = 0) -> Running:
    """Starts the command on both, each with a disk of its own, and waits for a step."""
    running = [
        (machine.start(config, base / machine.address / "run"), base / machine.address / "run") for machine in machines
    ]
    if step:
        wait_for_step(*running[0], step)
    return running


def end(running: Running, *, timeout_s: float = 200) -> list[tuple[int, str]]:
    return [finish(process, timeout_s=timeout_s) for process, _ in running]


def assert_as_one_machine(running: Running, config: SegmentorConfig, base: Path) -> None:
    """The first machine ends with what two processes of one machine end with."""
    alone = replace(config, trainer=replace(config.trainer, nnodes=1, rendezvous=None, devices=2))
    train(alone, base / "alone")
    assert_same_state(running[0][1], base / "alone")
    assert losses(running[0][1]) == losses(base / "alone")


def test_they_train_as_two_processes_of_one(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    config = shared(machines[0], scheduler={"max_epochs": 2})
    running = begin(machines, config, tmp_path)
    ends = end(running)
    assert [code for code, _ in ends] == [0, 0], ends
    assert "2 x cpu" in ends[0][1]
    assert ends[1][1].splitlines() == ["machine 1 of 2 trains; machine 0 tells how"]
    assert_as_one_machine(running, config, tmp_path)


def test_one_is_cut_off(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    running = begin(machines, shared(machines[0], scheduler=ENDLESS), tmp_path, step=4)
    machines[1].link("down")
    began = time.monotonic()
    ends = end(running)
    assert time.monotonic() - began < LOST_AFTER_S + 30
    for machine, other in ((0, 1), (1, 0)):
        code, output = ends[machine]
        assert code == 2, output
        error = output.splitlines()[-1]
        assert re.search(rf"error: nothing was heard of machine {other} \({machines[other].name}\) for \d+ s", error)
        assert re.search(r"last heard of: process 0: .*step \d+, process 1: .*step \d+", error)
    assert f"trainer.run_dir={running[0][1]} goes on" in ends[0][1]


def test_a_process_of_the_second_is_killed(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    running = begin(machines, shared(machines[0], scheduler=ENDLESS), tmp_path, step=4)
    os.kill(children(running[1][0].pid)[0], signal.SIGKILL)
    for code, output in end(running):
        assert code == 2, output
        assert f"process 1 on {machines[1].name} (pid " in output
        assert re.search(r"was ended by SIGKILL \(often: out of memory\) at .*step \d+; ", output)


def test_processes_of_both_start_anew(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    config = shared(machines[0], scheduler={"max_epochs": 3}, trainer={"max_restarts": 1})
    running = begin(machines, config, tmp_path, step=4)
    os.kill(children(running[1][0].pid)[0], signal.SIGKILL)
    ends = end(running)
    assert [code for code, _ in ends] == [0, 0], ends
    assert "going on from" in ends[0][1]
    assert_as_one_machine(running, config, tmp_path)


def test_they_are_stopped_and_go_on_in_another_order(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    config = shared(machines[0], scheduler={"max_epochs": 3})
    running = begin(machines, config, tmp_path, step=4)
    running[1][0].send_signal(signal.SIGTERM)  # one alone: all stop after the same step
    ends = end(running)
    assert [code for code, _ in ends] == [143, 143], ends
    assert all(re.search(r"error: stopped by SIGTERM after step \d+, which is saved", out) for _, out in ends), ends
    machines = machines[::-1]
    again = replace(config, trainer=replace(config.trainer, rendezvous=machines[0].address))
    running = begin(machines, again, tmp_path)
    ends = end(running)
    assert [code for code, _ in ends] == [0, 0], ends
    assert "run folders of their own; the checkpoint after step" in ends[0][1]
    assert_as_one_machine(running, config, tmp_path)


def test_the_same_command_on_each(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    config = shared(machines[0])
    other = replace(config, trainer=replace(config.trainer, seed=1))
    first = machines[0].start(config, tmp_path / "a" / "run")
    second = machines[1].start(other, tmp_path / "b" / "run")
    ends = [finish(first), finish(second)]
    for code, output in ends:
        assert code == 2, output
        assert "machine 1 was started with other options than machine 0: trainer.seed: 0 -> 1" in output
    assert not (tmp_path / "a" / "run").exists()
    assert not (tmp_path / "b" / "run").exists()


def test_the_last_checkpoint_is_the_same_wherever_it_lies(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    """Machines that share a disk write into one folder, and nothing is copied."""
    config = shared(machines[0], scheduler={"max_epochs": 1})
    folder = tmp_path / "shared" / "run"
    running = [(machine.start(config, folder), folder) for machine in machines]
    ends = end(running)
    assert [code for code, _ in ends] == [0, 0], ends
    longer = replace(config, scheduler=replace(config.scheduler, max_epochs=2))
    ends = end([(machine.start(longer, folder), folder) for machine in machines])
    assert [code for code, _ in ends] == [0, 0], ends
    assert "going on from" in ends[0][1]
    assert "of their own" not in ends[0][1]
    assert last(folder)["progress"]["step"] == 8
