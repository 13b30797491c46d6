"""``segkit-train -m``: plans a sweep, freezes its jobs, and lets Hydra's sweeper and launcher run them."""

import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from segkit.config import store
from segkit.config.compose import hydra_errors, hydra_version, normalise, parse, search_path
from segkit.errors import SegkitError, SweepError
from segkit.sweeps.folder import SweepFolder, label, swept
from segkit.sweeps.job import run_hydra_job
from segkit.sweeps.plan import Plan, plan_sweep
from segkit.sweeps.slurm import register
from segkit.sweeps.status import JobStatus, survey
from segkit.sweeps.table import print_table

_WIDTH = 120
"""Characters of each error in the summary; segkit-sweep status has all of them."""


def run_sweep(overrides: Sequence[str], config_dir: str | None = None) -> None:
    """Runs a sweep.

    Args:
        overrides: of the command line.
        config_dir: a folder with options of the user's own.

    Raises:
        ConfigError: with every mistake of every job; nothing was started or written.
        SweepError: the sweep cannot be started, or some jobs failed; names each.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise SegkitError("a sweep starts the processes of its jobs itself: run it without torchrun")
    plan = plan_sweep(overrides, config_dir)
    sweep = SweepFolder(plan.folder)
    sweep.create(overrides, plan.launcher, plan.options)
    try:
        for number, (lines, config) in enumerate(plan.jobs):
            sweep.freeze(number, lines, config)
        _multirun(plan, overrides, (Path(config_dir),) if config_dir else ())
    except BaseException:
        sweep.discard_if_unused()
        raise
    if plan.options is not None and not plan.options.wait:
        print(f"look:   segkit-sweep status {sweep.path}")
        return
    conclude(sweep)


def _multirun(plan: Plan, overrides: Sequence[str], folders: tuple[Path, ...]) -> None:
    """Hydra composes once more, and its launchers call us with what they have composed: only the frozen counts."""
    register()
    lines, _ = normalise(parse([*overrides, *plan.extra]), folders)
    own = [line for line in lines if not line.startswith("hydra.sweep.dir=")]
    own += [*search_path(folders), f'hydra.sweep.dir="{plan.folder}"']
    conf = str(store.conf_folder())
    with hydra_errors(folders), initialize_config_dir(conf, job_name="segkit-train", **hydra_version()):
        hydra: Any = GlobalHydra.instance().hydra
        hydra.multirun("config", run_hydra_job, own)


def conclude(sweep: SweepFolder) -> None:
    """Tells the results.

    Raises:
        SweepError: if jobs are not done; the exit code is 2 if all of them failed by the user's mistake.
    """
    states = survey(sweep.jobs())
    print_table(states)
    undone = [state for state in states if state.state != "done"]
    if undone:
        raise SweepError(_undone(sweep, states, undone), _exit_code(undone))


def _undone(sweep: SweepFolder, states: Sequence[JobStatus], undone: Sequence[JobStatus]) -> str:
    keys = swept([state.job for state in states])
    words = {s.job.number: shorten(s.text, _WIDTH, placeholder=" ...") for s in undone}
    lines = [f"{label(s.job, keys)} {s.state}: {words[s.job.number]}".removesuffix(": ") for s in undone]
    count = f"{len(undone)} of {len(states)} jobs are not done"
    return "\n".join([*lines, f"{count}; segkit-sweep resume {sweep.path} starts them again"])


def _exit_code(undone: Sequence[JobStatus]) -> int:
    return 2 if all(state.exit_code == 2 for state in undone) else 1
