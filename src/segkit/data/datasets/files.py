"""From a declared layout to the files of a split: found, paired, and told apart when something is missing."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segkit.config.component import type_name
from segkit.config.datasets import DatasetConfig, Layout, Split
from segkit.config.spelling import hint
from segkit.data.datasets.base import Record
from segkit.data.datasets.missing import stop_or_tell
from segkit.errors import DatasetError, some_of

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".ppm", ".webp")
Files = dict[str, list[Path]]


class Place(NamedTuple):
    """Where the patterns of a layout start, and the words that stand in them.

    Attributes:
        root: the folder.
        layout: the patterns.
        split: name of the split.
        folders: the words for ``{folder}``.
    """

    root: Path
    layout: Layout
    split: str
    folders: Sequence[str]

    def fill(self, pattern: str) -> list[str]:
        """The pattern with its words in place, once for each folder; ``{id}`` stays."""
        words = self.folders if "{folder}" in pattern else self.folders[:1]
        return [pattern.replace("{split}", self.split).replace("{folder}", word) for word in words]

    def first_folder(self) -> Path:
        """The folder of the images, as far as it is no pattern."""
        return self.root / _fixed(self.fill(self.layout.images)[0])

    @property
    def names(self) -> Path | None:
        """The list of the split's samples, if the layout has one."""
        return self.root / self.fill(self.layout.names)[0] if self.layout.names else None

    @property
    def needs_names(self) -> bool:
        """Whether the list alone tells this split from the others."""
        return not any(word in self.layout.images for word in ("{split}", "{folder}"))


def split_facts(config: DatasetConfig, split: str) -> Split:
    """What is known of a split; of one of the user's own, nothing."""
    return config.facts.splits.get(split, Split()) if config.facts else Split()


def find_place(config: DatasetConfig, split: str) -> Place:
    """The first of the data set's layouts whose images are there.

    Raises:
        DatasetError: none is; says what is expected where, and how to get it.
    """
    config.require_root()
    layouts = config.facts.layouts if config.facts else ()
    folders = split_facts(config, split).folders or (split,)
    places = [Place(config.root / inside, layout, split, folders) for layout in layouts for inside in layout.inside]
    there = [place for place in places if place.first_folder().is_dir()]
    if there:
        return there[0]
    if config.facts and split not in config.facts.splits:
        known = config.facts.splits
        text = f"no split {split!r}{hint(split, known)}; it has {', '.join(known)}"
        raise DatasetError(f"{type_name(type(config))}: {text} ({places[0].first_folder()} is missing)")
    expected = " or ".join(dict.fromkeys(place.fill(place.layout.images)[0] for place in places))
    text = f"below dataset.root={config.root} must be {expected}; {config.source}"
    raise DatasetError(f"{places[0].first_folder()} is missing: {text}")


def find_records(config: DatasetConfig, split: str) -> list[Record]:
    """The samples of a split of a published data set, in the order of its list, else by name.

    Raises:
        DatasetError: folders, files or labels are missing, or an id stands for two files.
    """
    return records_at(config, find_place(config, split))


def records_at(config: DatasetConfig, place: Place) -> list[Record]:
    """The samples of a place, likewise."""
    split = place.split
    images = {name: paths[0] for name, paths in find_files(place, [place.layout.images]).items()}
    names = listed(place, images, config)
    labels: Files = {}
    if split_facts(config, split).labelled and place.layout.labels:
        labels = find_files(place, place.layout.labels)
        patterns = [p for pattern in place.layout.labels for p in place.fill(pattern)]
        if not any((place.root / _fixed(p)).is_dir() for p in patterns):
            text = f"it holds the labels of split {split!r}, {patterns[0]}; {config.source}"
            raise DatasetError(f"{place.root / _fixed(patterns[0])} is missing: {text}")
        names = pair(
            config,
            sorted(images) if names is None else names,
            labels,
            where=f"{type_name(type(config))}, split {split!r}",
            pattern=f"{place.root}/{patterns[0]}",
            whole=names is None,
        )
    chosen = sorted(images) if names is None else names
    return [Record(name, images[name], labels[name][0] if name in labels else None) for name in chosen]


def find_files(place: Place, patterns: Iterable[str]) -> Files:
    """Id -> files that fit a pattern, the endings compared without case; the first pattern that finds an id has it.

    Raises:
        DatasetError: two images have one id.
    """
    found: Files = {}
    for pattern in patterns:
        here: Files = {}
        for filled in place.fill(pattern):
            for folder in _folders(place.root, filled):
                _scan(folder, filled.rpartition("/")[2], here)
        found = {**here, **found}
    return found


def _fixed(pattern: str) -> str:
    """The folder of a pattern, up to the first part that varies."""
    parts = pattern.split("/")[:-1]
    varying = [i for i, part in enumerate(parts) if "*" in part or "{" in part]
    return "/".join(parts[: varying[0]] if varying else parts)


