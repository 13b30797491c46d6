"""Sweeps on this machine, and what they share with those on a cluster."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.runs import assert_same_state
from support.sweeps import TINY, segkit, states, steps_done, wait_until

from segkit.cli import sweep as command
from segkit.config.component import to_plain
from segkit.config.compose import compose
from segkit.config.launcher import SlurmConfig, read_slurm
from segkit.config.validate import validate
from segkit.errors import ConfigError, SegkitError, SweepError
from segkit.sweeps.folder import SweepFolder, label, short_names, swept
from segkit.sweeps.plan import list_jobs, plan_sweep
from segkit.sweeps.status import survey
from segkit.sweeps.table import draw, ranked, write_csv


def test_a_plan_has_every_job_and_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_sweep(["scheduler.optimizer.lr=0.01,0.02", "head=FCN,PSPNet"])
    found = [(config.scheduler.optimizer.lr, config.head.type) for _, config in plan.jobs]  # type: ignore[attr-defined]
    assert found == [(0.01, "FCN"), (0.01, "PSPNet"), (0.02, "FCN"), (0.02, "PSPNet")]
    assert (plan.launcher, plan.sweeper, plan.options) == ("basic", "basic", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["scheduler.optimizer.lr=0.1,-1", "trainer.seed=0,-5"],
            [
                "job 1 (scheduler.optimizer.lr=0.1, trainer.seed=-5): trainer.seed: must be at least 0 (got -5)",
                "job 2 (scheduler.optimizer.lr=-1, trainer.seed=0): scheduler.optimizer.lr: must be greater than 0 (got -1)",
                "job 3 (scheduler.optimizer.lr=-1, trainer.seed=-5): scheduler.optimizer.lr: must be greater than 0 (got -1)",
                "job 3 (scheduler.optimizer.lr=-1, trainer.seed=-5): trainer.seed: must be at least 0 (got -5)",
            ],
        ),
        (["trainer.sed=1", "scheduler.optimizer.lr=0.1,0.2"], ["trainer.sed: unknown key, did you mean 'seed'"]),
        (
            ["dataset=ade20k_512x512", "dataset.root=/nowhere,/else"],
            ["job 0 (dataset.root=/nowhere)", "job 1 (dataset.root=/else)"],
        ),
        (["hydra/launcher=slrum"], ["hydra/launcher: no option is called 'slrum', did you mean 'slurm'?"]),
        (["hydra/launcher=basic,joblib"], ["hydra/launcher: is one for the whole sweep, and takes one value"]),
        (["hydra/launcher=slurm", "hydra.launcher.gpu=1"], ["hydra.launcher.gpu: unknown key, did you mean 'gpus'?"]),
        (["hydra/launcher=slurm", "+hydra.launcher.gpu=1"], ["hydra.launcher.gpu: unknown key, did you mean 'gpus'?"]),
        (["hydra.sweep.subdir=x"], ["hydra.sweep.subdir: cannot be changed"]),
        (
            ["trainer.run_dir=x", "trainer.dry_run=true"],
            ["trainer.run_dir: is each job's own", "trainer.dry_run: rehearses one run"],
        ),
        (["trainer.seed=interval(0,1)"], ["trainer.seed: has no list of values to try"]),
    ],
)
def test_mistakes_are_told_before_anything_starts(overrides: list[str], lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(overrides)
    told = str(caught.value).splitlines()
    assert len(told) == len(lines), told
    for line, start in zip(told, lines, strict=True):
        assert line.startswith(start)


def test_the_configurations_of_all_jobs_are_shown_and_nothing_is_started(tmp_path: Path) -> None:
    overrides = ["-m", "scheduler.optimizer.lr=0.001,0.002", "head=FCN,PSPNet", "trainer.seed=3", *SHOWN]
    done = segkit("train", "--cfg", "job", *overrides, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    heads = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert heads == [
        "# job 0: scheduler.optimizer.lr=0.001, head=FCN",
        "# job 1: scheduler.optimizer.lr=0.001, head=PSPNet",
        "# job 2: scheduler.optimizer.lr=0.002, head=FCN",
        "# job 3: scheduler.optimizer.lr=0.002, head=PSPNet",
    ]
    trees = list(yaml.safe_load_all(done.stdout))
    planned = plan_sweep([*overrides[1:4], *SHOWN], to_start=False).jobs
    assert [to_plain(validate(tree)) for tree in trees] == [to_plain(config) for _, config in planned]
    assert list(tmp_path.iterdir()) == []


SHOWN = ("dataset=ade20k_512x512", "dataset.root=/nowhere", "hydra/launcher=slurm")
"""Neither the data nor a cluster must be here to see the configurations."""


@pytest.mark.parametrize(
    ("overrides", "head"),
    [
        (["trainer.seed=1"], "# job 0"),
        (["trainer.seed=4,4"], "# job 0"),
        (["trainer.seed=range(2,4)"], "# job 0: trainer.seed=2"),
        (["+experiment=quickstart,segformer_mitb0_ade20k"], "# job 0: +experiment=quickstart"),
    ],
)
def test_each_job_is_told_by_what_is_its_own(overrides: list[str], head: str) -> None:
    assert list_jobs(overrides).splitlines()[0] == head


def test_jobs_that_cannot_be_shown(tmp_path: Path) -> None:
    done = segkit("train", "-m", "--cfg", "job", "scheduler.optimizer.lr=0.1,-1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: job 1 (scheduler.optimizer.lr=-1): scheduler.optimizer.lr: must be greater than 0 (got -1)\n"
    )
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-optuna-sweeper")
    with pytest.raises(SegkitError, match="hydra/sweeper=optuna chooses the jobs as it goes, so none can be shown"):
        list_jobs(["hydra/sweeper=optuna", "trainer.seed=interval(0,1)"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"gpus": -1}, "hydra.launcher.gpus: must be at least 0 (got -1)"),
        ({"mem": 64}, "hydra.launcher.mem: must be a whole number with a unit, K, M, G or T, as in 64G (got 64)"),
        ({"time": 43200}, "hydra.launcher.time: must be minutes, 1 to 1440, or quoted as in '12:00:00'"),
        ({"time": "12h"}, "hydra.launcher.time: must be as in 12:00:00, 2-00:00:00 or 90 (minutes)"),
        ({"requeue": "yes"}, "hydra.launcher.requeue: must be true or false (got 'yes')"),
        (
            {"sbatch": {"gpus_per_node": 2}},
            "hydra.launcher.sbatch: must not hold gpus-per-node: hydra.launcher.gpus says it",
        ),
        ({"max_paralel": 2}, "hydra.launcher.max_paralel: unknown key, did you mean 'max_parallel'?"),
    ],
)
def test_options_of_the_cluster_are_checked(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_slurm(options)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        (90, 90),
        ("90", 90),
        ("90:30", 91),
        ("12:00:00", 720),
        ("0:01:01", 2),
        ("2-00", 2880),
        ("1-02:03:04", 1564),
        (None, None),
    ],
)
def test_time_limits_are_read_as_sbatch_reads_them(time: str | int | None, minutes: int | None) -> None:
    assert SlurmConfig(time=time).minutes == minutes


def test_a_time_limit_leaves_time_to_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sbatch", "srun", "squeue"):  # that they are there is all that a plan asks
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    pytest.importorskip("submitit", reason="pip install 'segkit[slurm]'")
    with pytest.raises(ConfigError, match=r"hydra.launcher.time: must be more than 150 s"):
        plan_sweep(["hydra/launcher=slurm", "hydra.launcher.time=2"])
    plan = plan_sweep(["hydra/launcher=slurm", "hydra.launcher.time=3", "hydra.launcher.nodes=2"])
    assert [config.trainer.nnodes for _, config in plan.jobs] == [2]
    with pytest.raises(ConfigError, match=r"hydra.launcher.nodes: is 1, but trainer.nnodes is 2; say it once, here"):
        plan_sweep(["hydra/launcher=slurm", "trainer.nnodes=2"])


def test_without_a_cluster_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="pip install 'segkit[slurm]'")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SegkitError, match="no sbatch on this machine; submit from a login node"):
        plan_sweep(["hydra/launcher=slurm"])


def finished(sweep: SweepFolder, number: int, overrides: list[str], miou: float | None) -> None:
    """A job as a training leaves it; without a metric as it never started."""
    job = sweep.freeze(number, overrides, compose(overrides))
    if miou is not None:
        records = [
            {"kind": "train", "step": 5, "epoch": 1},
            {"kind": "val", "step": 5, "epoch": 1, "miou": miou, "macc": 0.5},
            {"kind": "val", "step": 9, "epoch": 2, "miou": miou / 2, "macc": 0.9},
        ]
        job.folder.log.write_text("".join(json.dumps(record) + "\n" for record in records))
        job.folder.metrics.write_text("{}")


@pytest.fixture
def grid(tmp_path: Path) -> SweepFolder:
    """Four jobs of two parameters; the last one never started."""
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.create(["..."], "basic", None)
    for number, (rate, head, miou) in enumerate(
        [(0.01, "FCN", 0.2), (0.01, "PSPNet", 0.6), (1.0, "FCN", 0.4), (1.0, "PSPNet", None)]
    ):
        finished(sweep, number, [f"++scheduler.optimizer.lr={rate}", f"head={head}", "trainer.seed=3"], miou)
    return sweep


def test_a_table_ranks_by_the_best_evaluation(grid: SweepFolder, tmp_path: Path) -> None:
    found = survey(grid.jobs())
    assert [state.state for state in found] == ["done", "done", "done", "waiting"]
    assert swept(grid.jobs()) == ["scheduler.optimizer.lr", "head"]
    assert label(grid.jobs()[1], swept(grid.jobs())) == "job 1 (scheduler.optimizer.lr=0.01, head=PSPNet)"
    assert [state.job.number for state in ranked(found)] == [1, 2, 0, 3]
    write_csv(tmp_path / "table.csv", found)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "job,scheduler.optimizer.lr,head,state,progress,macc,miou,folder"
    assert lines[1] == f'1,0.01,PSPNet,done,"epoch 2/130, step 9",0.5,0.6,{grid.path / "1"}'  # of the same evaluation
    assert lines[4] == f"3,1.0,PSPNet,waiting,,,,{grid.path / '3'}"
    assert draw(tmp_path / "metric.png", found)
    assert (tmp_path / "metric.png").read_bytes().startswith(b"\x89PNG")


def test_names_in_tables_are_as_short_as_can_be() -> None:
    assert short_names(["scheduler.optimizer.lr", "head"]) == ["lr", "head"]
    assert short_names(["head.channels", "auxiliary.channels"]) == ["head.channels", "auxiliary.channels"]


def test_commands_tell_mistakes(grid: SweepFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in [
        (["status", str(tmp_path)], "no sweep there"),
        (["resume", str(tmp_path / "nowhere")], "no such folder"),
        (["run", str(grid.path)], "no job.json there"),
        (["table", str(grid.path), "--metric", "moiu"], "--metric: none is called 'moiu', did you mean 'miou'?"),
        (["resume", str(grid.path), "time=5"], "time=5: options are for SLURM, and this sweep runs here"),
    ]:
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SweepError, match="holds a sweep: segkit-sweep resume"):
        grid.create([], "basic", None)


def test_a_killed_job_is_told_from_one_that_runs(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.create([], "basic", None)
    job = sweep.freeze(0, ["trainer.seed=1"], compose(["trainer.seed=1"]))
    job.folder.log.write_text('{"kind": "train", "step": 5, "epoch": 1}\n')
    hold = (
        "import sys; from pathlib import Path; from segkit.engine.run import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", hold, str(job.folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as trains:
        assert trains.stdout is not None
        trains.stdout.readline()
        (running,) = states(sweep.path)
        assert (running.state, running.under_way) == ("running", True)
        trains.kill()
    (dead,) = states(sweep.path)
    assert (dead.state, dead.under_way) == ("failed", False)
    assert dead.text == "no process of this machine runs it, and it left no word"


@pytest.mark.slow
def test_jobs_are_frozen_run_apart_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    leaked = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    arguments = ["-m", *TINY, "scheduler.optimizer.lr=1e30,0.01,0.02", "hydra.sweep.dir=sweep"]
    done = segkit("train", *arguments, cwd=tmp_path, **leaked)
    assert done.returncode == 2, done.stderr
    assert "job 0 (scheduler.optimizer.lr=1e+30) failed: step" in done.stderr
    assert "1 of 3 jobs are not done; segkit-sweep resume sweep" in done.stderr
    assert "Traceback" not in done.stderr
    sweep = tmp_path / "sweep"
    assert [state.state for state in states(sweep)] == ["failed", "done", "done"]
    twice = segkit("train", *arguments, cwd=tmp_path)
    assert twice.returncode == 2
    assert "sweep holds a sweep: segkit-sweep resume sweep goes on with it" in twice.stderr
    again = segkit("sweep", "resume", str(sweep), cwd=tmp_path.parent)  # from elsewhere
    assert again.returncode == 2  # the rate is still too high
    assert "2 of 3 jobs are done, 0 under way; starting 1" in again.stdout


@pytest.mark.slow
def test_a_sweep_that_was_stopped_goes_on(tmp_path: Path) -> None:
    arguments = ["-m", *TINY, "scheduler.max_epochs=8", "trainer.timeout_s=1000,1001", "hydra.sweep.dir=sweep"]
    process = subprocess.Popen(
        [sys.executable, "-m", "segkit.cli.train", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    sweep = tmp_path / "sweep"
    wait_until(lambda: steps_done(sweep / "0") >= 3, "job 0 trains")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM
    assert "segkit-sweep resume sweep goes on" in told
    assert [state.state for state in states(sweep)] == ["stopped", "waiting"]
    assert 3 <= steps_done(sweep / "0") < 32
    again = segkit("sweep", "resume", "sweep", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert_same_state(sweep / "0", sweep / "1")
