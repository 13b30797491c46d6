"""How a data set is prepared, as data: which archives, and what is done with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Archive(NamedTuple):
    """A file to have.

    Attributes:
        name: its file name; with ``*`` any number of files, in folders as the pattern says.
        url: where it can be downloaded without an account; "" if the user has to fetch it.
        digest: as published, ``md5:...`` or ``sha1:...``; "" where nobody says.
        size: bytes, as published; 0 where nobody says.
        others: further names under which people have it.
        optional: whether the recipe works without it.
    """

    name: str
    url: str = ""
    digest: str = ""
    size: int = 0
    others: tuple[str, ...] = ()
    optional: bool = False


class Unpack(NamedTuple):
    """Takes files out of an archive.

    Attributes:
        archive: its name.
        below: names of files and folders to take, at whatever depth they lie; what is above them is left out, and so is
            all else. None of them takes all.
        to: the folder below the root that they go to; ``.work`` and what is below it is thrown away in the end.
    """

    archive: str
    below: tuple[str, ...] = ()
    to: str = ""


Say = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""


class Place(NamedTuple):
    """Where a conversion reads and writes.

    Attributes:
        root: of the data set.
        work: what was unpacked to ``.work``.
        say: tells of the progress.
    """

    root: Path
    work: Path
    say: Say


class Convert(NamedTuple):
    """Makes files from others; what is there already is not made again.

    Attributes:
        what: in a few words; unique in the recipe.
        function: does it.
    """

    what: str
    function: Callable[[Place], None]


@dataclass(frozen=True)
class Recipe:
    """A data set.

    Attributes:
        name: on the command line.
        type: of the data set's config.
        page: where it is described, and to be fetched by hand.
        terms: who may use it for what; whether an account is needed.
        archives: what to have.
        steps: what to do.
        splits: what is there in the end.
    """

    name: str
    type: str
    page: str
    terms: str
    archives: tuple[Archive, ...]
    steps: Sequence[Unpack | Convert]
    splits: tuple[str, ...] = ("train", "val")

    @property
    def by_hand(self) -> tuple[Archive, ...]:
        """What the user has to fetch."""
        return tuple(archive for archive in self.archives if not archive.url and not archive.optional)
