"""What the commands that look at a whole data set have in common: which one, and reading it behind a bar."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segkit.config.compose import compose
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import DatasetError

if TYPE_CHECKING:
    from segkit.data.survey import Survey


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which data set, and how fast to read it."""
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="OVERRIDE",
        help="as of segkit-train: +experiment=NAME, or dataset=NAME dataset.root=FOLDER",
    )
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="a folder with options of your own")
    parser.add_argument("--splits", nargs="+", metavar="SPLIT", help="default: those of training and validation")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core, for large sets")


def composed(args: argparse.Namespace) -> SegmentorConfig:
    """The configuration, its data folder present.

    Raises:
        ConfigError: with every mistake.
        DatasetError: there is no such folder.
    """
    config = compose(args.overrides, args.config_dir, training=False)
    config.dataset.require_root()
    return config


def survey(config: SegmentorConfig, splits: Sequence[str] | None, workers: int | None) -> "dict[str, Survey]":
    """Looks at every sample that is there.

    Args:
        config: names the data set.
        splits: which; by default those of training and validation.
        workers: processes; None takes as many as pay off.

    Returns:
        Split name -> what was found.

    Raises:
        DatasetError: a folder or all samples are missing, or a process died.
    """
    from segkit.data.look import look_through, useful_workers

    names = splits or [config.dataset.train_split, config.dataset.val_split]
    found = {name: _open(config, name) for name in dict.fromkeys(names)}
    with progress() as bar:
        for name, seen in found.items():
            dataset = seen.found.dataset
            count = len(dataset)
            task = bar.add_task(name, total=count)
            processes = useful_workers(count) if workers is None else workers
            for look in look_through(dataset, range(count), workers=processes, thorough=True):
                seen.add(look)
                bar.advance(task)
    return found


def _open(config: SegmentorConfig, split: str) -> "Survey":
    """A split of which nothing was looked at yet."""
    from segkit.data.datasets.missing import gather_missing
    from segkit.data.survey import Survey
    from segkit.registry import DATASETS

    with gather_missing() as missing:
        try:
            return Survey.of(split, DATASETS.build(config.dataset, split), missing)
        except DatasetError as error:
            raise DatasetError("\n".join([*(m.message for m in missing), str(error)])) from None


def progress() -> Progress:
    """A bar on stderr, gone when it is done; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def plural(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
