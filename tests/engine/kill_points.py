"""Kills trainings at random points, lets them go on, and compares what they end with to a run that nothing disturbed.

    python tests/engine/kill_points.py --trials 50 --processes 1 --seed 0

Each trial starts one run, which is struck one to three times, each time with another number of loader processes, and
then left alone. It survives if weights, average, optimiser, scaler, scores and best checkpoint are the same to the last
bit, and the log has each step once, with the same figures. The numbers of a trial follow from the seed; what lies
between the processes (which instruction a signal interrupts) does not.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import faults
from support.faults import Fault
from support.forks import fork_processes
from support.runs import assert_same, assert_same_state, children, last, losses, tiny_config

from segkit.build import build_loader, build_optimizer, build_segmentor
from segkit.checkpoint import read_checkpoint
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import AmpConfig, EmaConfig
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.engine.run import RunFolder
from segkit.errors import SegkitError

STEPS = 16
TIMEOUT_S = 1200.0
"""After which a run is taken to hang; a busy machine may need minutes for one."""
WITHIN = ("file", "save", "evaluation", "step")
FROM_OUTSIDE = ("process", "loader", "SIGTERM", "SIGUSR1", "disk")
TOGETHER = ("launcher", "rank")
"""Further faults of several processes: the launcher, and the second process, are killed."""


def everything(processes: int) -> SegmentorConfig:
    """All that a checkpoint must carry: average, optimiser, float16's scaler, dropout, parts of a step."""
    return tiny_config(
        plugins=("support.faults",),
        ema=EmaConfig(enabled=True, momentum=0.1),
        amp=AmpConfig(enabled=True, dtype="float16", init_scale=1024.0),
        dataset={"image_size": (24, 32), "num_train": 16, "num_val": 4},
        dataloader={"total_batch_size": 4},
        head={"dropout": 0.3},
        trainer={"accumulation_steps": 2, "clip_grad_norm": 1.0, "devices": processes, "grace_s": 60.0},
    )


def with_workers(config: SegmentorConfig, workers: int) -> SegmentorConfig:
    return replace(config, dataloader=replace(config.dataloader, num_workers=workers))


