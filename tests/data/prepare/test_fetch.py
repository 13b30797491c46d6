"""Downloads that break, and go on."""

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from support.server import Site, serve

from segkit.data.prepare.fetch import download, verify
from segkit.data.prepare.recipe import Archive
from segkit.errors import DatasetError

DATA = bytes(range(256)) * 4000  # 1 MB


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture
def site():
    with serve({"a.zip": DATA}) as running:
        yield running


def fetch(site: Site, target: Path, **options: object) -> None:
    download(f"{site.url}/a.zip", target, quiet, wait_s=0.01, **options)


def test_a_whole_download(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    download(f"{site.url}/a.zip", tmp_path / "a.zip", lambda done, total: told.append((done, total)))
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert told[-1] == (len(DATA), len(DATA))
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_broken_connection_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.break_after = [300_000, 200_000]
    fetch(site, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert [asked for _, asked in site.asked] == ["", "bytes=300000-", "bytes=500000-"]


def test_the_same_command_goes_on(site: Site, tmp_path: Path) -> None:
    site.break_after = [100_000, 50_000]
    with pytest.raises(DatasetError, match=r"after 150000 bytes, 2 times; the same command goes on from there"):
        fetch(site, tmp_path / "a.zip", tries=2)
    assert not (tmp_path / "a.zip").exists()
    fetch(site, tmp_path / "a.zip")
    assert site.asked[-1] == ("/a.zip", "bytes=150000-")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges, site.break_after = False, [300_000]
    fetch(site, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_not_patched_together(site: Site, tmp_path: Path) -> None:
    site.break_after = [300_000]
    with pytest.raises(DatasetError):
        fetch(site, tmp_path / "a.zip", tries=1)
    site.files["/a.zip"] = other = DATA[::-1]
    fetch(site, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == other


@pytest.mark.parametrize(("left", "ends"), [(DATA, DATA), (DATA + b"more", DATA)])
def test_a_part_that_is_whole_or_too_long(site: Site, tmp_path: Path, left: bytes, ends: bytes) -> None:
    (tmp_path / "a.zip.part").write_bytes(left)
    fetch(site, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == ends


def test_what_cannot_be_had(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="the server says 404 Not Found"):
        download(f"{site.url}/b.zip", tmp_path / "b.zip", quiet)
    with pytest.raises(DatasetError, match="2 times; the same command goes on"):
        download("http://127.0.0.1:9/a.zip", tmp_path / "a.zip", quiet, tries=2, wait_s=0.01)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**6))
    with pytest.raises(DatasetError, match=r"the rest of a\.zip takes 0\.0 GB, but 0\.0 GB are free"):
        fetch(site, tmp_path / "a.zip")


def test_digests_and_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(DATA)
    md5 = f"md5:{hashlib.md5(DATA, usedforsecurity=False).hexdigest()}"
    assert verify(path, Archive("a.zip", digest=md5, size=len(DATA)), quiet) == md5
    assert verify(path, Archive("a.zip"), quiet) == f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    with pytest.raises(DatasetError, match=rf"{len(DATA)} bytes of {md5}, published is md5:00"):
        verify(path, Archive("a.zip", digest="md5:00"), quiet)
    with pytest.raises(DatasetError, match=rf"has {len(DATA)} bytes, published are 7"):
        verify(path, Archive("a.zip", size=7), quiet)
