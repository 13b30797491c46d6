"""Decoded files: the same pixels, each decoded once, in a bounded folder that survives kills, deletions and changes."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segkit.config.cache import CacheConfig
from segkit.config.datasets import FolderDatasetConfig
from segkit.data import cache as module
from segkit.data.cache import DecodedCache, open_cache
from segkit.data.datasets.folder import FolderDataset
from segkit.errors import ConfigError, DatasetError

Photo = Callable[..., np.ndarray]
Write = Callable[[Path, np.ndarray], Path]


class Reader:
    """Counts what it decodes."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.count = 0

    def __call__(self) -> np.ndarray:
        self.count += 1
        return self.array


def source(tmp_path: Path, name: str = "a.png") -> Path:
    path = tmp_path / name
    path.write_bytes(b"something")
    return path


def opened(tmp_path: Path, max_bytes: int = 10**9) -> DecodedCache:
    (tmp_path / "cache").mkdir(exist_ok=True)
    return DecodedCache(tmp_path / "cache", max_bytes)


def entries(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").glob("??/*") if path.is_file()]


def used(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in entries(tmp_path))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (4, 6, 3), (3, 2, 9)])
def test_what_is_kept_is_what_was_decoded(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    read, path = Reader(np.arange(np.prod(shape)).reshape(shape).astype(dtype)), source(tmp_path)
    for _ in range(3):  # also in another process, which has only the folder
        found = opened(tmp_path)(read, path)
        np.testing.assert_array_equal(found, read.array)
        assert (found.dtype, found.shape) == (read.array.dtype, shape)
        if found is not read.array:
            found[0] = 0  # as a step of a user's own may do; the file does not change
    assert read.count == 1


def test_other_files_times_and_readers_are_apart(tmp_path: Path) -> None:
    keep, read, path = opened(tmp_path), Reader(np.zeros((2, 2), np.uint8)), source(tmp_path)
    keep(read, path)
    keep(read, path, "gray")
    keep(read, source(tmp_path, "ä 道.png"))
    os.utime(path, ns=(1, 1))
    keep(read, path)
    path.write_bytes(b"something longer")
    os.utime(path, ns=(1, 1))
    keep(read, path)
    assert read.count == 5


def test_missing_files_are_the_reader_s_business(tmp_path: Path) -> None:
    read = Reader(np.zeros((2, 2), np.uint8))
    assert opened(tmp_path)(read, tmp_path / "gone.png") is read.array
    assert entries(tmp_path) == []


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "longer", "gone"])
def test_damaged_entries_are_made_anew(tmp_path: Path, damage: str) -> None:
    read, path = Reader(np.arange(12, dtype=np.uint8).reshape(3, 4)), source(tmp_path)
    opened(tmp_path)(read, path)
    (entry,) = entries(tmp_path)
    content = entry.read_bytes()
    changed = {"empty": b"", "cut": content[:-3], "zeros": bytes(len(content)), "longer": b"x" + content}
    entry.unlink() if damage == "gone" else entry.write_bytes(changed[damage])
    keep = opened(tmp_path)
    np.testing.assert_array_equal(keep(read, path), read.array)
    assert read.count == 2
    if damage == "gone":
        assert keep(read, path) is not read.array
        assert read.count == 2


def test_the_folder_is_bounded_and_what_is_in_use_stays(tmp_path: Path) -> None:
    read = Reader(np.zeros((100, 100), np.uint8))
    paths = [source(tmp_path, f"{i}.png") for i in range(8)]
    keep = opened(tmp_path, max_bytes=52_000)
    for _ in range(2):
        for path in paths:
            keep(read, path)
    assert len(entries(tmp_path)) == 5
    assert read.count == 8 + 3  # the first five are decoded once
    time.sleep(0.02)
    later = opened(tmp_path, max_bytes=52_000)  # another run: what it does not use makes room
    later(read, paths[0])
    for path in paths[5:]:
        later(read, path)
    assert used(tmp_path) <= 52_000
    assert read.count == 8 + 3 + 3
    later(read, paths[0])
    assert read.count == 8 + 3 + 3


def test_a_count_that_is_off_is_mended(tmp_path: Path) -> None:
    keep, read = opened(tmp_path), Reader(np.zeros((9, 9), np.uint8))
    keep(read, source(tmp_path))
    (tmp_path / "cache" / "used").write_text("99999999999999")
    left = entries(tmp_path)[0].parent / "killed.tmp"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    keep.recount()
    assert int((tmp_path / "cache" / "used").read_text()) == used(tmp_path)
    assert not left.exists()


def test_a_folder_that_is_deleted_or_full_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep, read = opened(tmp_path), Reader(np.zeros((9, 9), np.uint8))
    (tmp_path / "cache").rmdir()
    assert keep(read, source(tmp_path)) is read.array
    assert caplog.records == []
    keep = opened(tmp_path)
    (tmp_path / "cache" / "used").mkdir()  # as any fault of the disk
    for name in "abc":
        assert keep(read, source(tmp_path, name)) is read.array
    assert len(caplog.records) == 1
    assert "nothing more is kept there" in caplog.text


def fill(folder: Path, paths: list[Path], seed: int) -> None:
    keep = DecodedCache(folder, 10**9)
    for index in np.random.default_rng(seed).permutation(len(paths)).tolist() * 2:
        found = keep(Reader(np.full((50, 60), index, np.uint16)), paths[index])
        assert (found == index).all()


def test_several_processes_at_once(tmp_path: Path) -> None:
    paths = [source(tmp_path, f"{i}.png") for i in range(30)]
    opened(tmp_path)
    started = [
        multiprocessing.get_context("fork").Process(target=fill, args=(tmp_path / "cache", paths, seed))
        for seed in range(4)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    assert len(entries(tmp_path)) == 30
    opened(tmp_path).recount()
    assert int((tmp_path / "cache" / "used").read_text()) == used(tmp_path)


def folder_dataset(root: Path, **options: object) -> FolderDataset:
    return FolderDataset(FolderDatasetConfig(root=root, class_names=("a", "b"), **options), "train")


def test_data_sets_read_through_it(tmp_path: Path, photo: Photo, write: Write) -> None:
    for name in "ab":
        write(tmp_path / f"images/train/{name}.jpg", photo(40, 50, seed=ord(name)))
        write(tmp_path / f"labels/train/{name}.png", np.full((40, 50), ord(name) % 2, np.uint8))
    plain = folder_dataset(tmp_path)
    kept = folder_dataset(tmp_path, cache=CacheConfig(where="disk", folder=tmp_path / "cache"))
    for _ in range(2):
        for index in range(2):
            for ours in (kept[index], kept.open(index).sample):
                np.testing.assert_array_equal(ours.image, plain[index].image)
                np.testing.assert_array_equal(ours.mask, plain[index].mask)
    assert len(entries(tmp_path)) == 4
    (tmp_path / "images/train/a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"a\.jpg"):
        kept[0]
    assert len(entries(tmp_path)) == 4


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"dataset\.cache: .*file/x cannot be used \(Not a directory\)"):
        open_cache(CacheConfig(where="disk", folder=tmp_path / "file" / "x"))
    assert open_cache(CacheConfig()) is None


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no shared memory")
def test_memory_is_freed_with_its_last_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    folder = tmp_path / f"segkit-{os.getuid()}"
    program = f"""
        import sys
        from pathlib import Path
        import numpy as np
        from segkit.config.cache import CacheConfig
        from segkit.data import cache
        cache._SHARED_MEMORY = Path({str(tmp_path)!r})
        keep = cache.open_cache(CacheConfig(where="ram"))
        keep(lambda: np.zeros((3, 3), np.uint8), Path(__file__ if "__file__" in globals() else sys.executable))
        print("ready", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    first, second = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    for process in (first, second):
        assert process.stdout.readline() == "ready\n"
    assert len(list(folder.glob("??/*"))) == 1
    first.communicate(timeout=600)
    assert folder.exists()
    second.communicate(timeout=600)
    assert not folder.exists()