def _folders(root: Path, pattern: str) -> list[Path]:
    inner = pattern.rpartition("/")[0]
    return sorted(p for p in root.glob(inner) if p.is_dir()) if "*" in inner else [root / inner]


def _scan(folder: Path, pattern: str, found: Files) -> None:
    """Adds the files of a folder whose names fit ``{id}<ending>``; an ending of ``_*.png`` takes several for an id."""
    ending = pattern.removeprefix("{id}")
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return
    for name in names:
        key = file_id(name, ending)
        if key is None:
            continue
        if key in found and not ending.startswith("_*"):
            raise DatasetError(f"{folder / name} and {found[key][0]} have the same id {key!r}; remove one of them")
        found.setdefault(key, []).append(folder / name)


def file_id(name: str, ending: str) -> str | None:
    """The id in a file's name, None if the name has another ending."""
    low = name.lower()
    if ending == ".*":
        return next((name[: -len(s)] for s in IMAGE_SUFFIXES if low.endswith(s)), None)
    if ending.startswith("_*"):
        return name.partition("_")[0] if low.endswith(ending[2:].lower()) and "_" in name else None
    if ending == ".jpg" and low.endswith(".jpeg"):
        return name[:-5]
    return name[: -len(ending)] if low.endswith(ending.lower()) else None


def listed(place: Place, images: Mapping[str, Path], config: DatasetConfig) -> list[str] | None:
    """The ids that the split's list names, each with an image; None if there is no list and needs to be none.

    Raises:
        DatasetError: the list is missing where nothing else tells splits apart, or names an id twice or without image.
    """
    path = place.names
    if path is None or not path.is_file():
        if path is None or not place.needs_names:
            return None
        raise DatasetError(f"{path} is missing: it lists the ids of split {place.split!r}{_other_lists(path, place)}")
    ending = place.layout.images.rpartition("/")[2].removeprefix("{id}")
    names = [_id_of(line, ending, place.layout.id_width) for line in read_names(path)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        text = f"names {some_of(twice)} more than once; to see samples more often, set dataset.repeat_times"
        raise DatasetError(f"{path}: {text}")
    missing = [name for name in names if name not in images]
    if missing:
        text = f"{len(missing)} of {len(names)} images that {path} names are not in {place.first_folder()}"
        stop_or_tell(config, f"{text}: {some_of(missing)}{hint(missing[0], images)}", missing)
    return [name for name in names if name in images]


def _other_lists(path: Path, place: Place) -> str:
    pattern = place.layout.names.rpartition("/")[2].replace("{split}", "*").replace("{folder}", "*")
    there = [p.name for p in sorted(path.parent.glob(pattern))]
    aug = "; trainaug.txt comes with SBD's labels, the official list is train_split=train"
    return (aug if place.split == "trainaug" else "") + (f"; lists there: {', '.join(there)}" if there else "")


def _id_of(line: str, ending: str, width: int) -> str:
    """The id of a line of a list, which may hold a path, the whole file name, or less of it."""
    name = line.replace("\\", "/").rpartition("/")[2]
    bare = file_id(name, ending) or file_id(name, ".*") or name
    stem = ending.rpartition(".")[0]
    return (bare.removesuffix(stem) if stem else bare).zfill(width)


def read_names(path: Path) -> list[str]:
    """The lines of a split file: the first column of each, blank lines left out; zeros in front are kept."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.replace(",", " ").split()[0] for line in lines if line.strip(" ,")]


def pair(
    config: DatasetConfig,
    names: Sequence[str],
    labels: Mapping[str, object],
    *,
    where: str,
    pattern: str,
    whole: bool,
    strict: bool = True,
) -> list[str]:
    """The names that have a label.

    Args:
        config: the options.
        names: ids of the images.
        labels: by id.
        where: what is looked at, for messages.
        pattern: what a label's file is called, with ``{id}``.
        whole: the names are all images that there are, so that labels without an image are told, too.
        strict: labels without an image are a mistake, as in an archive that was not unpacked to its end.

    Raises:
        DatasetError: something is missing, and ``on_error`` is raise.
    """
    bare = [name for name in names if name not in labels]
    chosen = set(names)
    orphans = [name for name in labels if name not in chosen] if whole else []
    told, cases = [], []
    if bare:
        near = hint(bare[0], orphans or labels)
        wanted = [pattern.replace("{id}", name) for name in bare]
        told.append(f"{len(bare)} of {len(names)} images have no label: {some_of(wanted)}{near}")
        cases += wanted
    if orphans:
        told.append(f"{len(orphans)} of {len(labels)} labels have no image: {some_of(orphans)}")
        cases += [f"{name}, a label" for name in orphans]
    if told:
        stop_or_tell(config, f"{where}: {'; '.join(told)}", cases, strict=bool(bare) or strict)
    return [name for name in names if name in labels]
