"""What the values of label files mean: classes, their names, what is ignored."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from segkit.data.io import read_color_label, read_label
from segkit.data.labels import MAX_CLASSES
from segkit.errors import ColorLabelError, DatasetError
from segkit.types import IGNORE_INDEX

_NAMES = (
    "classes.txt",
    "labels.txt",
    "class_names.txt",
    "names.txt",
    "label_colors.txt",
    "labelmap.txt",
    "class_dict.csv",
    "classes.csv",
)
_MAX_COLORS = 64
_READ = 400
"""Labels to look at; ``segkit-data check`` looks at all."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Meaning:
    """What label values mean, as fields of a FolderDataset.

    Attributes:
        class_names: in the order of their ids.
        label_map: value -> id or ignore; None where values are ids.
        colors: of each class, for colour-coded labels; None else.
        ignore_colors: colours that do not count.
        notes: what the user should know.
    """

    class_names: tuple[str, ...]
    label_map: Mapping[int, int | str] | None = None
    colors: tuple[Color, ...] | None = None
    ignore_colors: tuple[Color, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class NamedClass:
    """A line of a file of class names."""

    name: str
    value: int | None = None
    color: Color | None = None


@dataclass
class _Seen:
    values: Counter[int] = field(default_factory=Counter)
    colors: Counter[int] = field(default_factory=Counter)


def understand(root: Path, labels: Sequence[Path]) -> Meaning:
    """Reads labels, and a file of class names if there is one.

    Args:
        root: the folder where such a file may be.
        labels: label files.

    Raises:
        DatasetError: a label cannot be read, or has too many values or colours for classes.
    """
    named = read_names(root)
    step = max(1, len(labels) // _READ)
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(_look, labels[::step]))
    seen = _Seen(sum((s.values for s in looks), Counter()), sum((s.colors for s in looks), Counter()))
    if seen.colors and seen.values:
        mixed = next(path for path, s in zip(labels[::step], looks, strict=True) if s.colors)
        grey = next(path for path, s in zip(labels[::step], looks, strict=True) if s.values)
        if not set(seen.values) <= {0, 255}:  # a mask without any class is black, so grey, among colours
            raise DatasetError(f"{mixed} is a mask of colours, but {grey} one of class ids; use one kind")
    return _of_colors(seen, named) if seen.colors else _of_values(sorted(seen.values), named)


def _look(path: Path) -> _Seen:
    try:
        values, counts = np.unique(read_label(path), return_counts=True)
        if len(values) > MAX_CLASSES:
            raise DatasetError(
                f"{path}: has {len(values)} values, too many for classes; is it a photograph or a depth map?"
            )
        return _Seen(values=Counter(dict(zip(values.tolist(), counts.tolist(), strict=True))))
    except ColorLabelError:
        packed = read_color_label(path).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        colors, counts = np.unique(packed, return_counts=True)
        if len(colors) > MAX_CLASSES:
            text = "too many for classes; was it saved with blurred edges (JPEG, resized), or is it a photograph?"
            raise DatasetError(f"{path}: has {len(colors)} colours, {text}") from None
        return _Seen(colors=Counter(dict(zip(colors.tolist(), counts.tolist(), strict=True))))


def read_names(root: Path) -> list[NamedClass]:
    """The classes that a file in the folder lists: a name a line, with a value before it or a colour beside it."""
    path = next((root / name for name in _NAMES if (root / name).is_file()), None)
    if path is None:
        return []
    found = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        words = [word for word in re.split(r"[\s,:;]+", line.strip()) if word]
        if not words or line.lstrip().startswith("#") or [w.lower() for w in words[:4]] == ["name", "r", "g", "b"]:
            continue
        numbers = [int(word) for word in words if word.isdecimal()]
        name = " ".join(word for word in words if not word.isdecimal()) or line.strip()
        color = (numbers[-3], numbers[-2], numbers[-1]) if len(numbers) in (3, 4) else None
        found.append(NamedClass(name, numbers[0] if len(numbers) in (1, 4) and name != line.strip() else None, color))
    return found


def _of_values(values: Sequence[int], named: Sequence[NamedClass]) -> Meaning:
    if named and all(n.value is not None for n in named):
        return _of_listed(values, named)
    if set(values) <= {0, IGNORE_INDEX} and IGNORE_INDEX in values:
        notes = ("masks of 0 and 255: 255 is the class, 0 the background",)
        return Meaning(_two(named), {0: 0, IGNORE_INDEX: 1}, notes=notes)
    classes = [v for v in values if v != IGNORE_INDEX or _evenly(values)]
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"the labels have {len(classes)} values in all, too many for classes")
    ids = range(len(named) or max(classes, default=0) + 1)
    if set(classes) <= set(ids) and (named or len(classes) > len(ids) // 2):
        names = [n.name for n in named] or [f"class_{i}" for i in ids]
        yes_no = len(names) == 1 or (set(classes) <= {0, 1} and not named)
        return Meaning(_two(named) if yes_no else tuple(names))
    table: dict[int, int | str] = {value: i for i, value in enumerate(classes)}
    if IGNORE_INDEX in values and IGNORE_INDEX not in classes:
        table[IGNORE_INDEX] = "ignore"
    return _renumbered(classes, table, named)


def _renumbered(classes: Sequence[int], table: dict[int, int | str], named: Sequence[NamedClass]) -> Meaning:
    shown = ", ".join(map(str, classes))
    if len(named) == len(classes):
        return Meaning(tuple(n.name for n in named), table, notes=(f"values {shown} are the classes, in this order",))
    if len(named) == len(classes) - 1 and classes[0] == 0:
        names = ("background", *(n.name for n in named))
        if list(classes) == list(range(len(classes))):
            table = {}
        note = "0 has no name and became the background; `0: ignore` in label_map would leave it out instead"
        return Meaning(names, table or None, notes=(note,))
    if named:
        raise DatasetError(
            f"the list of classes has {len(named)} names, but the labels have {len(classes)} values ({shown}); "
            "write the value before each name, as in `7 road`"
        )
    return Meaning(tuple(f"value_{v}" for v in classes), table, notes=(f"values {shown} are the classes",))


def _of_listed(values: Sequence[int], named: Sequence[NamedClass]) -> Meaning:
    if len(named) == 1 and named[0].value != 0:
        named = [NamedClass("background", 0), *named]
    table: dict[int, int | str] = {n.value: i for i, n in enumerate(named) if n.value is not None}
    others = [v for v in values if v not in table]
    table |= dict.fromkeys(others, "ignore")
    names = tuple(n.name for n in named)
    notes = (
        (f"values without a name are ignored: {', '.join(map(str, others))}",) if set(others) - {IGNORE_INDEX} else ()
    )
    identity = all(value == new for value, new in table.items() if isinstance(new, int))
    default = identity and set(others) <= {IGNORE_INDEX} and len(names) > 1
    return Meaning(names, None if default else dict(sorted(table.items())), notes=notes)


def _of_colors(seen: _Seen, named: Sequence[NamedClass]) -> Meaning:
    colors = sorted(seen.colors | Counter({v << 16 | v << 8 | v: 1 for v in seen.values}))
    if len(colors) > MAX_CLASSES:
        raise DatasetError(f"the labels have {len(colors)} colours in all, too many for classes")
    unpacked = [(c >> 16, c >> 8 & 255, c & 255) for c in colors]
    listed = [(n.name, n.color) for n in named if n.color is not None]
    if listed:
        ignored = tuple(c for c in unpacked if c not in {color for _, color in listed})
        notes = (f"colours without a name are ignored: {', '.join(map(str, ignored))}",) if ignored else ()
        return Meaning(tuple(n for n, _ in listed), None, tuple(c for _, c in listed), ignored, notes)
    if len(named) == len(unpacked):
        names = tuple(n.name for n in named)
        notes = ("which name has which colour is a guess (sorted): look at the overlays",)
    else:
        names = tuple("background" if c == (0, 0, 0) else "color_{:02x}{:02x}{:02x}".format(*c) for c in unpacked)
        notes = (f"masks of {len(unpacked)} colours; give the classes their names in class_names",)
    return Meaning(names, None, tuple(unpacked), notes=notes)


def _two(named: Sequence[NamedClass]) -> tuple[str, ...]:
    names = tuple(n.name for n in named)
    return names if len(names) == 2 else ("background", *(names or ("foreground",)))[:2]


def _evenly(values: Sequence[int]) -> bool:
    """Whether classes were spread over 0 to 255 to be seen: 0, 127, 255, so that 255 is one of them."""
    steps = {b - a for a, b in pairwise(values)}
    return len(values) > 2 and max(steps) - min(steps) <= 1
