"""Sweeps on a real SLURM: two nodes of two CPUs on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import slurm
from support.runs import assert_same_state, losses
from support.sweeps import TINY, segkit, states, steps_done, wait_until

from segkit.sweeps.folder import SweepFolder

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing() or "there is one"),
]
pytest.importorskip("submitit", reason="pip install 'segkit[slurm]'")

LONG = ("scheduler.max_epochs=20", "scheduler.optimizer.lr=0.001")
"""80 steps: time to interfere."""
TWINS = ("trainer.timeout_s=1000,1001",)
"""Two jobs that must end with the same bits: one is interfered with, the other is not."""
ON_SLURM = ("hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.time=10")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with slurm.cluster() as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        yield


def ask(*command: str) -> str:
    """What a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def train(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return segkit("train", "-m", *TINY, *ON_SLURM, "hydra.sweep.dir=sweep", *arguments, cwd=cwd)


def submit(cwd: Path, *arguments: str) -> list[str]:
    """Submits without waiting; returns SLURM's ids of the jobs."""
    done = train(cwd, "hydra.launcher.wait=false", *arguments)
    assert done.returncode == 0, done.stderr
    return [str(job.slurm_id) for job in SweepFolder(cwd / "sweep").jobs()]


def all_done(cwd: Path) -> bool:
    found = states(cwd / "sweep")
    assert [s.text for s in found if s.state in ("failed", "stopped")] == []
    return all(state.state == "done" for state in found)


def starts(slurm_id: str) -> int:
    """How often SLURM started a job."""
    return ask("sacct", "-n", "-X", "-D", "-j", slurm_id, "-o", "JobID").count(slurm_id)


def test_a_sweep_of_four_where_one_job_fails(tmp_path: Path) -> None:
    done = train(
        tmp_path, "scheduler.optimizer.lr=0.01,1e30", "scheduler.optimizer.momentum=0.8,0.9", "trainer.non_finite=stop"
    )
    assert done.returncode == 2, done.stderr  # both with the high rate diverge
    sweep = SweepFolder(tmp_path / "sweep")
    jobs = sweep.jobs()
    (array,) = {str(job.slurm_id).partition("_")[0] for job in jobs}
    assert [job.slurm_id for job in jobs] == [f"{array}_{task}" for task in range(4)]
    assert [s.state for s in states(sweep.path)] == ["done", "done", "failed", "failed"]
    assert "job 3 (scheduler.optimizer.lr=1e+30, scheduler.optimizer.momentum=0.9) failed: step" in done.stderr
    assert "2 of 4 jobs are not done; segkit-sweep resume sweep" in done.stderr
    assert ask("sacct", "-n", "-X", "-j", array, "-o", "State,ExitCode").count("FAILED      2:0") == 2
    script = (sweep.slurm / f"{array}_submission.sh").read_text()
    for line in ("--array=0-3%4", "--cpus-per-task=1", "--time=10", "--signal=USR2@50", "--requeue"):
        assert f"#SBATCH {line}\n" in script

    told = segkit("sweep", "status", "sweep", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "2 done, 2 failed" in told.stdout
    assert re.search(r"job 2 failed: step \d: .* not finite", told.stdout)
    assert f"log: sweep/slurm/{array}_2_0_log.out" in told.stdout
    table = segkit("sweep", "table", "sweep", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    header, *rows = (sweep.path / "table.csv").read_text().splitlines()
    assert header.startswith("job,scheduler.optimizer.lr,scheduler.optimizer.momentum,state,progress,")
    assert sorted(row.split(",")[1] for row in rows[:2]) == ["0.01", "0.01"]  # the failed ones come last
    assert (sweep.path / "metric.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("scheduler.optimizer.lr=0.1,-1",),
            "job 1 (scheduler.optimizer.lr=-1): scheduler.optimizer.lr: must be greater",
        ),
        (("trainer.seed=0,1", "hydra.launcher.partition=nowhere"), "sbatch refused the jobs, and nothing is submitted"),
        (("trainer.seed=0,1", "hydra.launcher.gpus=1"), "sbatch refused the jobs, and nothing is submitted"),
        (
            ("trainer.seed=0,1", "hydra.launcher.sbatch={nonsense: 1}"),
            "sbatch refused the jobs, and nothing is submitted",
        ),
    ],
)
def test_nothing_is_submitted_and_nothing_written(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    before = ask("sacct", "-n", "-X", "-o", "JobID")
    done = train(tmp_path, *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert ask("sacct", "-n", "-X", "-o", "JobID") == before
    assert list(tmp_path.iterdir()) == []


def test_submitting_needs_no_torch_and_nodes_do_not_compose(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "scheduler").mkdir(parents=True)
    (own / "scheduler" / "mine.yaml").write_text("defaults: [PolyScheduler, _self_]\nmax_epochs: 2\n")
    arguments = [*TINY, *ON_SLURM, "scheduler=mine"]
    arguments.remove("scheduler.max_epochs=1")
    command = [
        "-m",
        "--config-dir",
        str(own),
        *arguments,
        "trainer.seed=0,1",
        "hydra.sweep.dir=sweep",
        "hydra.launcher.wait=false",
    ]
    code = (
        f"import sys; from segkit.cli import train; train.main({command!r});"
        "print([m for m in ('torch', 'cv2', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    (own / "scheduler" / "mine.yaml").write_text("this is: [no YAML")
    wait_until(lambda: all_done(tmp_path), "both jobs are done")
    assert steps_done(tmp_path / "sweep" / "1") == 8


def test_a_preempted_job_goes_on_in_its_run_folder(tmp_path: Path) -> None:
    first, _ = submit(tmp_path, *LONG, *TWINS, "hydra.launcher.cpus=2")  # each on a node of its own
    sweep = tmp_path / "sweep"
    wait_until(lambda: steps_done(sweep / "0") >= 3, "job 0 trains")
    node = ask("squeue", "-h", "-j", first, "-o", "%N")
    ask("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    wait_until(lambda: states(sweep)[0].state == "waiting", "job 0 waits again")
    assert 3 <= steps_done(sweep / "0") < 80
    wait_until(lambda: all_done(tmp_path), "both jobs are done")
    assert starts(first) == 2
    assert_same_state(sweep / "0", sweep / "1")
    assert losses(sweep / "0") == losses(sweep / "1")  # no gap, no step twice


def test_a_job_told_of_its_time_limit_goes_on(tmp_path: Path) -> None:
    _, last = submit(tmp_path, *LONG, *TWINS, "trainer.devices=2", "hydra.launcher.cpus=2")
    sweep = tmp_path / "sweep"
    wait_until(lambda: steps_done(sweep / "1") >= 3, "job 1 trains")
    ask("scancel", "--signal=USR2", last)  # as SLURM does before the limit, which would take a minute
    wait_until(lambda: states(sweep)[1].state == "waiting", "job 1 waits again")
    wait_until(lambda: all_done(tmp_path), "both jobs are done")
    assert starts(last) == 2
    assert_same_state(sweep / "0", sweep / "1")
    assert losses(sweep / "0") == losses(sweep / "1")


def test_a_killed_and_a_cancelled_job_are_told_and_resumed(tmp_path: Path) -> None:
    submit(tmp_path, *LONG, "trainer.timeout_s=1000,1001,1002")
    sweep = tmp_path / "sweep"
    wait_until(lambda: min(steps_done(sweep / n) for n in ("0", "1")) >= 2, "both train")
    holder = re.search(r"process (\d+)", (sweep / "0" / ".lock").read_text())
    assert holder is not None
    os.kill(int(holder[1]), signal.SIGKILL)
    ask("scancel", str(SweepFolder(sweep).jobs()[1].slurm_id))
    wait_until(lambda: not any(s.under_way for s in states(sweep)), "all have ended")
    killed, cancelled, other = states(sweep)
    assert (killed.state, cancelled.state, other.state) == ("failed", "stopped", "done")
    assert killed.text == "SLURM: failed, ended by SIGKILL (often: out of memory)"
    assert "stopped by SIGTERM after step" in cancelled.text  # saved, and not queued again
    again = segkit("sweep", "resume", "sweep", "time=20", "wait=true", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 of 3 jobs are done, 0 under way; starting 2" in again.stdout
    for number in ("0", "1"):
        assert_same_state(sweep / number, sweep / "2")
        assert losses(sweep / number) == losses(sweep / "2")
    assert "3 of 3 jobs are done, 0 under way; starting 0" in segkit("sweep", "resume", "sweep", cwd=tmp_path).stdout


def test_two_nodes_train_together(tmp_path: Path) -> None:
    done = train(
        tmp_path,
        "hydra.launcher.nodes=2",
        "hydra.launcher.cpus=2",
        "trainer.devices=2",
        "trainer.seed=0",
        "scheduler.max_epochs=2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = SweepFolder(tmp_path / "sweep")
    (job,) = sweep.jobs()
    told = ("sacct", "-n", "-X", "-P", "-j", str(job.slurm_id), "-o", "NNodes,State")
    wait_until(lambda: ask(*told) != "2|RUNNING", "the second node has ended, too", timeout_s=60)
    assert ask(*told) == "2|COMPLETED"
    assert "on 4 x cpu" in (sweep.slurm / f"{job.slurm_id}_0_log.out").read_text()
    assert json.loads(job.folder.metrics.read_text())["step"] == 8
