"""Sweeps on SLURM: the Hydra launcher ``hydra/launcher=slurm``, built on submitit."""

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.core.utils import JobStatus as HydraStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from segkit.config.compose import read_job
from segkit.config.hydra_source import SLURM_LAUNCHER
from segkit.config.launcher import SlurmConfig, read_slurm
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.run import read_config
from segkit.errors import SweepError
from segkit.sweeps.folder import Job, SweepFolder, label, swept
from segkit.sweeps.job import metric_of
from segkit.sweeps.plan import check_time, signal_before_s
from segkit.sweeps.queue import cancel_command
from segkit.sweeps.slurm_job import run_in_slurm
from segkit.sweeps.status import JobStatus, survey

_LOOK_S = 2.0


class SlurmLauncher(Launcher):
    """Submits the jobs of a sweep as one array, each with its frozen configuration; nodes never compose."""

    __module__, _, __qualname__ = SLURM_LAUNCHER.rpartition(".")  # see register

    def __init__(self, **options: Any) -> None:
        """Takes the options that ``setup`` reads from the configuration, as plain data."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader = hydra_context.config_loader
        self.config = config
        options: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
        self.options = read_slurm({key: value for key, value in options.items() if key != "_target_"})
        self.sweep = SweepFolder(Path(str(config.hydra.sweep.dir)))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submits the jobs, and waits for them unless told otherwise.

        Raises:
            SweepError: sbatch refused them; nothing is submitted.
            ConfigError: a job that the sweeper thought of cannot be; nothing is submitted.
        """
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        asked = dict(zip(numbers, job_overrides, strict=True))
        new = {n: self._compose(lines) for n, lines in asked.items() if self.sweep.find(n) is None}
        for number, config in new.items():  # a sweeper that finds out as it goes
            self.sweep.freeze(number, asked[number], config)
        jobs = [job for job in self.sweep.jobs() if job.number in numbers]
        submit(self.sweep, jobs, self.options)
        if not self.options.wait:
            return [JobReturn(lines, status=HydraStatus.COMPLETED) for lines in job_overrides]
        states = wait_for(self.sweep, jobs)
        return [self._returned(lines, state) for lines, state in zip(job_overrides, states, strict=True)]

    def _compose(self, lines: Sequence[str]) -> SegmentorConfig:
        cfg = self.loader.load_sweep_config(self.config, list(lines))
        config = read_job(cfg, dict(cfg.hydra.runtime.choices))
        check_time(self.options, config)
        return config

    def _returned(self, lines: Sequence[str], state: JobStatus) -> JobReturn:
        """The monitored metric; a failure is raised only where the sweeper learns from it."""
        fails = state.state != "done" and self.config.hydra.runtime.choices["hydra/sweeper"] != "basic"
        value: Any = SweepError(f"{state.state}: {state.text}") if fails else metric_of(state.job)
        return JobReturn(lines, status=HydraStatus.FAILED if fails else HydraStatus.COMPLETED, _return_value=value)


def register() -> None:
    """Makes the launcher known to Hydra.

    Hydra takes launchers of the package ``hydra_plugins`` alone, and imports them by their names. Ours goes by such a
    name without a second package beside segkit that would be installed for it.
    """
    Plugins.instance().register(SlurmLauncher)
    package, _, _ = SlurmLauncher.__module__.rpartition(".")
    if find_spec(package) is None:  # no other plug-in is installed
        sys.modules[package] = ModuleType(package)
    sys.modules[SlurmLauncher.__module__] = sys.modules[__name__]


def submit(sweep: SweepFolder, jobs: Sequence[Job], options: SlurmConfig) -> list[Job]:
    """Hands jobs to SLURM as one array; returns them with the ids under which it knows them.

    Raises:
        SweepError: if sbatch refuses them, with its words.
    """
    import submitit  # an extra, which only this needs
    from submitit.core.utils import FailedJobError, FailedSubmissionError
    from submitit.helpers import clean_env

    configs = [read_config(job.folder.config) for job in jobs]
    executor = submitit.SlurmExecutor(sweep.slurm.resolve())
    executor.update_parameters(
        **_parameters(options, name=configs[0].trainer.name, signal_s=max(map(signal_before_s, configs)))
    )
    paths = [str(sweep.run_dir(job.number)) for job in jobs]
    whereabouts = {name: os.environ[name] for name in ("SLURM_CONF", "SLURM_CONF_SERVER") if name in os.environ}
    try:
        with clean_env():  # a sweep can be submitted from inside a job; but where SLURM is stays known
            os.environ |= whereabouts
            submitted = executor.map_array(run_in_slurm, paths, [options.requeue] * len(paths))
    except (FailedJobError, FailedSubmissionError) as error:
        words = re.findall(r"sbatch: error: (.*)", str(error)) or [str(error).strip()]
        raise SweepError(f"sbatch refused the jobs, and nothing is submitted: {'; '.join(words)}") from None
    found = [replace(job, slurm_id=handle.job_id) for job, handle in zip(jobs, submitted, strict=True)]
    for job in found:
        job.failed.unlink(missing_ok=True)
        job.folder.stopped.unlink(missing_ok=True)
        job.write()
    ids = sorted({str(job.slurm_id).partition("_")[0] for job in found})
    print(f"{len(found)} jobs submitted as SLURM job {', '.join(ids)}; folder: {sweep.path}", flush=True)
    return found


def _parameters(options: SlurmConfig, *, name: str, signal_s: int) -> dict[str, Any]:
    """Submitit's names of the options."""
    extra: dict[str, Any] = {"requeue" if options.requeue else "no-requeue": True}
    for key, value in options.sbatch.items():
        extra |= {} if value is False else {key.replace("_", "-"): value}
    parameters = {
        "job_name": name,
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
        "nodes": options.nodes,
        "ntasks_per_node": 1,
        "gpus_per_node": options.gpus,
        "cpus_per_task": options.cpus,
        "mem": options.mem,
        "time": options.minutes,
        "signal_delay_s": signal_s,
        "setup": list(options.setup) or None,
        "wckey": None,  # submitit's own, which a cluster may refuse
        "stderr_to_stdout": True,
        "additional_parameters": extra,
    }
    return parameters if options.max_parallel is None else parameters | {"array_parallelism": options.max_parallel}


def wait_for(sweep: SweepFolder, jobs: Sequence[Job]) -> list[JobStatus]:
    """Tells what becomes of the jobs until all have ended; Ctrl-C leaves them alone.

    Raises:
        SystemExit: on Ctrl-C.
    """
    numbers = [job.number for job in jobs]
    keys, told, ended_before = swept(sweep.jobs()), dict.fromkeys(numbers, ""), False
    try:
        while True:
            states = survey([job for job in sweep.jobs() if job.number in numbers])
            for state in states:
                line = f"{state.state}" + (f": {state.text}" if state.text else "")
                if line != told[state.job.number]:
                    told[state.job.number] = line
                    print(f"{label(state.job, keys)}: {line}", flush=True)
            ended = all(state.state not in ("waiting", "running") for state in states)
            if ended and ended_before:  # twice: between its end and its return to the queue a job looks gone
                return states
            ended_before = ended
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        ids = [str(state.job.slurm_id) for state in states]
        text = f"the jobs go on: segkit-sweep status {sweep.path} tells how far; {cancel_command(ids)} ends them"
        print(text, flush=True)
        raise SystemExit(130) from None