@dataclass
class Run:
    """A training in a process of its own, which is forked: imports alone would take longer than the training."""

    pid: int
    folder: Path
    output: Path
    code: int | None = None

    def wait(self, *, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code, negative for a signal."""
        deadline = time.monotonic() + timeout_s
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"hangs:\n{self.output.read_text()}")
            time.sleep(0.005)
        assert self.code is not None
        return self.code

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reaches(self, step: int) -> bool:
        """Waits for a step; False if the run ends before."""
        while max((r["step"] for r in read_log(RunFolder(self.folder).log)), default=0) < step:
            if self.poll() is not None:
                return False
            time.sleep(0.005)
        return True


def begin(config: SegmentorConfig, folder: Path, fault: Fault | None = None) -> Run:
    """Starts a training, or lets it go on."""
    output = folder.with_name(f"{folder.name}.out")
    pid = os.fork()
    if pid:
        return Run(pid, folder, output)
    code = 1
    try:
        os.setsid()
        with output.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if fault is not None:
            os.environ.update(fault.to_environment())
            if config.trainer.devices == 1:
                faults.install(fault)
        fork_processes()
        code = _train(config, folder)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _train(config: SegmentorConfig, folder: Path) -> int:
    try:
        train(config, folder)
    except SegkitError as error:
        print(f"error: {error}")
        return error.exit_code
    except BaseException:  # noqa: BLE001  # whatever it is, this process must not live on as a copy of its parent
        traceback.print_exc()
        return 1
    return 0


@dataclass
class Trials:
    """The runs of one number of processes.

    Args:
        base: folder for all runs; a small disk of its own, if ``is_disk``.
        processes: of each run.
    """

    base: Path
    processes: int
    is_disk: bool

    def __post_init__(self) -> None:
        self.config = everything(self.processes)
        self.whole = self.base / "whole"
        fault = Fault("count", folder=str(self.whole))
        run = begin(with_workers(self.config, 0), self.whole, fault)
        assert run.wait() == 0, run.output.read_text()
        self.counts: dict[str, int] = json.loads(Path(f"{self.whole}.counts").read_text())

    def trial(self, seed: int) -> list[str]:
        """One run, struck again and again; returns what struck it.

        Raises:
            AssertionError: if it did not survive.
        """
        rng = random.Random(seed)
        folder = self.base / f"run-{seed}"
        struck = []
        for _ in range(rng.randint(1, 3)):
            struck += self.strike(rng, folder)
        run = begin(with_workers(self.config, rng.randint(0, 2)), folder)
        assert run.wait() == 0, run.output.read_text()
        self.compare(folder)
        remove(folder)
        return struck

    def strike(self, rng: random.Random, folder: Path) -> list[str]:
        """Starts the run and strikes it; [] if it was over before."""
        kinds = [*WITHIN, *FROM_OUTSIDE, *(TOGETHER if self.processes > 1 else ())]
        kind, workers = rng.choice(kinds), rng.randint(0, 2)
        rank = rng.randrange(self.processes)
        if kind in WITHIN:
            rank = 0 if kind in ("file", "save") else rank  # the first process alone writes
            fault = Fault(kind, rng.randint(1, self.counts[kind]), rng.random(), rank, str(folder))
            run = begin(with_workers(self.config, workers), folder, fault)
            code = run.wait()
            return [] if code == 0 else [self._checked(run, f"{kind} {fault.number}", code, -9, 2)]
        if kind == "loader":
            workers = max(workers, 1)
        step, delay = rng.randint(1, STEPS - 1), rng.uniform(0, 0.2)
        run = begin(with_workers(self.config, workers), folder)
        if not run.reaches(step):
            assert run.code == 0, run.output.read_text()
            return []
        time.sleep(delay)
        return self._from_outside(run, kind, f"{kind} after step {step}", rank)

    def _from_outside(self, run: Run, kind: str, text: str, rank: int) -> list[str]:
        trainers = [run.pid] if self.processes == 1 else children(run.pid)
        if kind == "disk":
            return self._fill_disk(run, text)
        if kind in ("SIGTERM", "SIGUSR1"):
            number = signal.Signals[kind]
            with suppress(ProcessLookupError):
                os.kill(run.pid, number)
            code = run.wait()
            # Before the training begins nothing is to be saved, and a signal ends the process as it always does.
            return [] if code == 0 else [self._checked(run, text, code, 128 + number, -number)]
        if kind == "process":
            run.kill()  # all of them
        elif kind == "launcher":
            os.kill(run.pid, signal.SIGKILL)
        elif kind == "rank" and len(trainers) > rank:
            with suppress(ProcessLookupError):
                os.kill(trainers[rank], signal.SIGKILL)
        elif kind == "loader":
            loaders = children(trainers[rank]) if len(trainers) > rank else []
            if not loaders:
                return [] if run.wait() == 0 else [f"{text}: nobody there"]
            with suppress(ProcessLookupError):
                os.kill(loaders[0], signal.SIGKILL)
        code = run.wait()
        return [] if code == 0 else [self._checked(run, text, code, -9, 2)]

    def _fill_disk(self, run: Run, text: str) -> list[str]:
        filler = self.base / "filler"
        if self.is_disk:
            fill(filler)
        else:
            limit_files(children(run.pid) if self.processes > 1 else [run.pid])
        try:
            code = run.wait()
        finally:
            filler.unlink(missing_ok=True)
        if code == 0:
            return []
        output = run.output.read_text()
        assert "cannot be written" in output, output
        return [self._checked(run, text, code, 2)]

    def _checked(self, run: Run, text: str, code: int, *expected: int) -> str:
        output = run.output.read_text()
        assert code in expected, f"{text}: exit code {code}\n{output}"
        assert code < 0 or "Traceback" not in output, output
        return f"{text} ({'killed' if code < 0 else f'exit {code}'})"

    def compare(self, folder: Path) -> None:
        """The run ended as if nothing had happened."""
        whole, run = RunFolder(self.whole), RunFolder(folder)
        assert_same_state(folder, self.whole)
        assert last(folder)["progress"]["step"] == STEPS
        assert losses(folder) == losses(self.whole)
        assert [step for step, _ in losses(folder)] == list(range(1, STEPS + 1))
        best = [read_checkpoint(each.best) for each in (run, whole)]
        for key in ("model", "ema", "optimizer", "scaler", "scores"):
            assert_same(best[0][key], best[1][key], f"best.{key}")
        for kind in ("train", "val"):
            assert told(run, kind) == told(whole, kind)
        figures = [json.loads(each.metrics.read_text()) for each in (run, whole)]
        assert {**figures[0], "time_s": 0} == {**figures[1], "time_s": 0}
        left = {path.name for path in run.checkpoints.iterdir()}
        assert left == {path.name for path in whole.checkpoints.iterdir()}, left


_MEASURED = {"time", "time_s", "images_per_s", "step_s", "data_wait", "memory_gb"}


def told(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    """The log's records of one kind, but for the machine's part in them."""
    records = [record for record in read_log(folder.log) if record["kind"] == kind]
    return [{key: value for key, value in record.items() if key not in _MEASURED} for record in records]


def fill(filler: Path) -> None:
    """Leaves half a megabyte of the disk."""
    free = os.statvfs(filler.parent)
    with suppress(OSError), filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_frsize - (1 << 19), 1))


def limit_files(pids: list[int]) -> None:
    """Files of these processes must not exceed a megabyte, which is what a full disk looks like, too."""
    for pid in pids:
        subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={1 << 20}"], check=False)


def remove(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.with_name(f"{folder.name}.out").unlink()


@contextmanager
def small_disk(megabytes: int = 96) -> Iterator[tuple[Path, bool]]:
    """(folder, whether it is a disk of its own): where nothing can be mounted, the faults limit the files' size."""
    with tempfile.TemporaryDirectory(prefix="segkit-kill-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        mounted = hasattr(os, "geteuid") and os.geteuid() == 0 and not subprocess.run(mount, check=False).returncode
        try:
            yield Path(folder), mounted
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", folder], check=True)


def load_modules() -> None:
    """Imports once, before the runs are forked, what each of them needs."""
    for module in ("matplotlib.pyplot", "torch._dynamo", "timm.data"):
        importlib.import_module(module)
    config = everything(1)
    build_optimizer(config.scheduler.optimizer, build_segmentor(config))
    build_loader(config, "train")


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills trainings at random points and compares how they end.")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; each next one is one more")
    args = parser.parse_args()
    kinds: Counter[str] = Counter()
    survived = 0
    began = time.monotonic()
    load_modules()
    with small_disk() as (base, is_disk):
        print(f"{args.processes} processes; disk of its own: {is_disk}", flush=True)
        trials = Trials(base, args.processes, is_disk)
        print(f"undisturbed run: {STEPS} steps; what can be struck: {trials.counts}", flush=True)
        for seed in range(args.seed, args.seed + args.trials):
            start = time.monotonic()
            try:
                struck = trials.trial(seed)
            except AssertionError as error:
                print(f"trial {seed}: FAILED: {error}", flush=True)
                continue
            survived += 1
            kinds.update(text.split()[0] for text in struck)
            print(
                f"trial {seed}: same bits after {', '.join(struck) or 'nothing'}; {time.monotonic() - start:.1f} s",
                flush=True,
            )
    points = sum(kinds.values())
    print(f"{survived} of {args.trials} runs survived {points} kill points: {dict(kinds.most_common())}")
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(survived < args.trials)


if __name__ == "__main__":
    main()
