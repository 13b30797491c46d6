"""``segkit-plot``: curves of several runs, from their logs. Imports no torch."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from segkit.cli.errors import user_errors
from segkit.engine.curves import DEFAULT_KEYS, PICTURES, choose_panels, draw_panels, read_runs, to_csv
from segkit.errors import SegkitError
from segkit.files import write_file


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_args(argv)
    with user_errors():
        if not 0 <= args.smooth < 1:
            raise SegkitError(f"--smooth must be from 0 to less than 1 (got {args.smooth:g})")
        if args.output.suffix.lower() not in (*PICTURES, ".csv"):
            kinds = ", ".join((*PICTURES, ".csv"))
            raise SegkitError(f"--output: the name must end in one of {kinds} (got {args.output})")
        runs = read_runs(args.runs)
        names = list(dict.fromkeys(name for run in runs for name in run.names))
        if args.list:
            print("\n".join(names))
            return
        table = args.output.suffix.lower() == ".csv"
        panels = choose_panels(runs, args.keys or (names if table else _default_keys(names)))
        try:
            if table:
                write_file(args.output, to_csv(runs, list(dict.fromkeys(n for part in panels.values() for n in part))))
            else:
                draw_panels(runs, panels, args.output, axis=args.x, smooth=args.smooth)
        except OSError as error:
            raise SegkitError(f"{args.output}: cannot be written ({error.strerror or error})") from error
        print(f"{args.output}: {', '.join(panels) if len(panels) <= 8 else f'{len(panels)} figures'} of {_runs(runs)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-plot",
        description="Draws curves of runs, one panel a key and one line a run.",
        epilog="Examples: segkit-plot runs/a/* --keys loss miou 'iou/*' -o compare.svg; segkit-plot runs/a -o all.csv",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folder, its log.jsonl, or a folder that holds runs"
    )
    parser.add_argument(
        "--keys",
        "-k",
        nargs="+",
        metavar="KEY",
        help=f"figures of the log, such as loss, val/macc, iou/road, 'terms/*' (default: {' '.join(DEFAULT_KEYS)}; "
        "all in a table)",
    )
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("curves.png"),
        metavar="FILE",
        help="the suffix tells the kind: .png, .svg, .pdf, or .csv for the figures as a table (default: curves.png)",
    )
    parser.add_argument("--x", choices=("step", "hours"), default="step", help="hours since the run's first record")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SHARE", help="of a running mean, 0 to 1 (0)")
    parser.add_argument("--list", action="store_true", help="the keys that the runs have, and nothing else")
    return parser


def _default_keys(names: Sequence[str]) -> list[str]:
    """Those of the usual ones that there are: a run may not have been evaluated yet."""
    known = {name.partition("/")[2] for name in names}
    return [key for key in DEFAULT_KEYS if key in known]


def _runs(runs: Sequence[object]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) != 1)}"


if __name__ == "__main__":
    main()
