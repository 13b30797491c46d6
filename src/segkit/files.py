"""Files that are whole or not there, wherever a process is killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a small file, and makes its folder; ``path`` holds the old content or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)


@contextmanager
def whole_file(path: Path, suffix: str | None = None) -> Iterator[Path]:
    """For writers that want a path: a temporary one, whose file becomes ``path`` if the block ends well.

    Args:
        path: of the file; its folder is made.
        suffix: of the temporary path, by which many writers choose the format; that of ``path`` by default.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix if suffix is None else suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
