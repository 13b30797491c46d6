"""Files that a split should have and has not: a reason to stop, to go on without them, or to be put on a list."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

from segkit.config.datasets import DatasetConfig
from segkit.errors import DatasetError

logger = logging.getLogger(__name__)

WAY_OUT = "mend it, or go on without them with dataset.on_error=skip"


class Missing(NamedTuple):
    """What a split lacks.

    Attributes:
        severity: an error stops a training.
        message: how many, and the first of them.
        names: all of them.
    """

    severity: Literal["error", "warning"]
    message: str
    names: tuple[str, ...]


_list: ContextVar[list[Missing] | None] = ContextVar("missing", default=None)


@contextmanager
def gather_missing() -> Iterator[list[Missing]]:
    """Within it, data sets are made of the files that are there, and what is missing is put on the list."""
    found: list[Missing] = []
    token = _list.set(found)
    try:
        yield found
    finally:
        _list.reset(token)


def stop_or_tell(config: DatasetConfig, text: str, names: Sequence[str], *, strict: bool = True) -> None:
    """Stops on files that are missing, or tells of them where ``on_error`` is skip.

    Args:
        config: the options.
        text: what is missing.
        names: of the files.
        strict: it is a mistake; else it may be as it should, and never stops.

    Raises:
        DatasetError: it is a mistake, ``on_error`` is raise, and nobody gathers what is missing.
    """
    gathered = _list.get()
    if gathered is not None:
        gathered.append(Missing("error" if strict else "warning", text, tuple(names)))
    elif not strict:
        logger.warning("%s", text)
    elif config.on_error == "raise":
        raise DatasetError(f"{text}; {WAY_OUT}")
    else:
        logger.warning("%s; they are left out", text)
