"""Takes files out of archives that may be anything: nothing leaves the folder, nothing fills the disk."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from segkit.data.prepare.fetch import require_space
from segkit.errors import DatasetError

_CHUNK = 1 << 20
_MAX_FILES = 3_000_000
_MAX_RATIO = 250
_ALWAYS_FINE = 1 << 30
"""Bytes that no archive is refused for, however small it is."""

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
)


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path there.
        size: bytes, unpacked.
        open: its content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, *, below: tuple[str, ...] = (), say: Callable[[int, int], None]) -> int:
    """Unpacks a zip or a tar, compressed or not; files that are there with their size are left as they are.

    Args:
        archive: the file.
        folder: where its files go.
        below: names to take, wherever they lie; all if empty.
        say: told how many bytes of the archive are done, and how many there are.

    Returns:
        The number of files taken.

    Raises:
        DatasetError: it is torn or no archive, a name leads out of the folder, something in it is a link, it would
            unpack to far more than it should, or there is no room.
    """
    taken = total = 0
    size = archive.stat().st_size
    limit = max(_ALWAYS_FINE, _MAX_RATIO * size)
    with _members(archive, folder) as members:
        for position, member in members:
            say(position, size)
            inside = _place(archive, member.name, below)
            if inside is None:
                continue
            taken += 1
            total += member.size
            if total > limit or taken > _MAX_FILES:
                text = f"unpacks to more than {limit / 1e9:.0f} GB or {_MAX_FILES} files; it is no archive to trust"
                raise DatasetError(f"{archive}: {text}")
            target = folder / inside
            if not (target.is_file() and target.stat().st_size == member.size):
                _write(archive, member, target)
    if not taken:
        wanted = f" called {', '.join(below)}" if below else ""
        raise DatasetError(f"{archive}: holds nothing{wanted}; is it another file of that name?")
    return taken


@contextmanager
def _members(archive: Path, folder: Path) -> Iterator[Iterator[tuple[int, Member]]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                require_space(_existing(folder), sum(i.file_size for i in file.infolist()), archive.name)
                yield _of_zip(archive, file)
        else:
            with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
                require_space(_existing(folder), archive.stat().st_size, archive.name)  # what it takes at least
                yield _of_tar(archive, tar, raw)
    except tarfile.ReadError as error:
        with archive.open("rb") as file:
            head = file.read(24)
        page = (
            ", but a web page: a download that needs an account, or a wrong address"
            if head.lstrip()[:1] == b"<"
            else ""
        )
        raise DatasetError(f"{archive}: is no whole zip or tar file{page} ({error})") from None
    except _BROKEN as error:
        raise DatasetError(f"{archive}: is damaged ({error}); delete it and fetch it again") from None
    except OSError as error:
        raise DatasetError(f"{error.filename or archive}: {error.strerror or error}") from None


def _of_zip(archive: Path, file: zipfile.ZipFile) -> Iterator[tuple[int, Member]]:
    for info in file.infolist():
        if info.is_dir():
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DatasetError(f"{archive}: {info.filename} is a link; links are not unpacked")
        if info.flag_bits & 1:
            raise DatasetError(f"{archive}: {info.filename} needs a password")
        yield info.header_offset, Member(info.filename, info.file_size, lambda info=info: file.open(info))  # type: ignore[misc]


def _of_tar(archive: Path, tar: tarfile.TarFile, raw: IO[bytes]) -> Iterator[tuple[int, Member]]:
    for info in tar:
        if info.isdir():
            continue
        if not info.isreg():
            raise DatasetError(f"{archive}: {info.name} is a link or a device; such things are not unpacked")
        yield raw.tell(), Member(info.name, info.size, lambda info=info: tar.extractfile(info))  # type: ignore[misc, arg-type]


def _place(archive: Path, name: str, below: tuple[str, ...]) -> Path | None:
    """Where a member goes below the folder; None if it is not wanted."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DatasetError(f"{archive}: {name!r} leads out of the folder; it is no archive to trust")
    if "__MACOSX" in parts or parts[-1] == ".DS_Store":
        return None
    if not below:
        return Path(*parts)
    start = next((i for i, part in enumerate(parts) if part in below), None)
    return None if start is None else Path(*parts[start:])


def _write(archive: Path, member: Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    done = 0
    with member.open() as source, part.open("wb") as file:
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done > member.size:
                raise DatasetError(f"{archive}: {member.name} is longer than it says; it is no archive to trust")
            file.write(chunk)
    if done != member.size:
        raise DatasetError(
            f"{archive}: {member.name} ends after {done} of {member.size} bytes; fetch the archive again"
        )
    part.replace(target)


def _existing(folder: Path) -> Path:
    """The folder, or what there is above it."""
    return next(path for path in (folder, *folder.resolve().parents) if path.exists())
