"""``segkit-sweep``: how far the jobs of a sweep are, what came out, and how to go on."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segkit.cli.errors import user_errors
from segkit.errors import SweepError
from segkit.sweeps.folder import SweepFolder, short_names, swept
from segkit.sweeps.status import JobStatus, survey


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_args(argv)
    with user_errors():
        args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segkit-sweep", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="how far each job is, and what went wrong")
    status.set_defaults(run=_status)
    resume = commands.add_parser("resume", help="start the jobs again that did not finish; each goes on where it was")
    resume.add_argument("--launcher", choices=("basic", "slurm"), help="here, or on SLURM; default: as the sweep was")
    resume.set_defaults(run=_resume)
    table = commands.add_parser("table", help="swept values and metrics, the best first; also as CSV and as a plot")
    table.add_argument("--metric", help="what to sort and plot by; default: trainer.monitor")
    table.set_defaults(run=_table)
    for command in (status, resume, table):
        command.add_argument("folder", type=Path, metavar="SWEEP", help="folder of the sweep: runs/sweeps/...")
    resume.add_argument("options", nargs="*", metavar="option=value", help="hydra.launcher's, as time=24:00:00")
    run = commands.add_parser("run", help="run one job in this process, as its configuration was frozen")
    run.add_argument("folder", type=Path, metavar="JOB", help="folder of the job: runs/sweeps/.../2")
    run.set_defaults(run=_run)
    return parser


def _status(args: argparse.Namespace) -> None:
    states = _survey(args.folder)
    keys = swept([state.job for state in states])
    monitor = states[0].monitor if states else ""
    table = Table("job", *map(escape, short_names(keys)), "state", "progress", monitor)
    for state in states:
        values = [escape(state.job.values.get(key, "")) for key in keys]
        figure = "-" if state.value is None else f"{100 * state.value:.2f}"
        table.add_row(str(state.job.number), *values, state.state, state.progress, figure)
    console = Console()
    console.print(table)
    counts = {name: sum(state.state == name for state in states) for name in dict.fromkeys(s.state for s in states)}
    console.print(", ".join(f"{count} {name}" for name, count in counts.items()), highlight=False)
    for state in states:
        if state.text:
            print(f"job {state.job.number} {state.state}: {state.text.splitlines()[-1]}")
        if state.state == "failed" and state.job.slurm_id:
            print(f"  log: {SweepFolder(args.folder).slurm / f'{state.job.slurm_id}_0_log.out'}")


def _survey(folder: Path) -> list[JobStatus]:
    sweep = SweepFolder(folder)
    sweep.read()
    return survey(sweep.jobs())


def _resume(args: argparse.Namespace) -> None:
    from segkit.sweeps.resume import resume

    resume(SweepFolder(args.folder), args.launcher, args.options)


def _table(args: argparse.Namespace) -> None:
    from segkit.sweeps.table import draw, print_table, write_csv

    states = _survey(args.folder)
    known = sorted({name for state in states for name in state.metrics})
    if args.metric is not None and args.metric not in known:
        from segkit.config.spelling import hint

        listed = f"; there are {', '.join(known)}" if known else ": no job was evaluated yet"
        raise SweepError(f"--metric: none is called {args.metric!r}{hint(args.metric, known)}{listed}")
    print_table(states, args.metric)
    write_csv(args.folder / "table.csv", states, args.metric)
    print(f"table: {args.folder / 'table.csv'}")
    if draw(args.folder / "metric.png", states, args.metric):
        print(f"plot:  {args.folder / 'metric.png'}")


def _run(args: argparse.Namespace) -> None:
    from segkit.sweeps.folder import Job
    from segkit.sweeps.job import run_job

    job = Job.read(args.folder)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    run_job(job.folder.path)


if __name__ == "__main__":
    main()
