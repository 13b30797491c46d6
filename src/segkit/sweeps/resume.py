"""Starting the jobs of a sweep again that did not finish."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.config.compose import parse
from segkit.config.launcher import SlurmConfig, read_slurm
from segkit.errors import ConfigError, Problem, SweepError
from segkit.sweeps.folder import Job, SweepFolder, label, swept
from segkit.sweeps.job import run_fresh
from segkit.sweeps.multirun import conclude
from segkit.sweeps.plan import require_slurm
from segkit.sweeps.slurm import submit, wait_for
from segkit.sweeps.status import survey


def resume(sweep: SweepFolder, launcher: str | None = None, changes: Sequence[str] = ()) -> None:
    """Starts again what is neither done nor under way; each job goes on in its run folder.

    Args:
        sweep: which.
        launcher: "basic" for here, one after another, or "slurm"; None as the sweep was.
        changes: options of the launcher to change, as ``time=24:00:00``.

    Raises:
        SweepError: there is no such sweep, or jobs failed again.
        ConfigError: an option is wrong.
    """
    info = sweep.read()
    sweep = SweepFolder(sweep.path.resolve())
    os.chdir(info["directory"])  # what paths in the configurations are relative to
    if Path.cwd() in sweep.path.parents:
        sweep = SweepFolder(sweep.path.relative_to(Path.cwd()))
    on_slurm = launcher == "slurm" or (launcher is None and info["options"] is not None)
    options = _options(info["options"] or {}, changes) if on_slurm else None
    if changes and options is None:
        text = "options are for SLURM, and this sweep runs here; --launcher slurm changes that"
        raise SweepError(f"{changes[0]}: {text}")
    states = survey(sweep.jobs())
    jobs = [state.job for state in states if state.state != "done" and not state.under_way]
    done, busy = (sum(marks) for marks in zip(*((s.state == "done", s.under_way) for s in states), strict=True))
    print(f"{done} of {len(states)} jobs are done, {busy} under way; starting {len(jobs)}", flush=True)
    if options is None:
        _here(sweep, jobs)
    elif jobs:
        submitted = submit(sweep, jobs, options)
        if not options.wait:
            return
        wait_for(sweep, submitted)
    if jobs:
        conclude(sweep)


def _options(before: dict[str, Any], changes: Sequence[str]) -> SlurmConfig:
    """The launcher's options, some of them changed."""
    require_slurm()
    tree = dict(before)
    for override in parse(changes):
        key = override.key_or_group.removeprefix("hydra.launcher.")
        if key == "nodes" and override.value() != before.get("nodes", 1):
            text = "is part of the jobs, which are frozen: a new sweep can change it"
            raise ConfigError([Problem("hydra.launcher.nodes", text)])
        tree[key] = override.value()
    return read_slurm(tree)


def _here(sweep: SweepFolder, jobs: Sequence[Job]) -> None:
    keys = swept(sweep.jobs())
    for job in jobs:
        print(f"\n{label(job, keys)} -> {job.folder.path}", flush=True)
        run_fresh(sweep, job)
