"""Decoded files kept in memory-mapped files: shared by all processes and runs, bounded, never half-written.

An entry is found by path, time and size of its source, so a changed file has a new one. It is written under another
name and renamed. Nothing is removed while it is in use: once the cache is full, further files are decoded each time,
since an order that visits every file once an epoch would push each entry out just before it is needed again. Entries
that this run has not used make room.
"""

import atexit
import hashlib
import logging
import math
import mmap
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: several processes may then pass the bound a little
    fcntl = None  # type: ignore[assignment]

from segkit.config.cache import CacheConfig
from segkit.data.io import Array
from segkit.errors import ConfigError

logger = logging.getLogger(__name__)

_SHARED_MEMORY = Path("/dev/shm")
_MAGIC = b"segkit01"
_TRAILER = struct.Struct("<8s8sQQQ")
"""Magic, dtype and shape. At the end, where the zeros of a file that lost its data in a power cut are no magic."""
_STALE_S = 3600.0


def open_cache(config: CacheConfig) -> "DecodedCache | None":
    """The cache that the options ask for, None for none.

    Raises:
        ConfigError: its folder cannot be made, or there is no shared memory.
    """
    if config.where == "none":
        return None
    if config.where == "ram" and not _SHARED_MEMORY.is_dir():
        raise ConfigError(f"dataset.cache.where: this machine has no {_SHARED_MEMORY}; use disk")
    if config.where == "ram":
        return _opened(_SHARED_MEMORY / f"segkit-{os.getuid()}", config.max_gb, temporary=True)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return _opened((config.folder or home / "segkit" / "decoded").absolute(), config.max_gb, temporary=False)


@cache
def _opened(folder: Path, max_gb: float, *, temporary: bool) -> "DecodedCache":
    """One for each process, however many splits use it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = DecodedCache(folder, int(max_gb * 1e9))
        opened.recount()
    except OSError as error:
        raise ConfigError(f"dataset.cache: {folder} cannot be used ({error.strerror})") from None
    if temporary:
        _remove_at_exit(folder)
    return opened


class DecodedCache:
    """Arrays by the files that they were decoded from.

    Args:
        folder: of the entries; it exists.
        max_bytes: bound of their sizes together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.started = time.time()
        self.full = False

    def __call__(self, decode: Callable[[], Array], path: Path, *variant: object) -> Array:
        """What ``decode`` makes of a file, from the cache if it is there. The result may be written to.

        Args:
            decode: reads the file; (H, W) or (H, W, C).
            path: the file.
            variant: further arguments that the result depends on.
        """
        try:
            facts = path.stat()
        except OSError:
            return decode()  # which words the error
        key = repr((str(path.absolute()), facts.st_mtime_ns, facts.st_size, variant))
        name = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()
        entry = self.folder / name[:2] / name[2:]
        found = self._load(entry)
        if found is not None:
            return found
        array = decode()
        if not self.full:
            try:
                self._store(entry, array)
            except OSError as error:
                self.full = True
                if self.folder.exists():  # else the last process has just removed it
                    logger.warning("%s: nothing more is kept there (%s)", self.folder, error.strerror)
        return array

    def recount(self) -> None:
        """Counts what is there, and removes what killed processes have left half-written."""
        with self._counter() as count:
            total = 0
            for path, facts in self._entries():
                if path.suffix and facts.st_mtime < time.time() - _STALE_S:
                    path.unlink(missing_ok=True)
                else:
                    total += facts.st_size
            count(total - count(0))

    def _load(self, entry: Path) -> Array | None:
        try:
            with entry.open("rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_size <= _TRAILER.size:
                    return None
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            if facts.st_mtime < self.started:
                os.utime(entry)  # in use: it does not make room for others
        except OSError:
            return None
        magic, kind, *shape = _TRAILER.unpack(memory[-_TRAILER.size :])
        if magic != _MAGIC:
            return None
        dtype, length = np.dtype(kind.rstrip(b"\0").decode()), math.prod(n for n in shape if n)
        if length * dtype.itemsize + _TRAILER.size != facts.st_size:
            return None
        return np.frombuffer(memory, dtype, length).reshape([n for n in shape if n])

    def _store(self, entry: Path, array: Array) -> None:
        size = array.nbytes + _TRAILER.size
        with self._counter() as count:
            short = count(0) + size - self.max_bytes
            if short > 0 and self._make_room(short, count) < short:
                self.full = True
                return
            count(size)
        written = False
        try:
            written = not entry.exists()
            if written:
                _write(entry, array)
        except OSError:
            written = False
            raise
        finally:
            if not written:
                with self._counter() as count:
                    count(-size)

    def _make_room(self, needed: int, count: Callable[[int], int]) -> int:
        """Removes entries that this run has not used, the longest unused first; returns the bytes freed."""
        old = [
            (facts.st_mtime, facts.st_size, path) for path, facts in self._entries() if facts.st_mtime < self.started
        ]
        freed = 0
        for _, size, path in sorted(old):
            if freed >= max(needed, self.max_bytes // 20):  # some more, so that it is not looked for at every file
                break
            with suppress(OSError):
                path.unlink()
                freed += size
        count(-freed)
        return freed

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("??/*"):
            with suppress(FileNotFoundError):
                yield path, path.stat()

    @contextmanager
    def _counter(self) -> Iterator[Callable[[int], int]]:
        """The bytes in use, held against other processes: a function that adds to them and returns the sum."""
        with os.fdopen(os.open(self.folder / "used", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            if fcntl is not None:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            text = file.read()
            used = [int(text) if text.isdigit() else 0]

            def add(change: int) -> int:
                used[0] = max(used[0] + change, 0)
                return used[0]

            yield add
            file.seek(0)
            file.truncate()
            file.write(str(used[0]))


def _write(entry: Path, array: Array) -> None:
    """Writes an entry under another name and renames it: other processes see all of it or nothing."""
    entry.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=entry.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(np.ascontiguousarray(array).data)
            file.write(_TRAILER.pack(_MAGIC, array.dtype.str.encode(), *(*array.shape, 0)[:3]))
            file.flush()
            Path(file.name).replace(entry)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def _remove_at_exit(folder: Path) -> None:
    """Frees the memory when the last process that uses it ends; killed ones leave it to the next that uses it."""
    users: Any = (folder / "users").open("a")  # stays open: the lock ends with this process and its workers
    if fcntl is None:
        return
    fcntl.flock(users.fileno(), fcntl.LOCK_SH)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() != owner:
            return
        with suppress(OSError):
            fcntl.flock(users.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
