"""Where each process is, in a file that outlives it: the launcher reads it when the process can say nothing more."""

import mmap
from collections.abc import Mapping
from pathlib import Path

NOTES = "SEGKIT_NOTES"
"""Variable that tells the processes in which folder to note where they are."""
_BYTES = 128


class Note:
    """A line of text in a file; to write it costs a microsecond, and it is there even if the process is killed next.

    Args:
        file: made anew.
    """

    def __init__(self, file: Path) -> None:
        with file.open("w+b") as opened:
            opened.truncate(_BYTES)
            self._map = mmap.mmap(opened.fileno(), _BYTES)

    def write(self, text: str) -> None:
        """Replaces the text, of which the first 128 bytes count."""
        self._map[:] = text.encode()[:_BYTES].ljust(_BYTES, b"\0")


def read_notes(folder: Path) -> dict[int, str]:
    """Where the processes of this machine are, by rank, as far as they have started."""
    notes = {int(file.name): file.read_bytes().rstrip(b"\0").decode(errors="ignore") for file in folder.glob("[0-9]*")}
    return {rank: notes[rank] for rank in sorted(notes) if notes[rank]}


def describe(places: Mapping[int, str]) -> str:
    """Where processes are, as in "process 0: step 3, process 1: step 3"."""
    return ", ".join(f"process {rank}: {places[rank]}" for rank in sorted(places))
