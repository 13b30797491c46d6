"""Turns a folder of images and masks into a data set and an experiment, ready to train."""

import argparse
import re
from pathlib import Path

from segkit.config import store
from segkit.errors import ConfigError, DatasetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds images and masks, in whatever folders")
    parser.add_argument(
        "--config-dir", type=Path, default=Path("segkit_options"), metavar="FOLDER", help="default: segkit_options"
    )
    parser.add_argument("--name", help="of the data set and the experiment; default: the folder's name")
    parser.add_argument(
        "--val-share", type=float, default=0.2, metavar="X", help="of a split that is not there yet (default 0.2)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> None:
    """Writes the files, and tells what was found."""
    if not args.folder.is_dir():
        raise DatasetError(f"no folder {args.folder}")
    if not 0 < args.val_share < 1:
        raise ConfigError(f"--val-share must be between 0 and 1 (got {args.val_share:g})")
    name = _name(args)
    from segkit.data.own.images import look_at_images
    from segkit.data.own.meaning import understand
    from segkit.data.own.pairs import find_pairs
    from segkit.data.own.write import OwnData, write_options

    root = args.folder
    found = find_pairs(root, val_share=args.val_share)
    pairs = [pair for split in found.splits.values() for pair in split]
    meaning = understand(root, [root / pair.label for pair in pairs])
    images = look_at_images([root / pair.image for pair in pairs])
    data = OwnData(name, root, found.splits, meaning, images)
    files = write_options(data, args.config_dir, force=args.force)
    counts = ", ".join(f"{len(split)} {name}" for name, split in found.splits.items())
    print(f"images:   {counts}; {images.channels} channels, median {images.size[0]} x {images.size[1]}")
    print(f"classes:  {', '.join(meaning.class_names)}")
    print(
        *(f"note:     {note}" for note in (*found.notes, *meaning.notes)),
        sep="\n",
        end="\n" * bool(found.notes + meaning.notes),
    )
    print(*(f"wrote:    {path}" for path in files), sep="\n")
    options = f"--config-dir {args.config_dir} +experiment={name}"
    print(f"check:    segkit-data check {options}")
    print(f"look:     segkit-data inspect {options}")
    print(f"train:    segkit-train {options}")


def _name(args: argparse.Namespace) -> str:
    """Of the options; a valid file name that is no option of segkit's own."""
    name = args.name or re.sub(r"\W+", "_", args.folder.resolve().name.lower()).strip("_") or "mine"
    if not re.fullmatch(r"\w+", name):
        raise ConfigError(f"--name must be letters, digits and _ (got {name!r})")
    if name in store.options("dataset") or name in store.options("experiment"):
        raise ConfigError(f"{name!r} is an option of segkit's own; choose another --name")
    return name
