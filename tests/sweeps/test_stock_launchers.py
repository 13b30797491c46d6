"""Hydra's own launchers and the Optuna sweeper, with the command line that is used for ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support import slurm
from support.sweeps import TINY, segkit, states

from segkit.sweeps.folder import SweepFolder, swept
from segkit.sweeps.status import JobStatus


@pytest.mark.slow
def test_joblib_runs_jobs_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install hydra-joblib-launcher")
    done = segkit(
        "train",
        "-m",
        *TINY,
        "scheduler.optimizer.lr=0.01,1e30",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "hydra.sweep.dir=sweep",
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert "job 1 (scheduler.optimizer.lr=1e+30) failed: step" in done.stderr
    assert [state.state for state in states(tmp_path / "sweep")] == ["done", "failed"]


def search_twice(folder: Path, *options: str) -> list[JobStatus]:
    """How two trials of Optuna with a learning rate between bounds ended, which both ended well."""
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "scheduler.optimizer.lr=interval(0.001,0.1)")
    done = segkit("train", "-m", *TINY, *search, *options, "hydra.sweep.dir=sweep", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found = states(folder / "sweep")
    assert [state.state for state in found] == ["done", "done"]
    return found


@pytest.mark.slow
def test_optuna_looks_for_the_best_metric(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-optuna-sweeper")
    found = search_twice(tmp_path, "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1")
    assert swept([state.job for state in found]) == ["scheduler.optimizer.lr"]
    best = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(state.value for state in found if state.value is not None)


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    if slurm.missing():
        pytest.skip(slurm.missing())
    with slurm.cluster() as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        yield


@pytest.mark.slurm
@pytest.mark.usefixtures("_cluster")
def test_the_stock_submitit_launcher_runs_the_frozen_jobs(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install hydra-submitit-launcher")
    options = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10", "hydra.launcher.cpus_per_task=1")
    done = segkit("train", "-m", *TINY, *options, "trainer.seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [state.state for state in states(tmp_path / "sweep")] == ["done", "done"]
    assert len(SweepFolder(tmp_path / "sweep").jobs()) == 2


@pytest.mark.slurm
@pytest.mark.usefixtures("_cluster")
def test_optuna_searches_on_slurm(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install hydra-optuna-sweeper")
    pytest.importorskip("submitit", reason="pip install 'segkit[slurm]'")
    found = search_twice(tmp_path, "hydra.sweeper.n_jobs=2", "hydra/launcher=slurm", "hydra.launcher.cpus=1")
    assert len({str(state.job.slurm_id).partition("_")[0] for state in found}) == 1
