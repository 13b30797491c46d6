"""What a sweep will do, found out before anything is written: every job composed and checked."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from segkit.config.component import to_plain
from segkit.config.compose import Composed, compose, compose_tree, dump_yaml, expand_sweep, parse
from segkit.config.hydra_source import SLURM_LAUNCHER
from segkit.config.launcher import SlurmConfig, read_slurm
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError, Problem, SegkitError

_RESERVE_S = 30
"""Time between trainer.grace_s, in which a job saves its state, and the end of its time limit."""

_NOT_HERE = {
    "hydra.sweep.subdir": "cannot be changed: run folders are called by the jobs' numbers",
    "trainer.run_dir": "is each job's own in a sweep; hydra.sweep.dir=... is the folder of all",
    "trainer.dry_run": "rehearses one run: leave -m out",
    "trainer.debug": "is for one run: leave -m out",
}


@dataclass(frozen=True)
class Plan:
    """A sweep that can be started.

    Attributes:
        folder: of the sweep.
        launcher: the option of hydra/launcher.
        sweeper: the option of hydra/sweeper.
        options: of our own launcher; None for another one.
        extra: overrides that follow from the options, for Hydra and every job.
        jobs: overrides and configuration of each; empty if the sweeper finds out as it goes.
    """

    folder: Path
    launcher: str
    sweeper: str
    options: SlurmConfig | None
    extra: Sequence[str]
    jobs: Sequence[tuple[Sequence[str], SegmentorConfig]]


def plan_sweep(overrides: Sequence[str], config_dir: str | None = None, *, to_start: bool = True) -> Plan:
    """Composes and checks all jobs.

    Args:
        overrides: of the command line, with several values for some.
        config_dir: a folder with options of the user's own.
        to_start: ask for the data, and for SLURM where it is to be used.

    Raises:
        ConfigError: with every mistake of every job; those of one job name it.
        SegkitError: there is no data, or no SLURM.
    """
    folders = (Path(config_dir),) if config_dir else ()
    parsed = parse(overrides)
    changing = [o.key_or_group for o in parsed if o.is_sweep_override()]
    wrong = [Problem(key, "is one for the whole sweep, and takes one value") for key in changing if "hydra" in key]
    wrong += [Problem(o.key_or_group, _NOT_HERE[o.key_or_group]) for o in parsed if o.key_or_group in _NOT_HERE]
    if wrong:
        raise ConfigError(wrong)
    fixed = [line for line, o in zip(overrides, parsed, strict=True) if not o.is_sweep_override()]
    common = compose_tree(fixed, folders)
    options = _own_options(common)
    if options is not None and to_start:
        require_slurm()
    extra = _consequences(common, options)
    sweeper = common.choices["hydra/sweeper"]
    if sweeper == "basic":
        params = dict(common.hydra.sweeper.get("params") or {})
        lines = expand_sweep([*(f"{key}={value}" for key, value in params.items()), *overrides])
        jobs = _compose_all([[*line, *extra] for line in lines], config_dir, with_data=to_start)
    else:
        config = compose([*fixed, *extra], config_dir)
        if to_start:
            config.dataset.require_root()
        jobs = []
    if options is not None:
        for _, config in jobs:
            check_time(options, config)
    return Plan(
        folder=_new_folder(Path(str(common.hydra.sweep.dir)), is_default="hydra.sweep.dir" not in common.overrides),
        launcher=common.choices["hydra/launcher"],
        sweeper=sweeper,
        options=options,
        extra=extra,
        jobs=jobs,
    )


def list_jobs(overrides: Sequence[str], config_dir: str | None = None) -> str:
    """The configurations of all jobs as YAML documents, each under a line that names the job; nothing is started.

    Raises:
        ConfigError: with every mistake of every job.
        SegkitError: the sweeper finds the jobs as it goes.
    """
    plan = plan_sweep(overrides, config_dir, to_start=False)
    if not plan.jobs:
        text = f"hydra/sweeper={plan.sweeper} chooses the jobs as it goes, so none can be shown"
        raise SegkitError(f"{text}; without -m, and with one value for each option, there is one")
    lines = [line for line, _ in plan.jobs]
    heads = [f"# job {number}: {_own(lines, number)}".removesuffix(": ") for number in range(len(lines))]
    documents = [dump_yaml(to_plain(config)) for _, config in plan.jobs]
    return "---\n".join(f"{head}\n{document}" for head, document in zip(heads, documents, strict=True))


def _own(lines: Sequence[Sequence[str]], number: int) -> str:
    """The overrides that not all jobs have."""
    return ", ".join(line for line in lines[number] if any(line not in others for others in lines))


def _own_options(common: Composed) -> SlurmConfig | None:
    """The options of our launcher, if it is chosen and can be used."""
    tree: Any = OmegaConf.to_container(common.hydra.launcher, resolve=True)
    if tree.pop("_target_", None) != SLURM_LAUNCHER:
        return None
    options = read_slurm(tree)
    if not options.wait and common.choices["hydra/sweeper"] != "basic":
        text = f"must be true: hydra/sweeper={common.choices['hydra/sweeper']} learns from the results"
        raise ConfigError([Problem("hydra.launcher.wait", text)])
    return options


def require_slurm() -> None:
    """Says what is missing to submit jobs.

    Raises:
        SegkitError: naming it.
    """
    if find_spec("submitit") is None:
        raise SegkitError("hydra/launcher=slurm needs the submitit package: pip install 'segkit[slurm]'")
    missing = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
    if missing:
        text = f"hydra/launcher=slurm: no {missing[0]} on this machine; submit from a login node of the cluster"
        raise SegkitError(f"{text}, or leave hydra/launcher out to train here")


def _consequences(common: Composed, options: SlurmConfig | None) -> list[str]:
    """Overrides that follow: as many machines as nodes, and better for a search is higher."""
    lines = []
    if common.choices["hydra/sweeper"] == "optuna" and "hydra.sweeper.direction" not in common.overrides:
        lines.append("hydra.sweeper.direction=maximize")  # its default looks for the lowest mIoU
    if options is None:
        return lines
    given = common.tree["trainer"]["nnodes"]
    if given not in (1, options.nodes):
        text = f"is {options.nodes}, but trainer.nnodes is {given}; say it once, here"
        raise ConfigError([Problem("hydra.launcher.nodes", text)])
    return [*lines, *([f"trainer.nnodes={options.nodes}"] if options.nodes > 1 else [])]


def _compose_all(
    lines: Sequence[Sequence[str]], config_dir: str | None, *, with_data: bool
) -> list[tuple[Sequence[str], SegmentorConfig]]:
    jobs, problems = [], []
    for number, overrides in enumerate(lines):
        try:
            config = compose(overrides, config_dir)
            if with_data:
                config.dataset.require_root()
            jobs.append((overrides, config))
        except ConfigError as error:
            problems.append((number, error.problems))
        except SegkitError as error:
            problems.append((number, (Problem("", str(error)),)))
    if problems:
        raise ConfigError(_name_jobs(problems, lines))
    return jobs


def _name_jobs(problems: Sequence[tuple[int, Sequence[Problem]]], lines: Sequence[Sequence[str]]) -> list[Problem]:
    """Problems that all jobs share, once; and the others with the job that has them."""
    shared = [p for p in problems[0][1] if all(p in found for _, found in problems)]
    everywhere = shared if len(problems) == len(lines) else []
    named = list(everywhere)
    for number, found in problems:
        own = _own(lines, number)
        where = f"job {number} ({own})" if own else f"job {number}"
        named += [Problem(f"{where}: {p.path}" if p.path else where, p.message) for p in found if p not in everywhere]
    return named


def check_time(options: SlurmConfig, config: SegmentorConfig) -> None:
    """Refuses a time limit that leaves none for the training.

    Raises:
        ConfigError: if it does.
    """
    need = signal_before_s(config)
    if options.minutes is not None and 60 * options.minutes <= need:
        text = f"must be more than {need} s, as a job is told so long before its end to save (trainer.grace_s)"
        raise ConfigError([Problem("hydra.launcher.time", f"{text} (got {options.time})")])


def signal_before_s(config: SegmentorConfig) -> int:
    """Seconds before its time limit at which a job must be told."""
    return round(config.trainer.grace_s) + _RESERVE_S


def _new_folder(path: Path, *, is_default: bool) -> Path:
    """The folder; one named by the time gets a number if a sweep began in the same second."""
    base, count = path, 1
    while is_default and path.exists():
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    return path
