"""Prepares a published data set: downloads or takes its archives, unpacks and converts them, and checks the result."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segkit.config.component import CONFIGS
from segkit.errors import DatasetError

if TYPE_CHECKING:
    from segkit.data.prepare.recipe import Recipe

_SCANNED = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", nargs="?", help="of the data set")
    parser.add_argument("--list", action="store_true", help="show the data sets, their terms and archives")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where it goes; default: where its configuration looks"
    )
    parser.add_argument(
        "--archives", type=Path, metavar="DIR", help="where archives are, and go; default: archives/ in the root"
    )
    parser.add_argument(
        "--mirror", default="", metavar="URL", help="fetch the archives, by their names, from below this address"
    )


def run(args: argparse.Namespace) -> None:
    """Prepares it, and prints what to train it with."""
    from segkit.data.prepare.recipes import RECIPES, find_recipe

    if args.list:
        _list(list(RECIPES.values()))
        return
    if args.name is None:
        raise DatasetError("which data set? segkit-data prepare --list shows all")
    recipe = find_recipe(args.name)
    config = CONFIGS["dataset"][recipe.type]
    root = args.root if args.root is not None else config().root
    from segkit.data.prepare.run import STATE, prepare

    try:
        with _bar() as say:
            prepare(recipe, root, archives=args.archives, mirror=args.mirror, say=say, warn=_warn)
    except OSError as error:
        raise DatasetError(f"{error.filename or root}: {error.strerror or error}") from None
    try:
        _check(recipe, root)
    except DatasetError as error:
        raise DatasetError(f"{error}\nto unpack and convert all again, delete {root / STATE}") from None
    print(next_command(recipe, root))


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _check(recipe: "Recipe", root: Path) -> None:
    """Counts the images of each split, and looks at some of them.

    Raises:
        DatasetError: files are missing, or labels are not as they should be.
    """
    from segkit.data.scan import scan_labels
    from segkit.registry import DATASETS

    config = CONFIGS["dataset"][recipe.type](root=root)
    for split in recipe.splits:
        dataset = DATASETS.build(config, split)
        report = scan_labels(dataset, _SCANNED)
        report.require_clean()
        wanted = _published(config, split)
        told = f", but {wanted} are published" if wanted and wanted != len(dataset) else ""
        print(f"{split}: {len(dataset)} images{told}; {report.samples} looked at")


def _published(config: object, split: str) -> int:
    facts = getattr(config, "facts", None)
    return (facts.splits[split].images or 0) if facts is not None and split in facts.splits else 0


def next_command(recipe: "Recipe", root: Path) -> str:
    """What to do with the data set: a published recipe if there is one, else its options, else its type."""
    from segkit.config import store

    config = CONFIGS["dataset"][recipe.type]()
    name = recipe.name.removesuffix("aug")
    experiments = sorted(e for e in store.options("experiment") if e.rpartition("_")[2] == name)
    ready = sorted(o for o in store.options("dataset") if o.rpartition("_")[0] == name)
    chosen = [e for e in experiments if e.startswith("pspnet")] or experiments
    option = f"+experiment={chosen[0]}" if chosen else f"dataset={ready[0] if ready else recipe.type}"
    words = [option, f"dataset.root={root}"]
    if recipe.splits == ("val",):
        return f"to evaluate: segkit-test CHECKPOINT {' '.join(w for w in words if not w.startswith('+'))}"
    if recipe.splits != (config.train_split, config.val_split):
        words += [f"dataset.train_split={recipe.splits[0]}", f"dataset.val_split={recipe.splits[1]}"]
    if not (chosen or ready):
        return f"to use: {' '.join(words)}, and train_transforms of your own"
    return f"to train: segkit-train {' '.join(words)}"


def _list(recipes: "list[Recipe]") -> None:
    table = Table(title="Data sets", title_justify="left")
    for column in ("name", "archives", "terms", "page"):
        table.add_column(column, overflow="fold")
    for recipe in recipes:
        archives = "\n".join(f"{a.name}{'' if a.url else ' (by hand)'}" for a in recipe.archives)
        table.add_row(recipe.name, archives, recipe.terms, recipe.page)
    Console().print(table)


class _bar:  # noqa: N801 - used like a function
    """Shows a line for each thing being done on stderr; without a terminal, one when it begins."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.tasks: dict[str, object] = {}

    def __enter__(self) -> "Callable[[str, int, int], None]":
        self.progress.start()
        return self.say

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def say(self, what: str, done: int, total: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.progress.add_task(what)
            if not self.console.is_terminal:
                self.console.print(what, highlight=False, soft_wrap=True)
        self.progress.update(self.tasks[what], completed=done, total=total or None)  # type: ignore[arg-type]
