"""What a user can cause and mend; everything else is a bug and keeps its traceback."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class SegkitError(Exception):
    """A mistake in the input. The command line prints its message alone and exits with ``exit_code``."""

    exit_code: int = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration.

    Attributes:
        path: the dotted config path, "" for the configuration as a whole.
        message: what is wrong and what is allowed.
        origin: where the value was set ("on the command line", a file), "" if unknown.
    """

    path: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        origin = f" [set {self.origin}]" if self.origin else ""
        return f"{where}{self.message}{origin}"


class ConfigError(SegkitError):
    """A configuration that cannot be built; holds every problem found, one line each."""

    def __init__(self, problems: str | Sequence[Problem]) -> None:
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DatasetError(SegkitError):
    """Data that is missing, unreadable or does not fit its description; names the file."""


class ColorLabelError(DatasetError):
    """A label file of colours where class ids were expected.

    Attributes:
        path: the file.
    """

    def __init__(self, message: str, path: Path) -> None:
        self.path = path
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, Path]]:  # with both arguments, over to another process
        return type(self), (str(self), self.path)


class UnknownColorError(DatasetError):
    """A colour-coded label file with colours of no class."""


class SizeMismatchError(DatasetError):
    """An image and its label differ in height or width."""


class CheckpointError(SegkitError):
    """A checkpoint or weights file that is missing, torn, foreign or of another model."""


class ExportError(SegkitError):
    """A model that a format cannot hold, a file that does something else, or a package that is missing."""


class TrainingError(SegkitError):
    """Training cannot go on (non-finite loss, a dead or stuck rank); names step and last checkpoint."""


class TrainingStopped(SegkitError):  # noqa: N818 - a stop on request is no error
    """A signal ended the training after a step, and its state is saved; exits as a process killed by that signal."""

    def __init__(self, message: str, exit_code: int = 143) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class SweepError(SegkitError):
    """A sweep that cannot be started or found, or of which jobs failed; 1 if one failed for a reason of its own."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def some_of(words: Sequence[str], most: int = 5, *, between: str = ", ") -> str:
    """The first ``most`` of many names, values or lines, and how many more there are; for messages."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more
