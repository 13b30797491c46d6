"""How facts of published data sets are written down: splits, layouts, label values, submissions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

LabelTable = Mapping[int, int | Literal["ignore"]]
"""Value in the label files -> class id, or ignore."""


class Split(NamedTuple):
    """One part of a published data set.

    Attributes:
        images: how many there are, as published; None where nobody says.
        folders: the words that stand for ``{folder}`` in its paths; none means the split's name.
        labelled: whether its labels are public; else it serves predictions and submissions.
    """

    images: int | None = None
    folders: tuple[str, ...] = ()
    labelled: bool = True


class Layout(NamedTuple):
    """Where files lie below the root.

    In patterns, ``{split}`` is the split's name, ``{folder}`` its word in paths, ``{id}`` the sample's id; ``*`` is any
    folder, and as a suffix any image's.

    Attributes:
        images: pattern of the images.
        labels: patterns of the labels; the first that exists counts.
        names: pattern of the list that says which images belong to a split. Where ``images`` tells splits apart by
            itself, the list may be missing.
        inside: folders below the root where all this may start; the first that exists counts.
        id_width: ids in lists are filled up with zeros to this width.
    """

    images: str
    labels: tuple[str, ...]
    names: str = ""
    inside: tuple[str, ...] = ("",)
    id_width: int = 0


class Submission(NamedTuple):
    """What a benchmark wants to be sent.

    Attributes:
        files: pattern of the files' names, with ``{name}`` of the sample and ``{split}``.
        values: ``raw`` writes the values of the data set's label files, ``classes`` the class ids.
        palette: PNGs with the classes' colours as their palette, for eyes; values stay the same.
    """

    files: str = "{name}.png"
    values: Literal["raw", "classes"] = "raw"
    palette: bool = False


PLAIN = Submission()


@dataclass(frozen=True)
class Facts:
    """What is known of a published data set."""

    splits: Mapping[str, Split]
    """Name -> facts of the split."""
    layouts: tuple[Layout, ...]
    """Ways that its files lie; the first whose image folder exists is taken."""
    label_map: LabelTable
    """What the values of its label files mean."""
    submission: Submission = PLAIN
    """What its benchmark wants."""


def identity(num_classes: int, *ignored: int) -> dict[int, int | Literal["ignore"]]:
    """0 to K - 1 stand for themselves; ``ignored`` values are ignored."""
    return {**{i: i for i in range(num_classes)}, **dict.fromkeys(ignored, "ignore")}


def from_one(num_classes: int, *ignored: int) -> dict[int, int | Literal["ignore"]]:
    """1 to K stand for classes 0 to K - 1; 0 and further ``ignored`` values are ignored."""
    return {**dict.fromkeys((0, *ignored), "ignore"), **{i + 1: i for i in range(num_classes)}}


_LEFT = re.compile(r"(?<![a-zA-Z])left(?![a-z])|Left(?![a-z])|LEFT")
_RIGHT = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}


def mirrored_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Ids of classes that trade places in a mirror: names that differ in left and right alone."""
    at = {name: i for i, name in enumerate(names)}
    partners = ((i, at.get(_LEFT.sub(lambda found: _RIGHT[found[0]], name))) for i, name in enumerate(names))
    return tuple((i, other) for i, other in partners if other is not None and other != i)
