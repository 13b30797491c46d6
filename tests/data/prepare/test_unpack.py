"""Archives that are what they should be, and others."""

import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from support.archives import tarred, zipped

from segkit.data.prepare import unpack as module
from segkit.data.prepare.unpack import unpack
from segkit.errors import DatasetError

FILES = {
    "top/images/a.jpg": b"a" * 5000,
    "top/labels/a.png": b"b" * 3000,
    "top/readme.txt": b"c",
    "__MACOSX/top/x": b"d",
}
KINDS = {
    "zip": zipped,
    "tar": tarred,
    "tgz": lambda files: tarred(files, "w:gz"),
    "tar.xz": lambda files: tarred(files, "w:xz"),
    "tar.bz2": lambda files: tarred(files, "w:bz2"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def quiet(done: int, total: int) -> None:
    pass


def archive(tmp_path: Path, kind: str, files: dict[str, bytes]) -> Path:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(KINDS[kind](files))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@every_kind
def test_all_files_or_those_below_a_name(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path, kind, FILES)
    assert unpack(path, tmp_path / "all", say=quiet) == 3
    assert tree(tmp_path / "all") == {k: v for k, v in FILES.items() if k.startswith("top")}
    assert unpack(path, tmp_path / "some", below=("images", "labels"), say=quiet) == 2
    assert tree(tmp_path / "some") == {"images/a.jpg": b"a" * 5000, "labels/a.png": b"b" * 3000}
    with pytest.raises(DatasetError, match="holds nothing called masks"):
        unpack(path, tmp_path / "none", below=("masks",), say=quiet)


@every_kind
def test_files_that_are_there_stay_and_torn_ones_do_not(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path, kind, FILES)
    unpack(path, tmp_path / "to", say=quiet)
    whole, torn = tmp_path / "to" / "top" / "images" / "a.jpg", tmp_path / "to" / "top" / "labels" / "a.png"
    before = whole.stat().st_mtime_ns
    torn.write_bytes(b"b" * 10)
    unpack(path, tmp_path / "to", say=quiet)
    assert torn.read_bytes() == b"b" * 3000
    assert whole.stat().st_mtime_ns == before


@every_kind
@pytest.mark.parametrize("name", ["../evil.txt", "top/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_no_name_leads_out(tmp_path: Path, kind: str, name: str) -> None:
    path = archive(tmp_path, kind, {"top/a.txt": b"a", name: b"evil"})
    with pytest.raises(DatasetError, match="leads out of the folder"):
        unpack(path, tmp_path / "to" / "deep", say=quiet)
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name]


def test_no_links(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)[:1]:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = kind, "/etc"
            tar.addfile(info)
    (tmp_path / "x.tar").write_bytes(buffer.getvalue())
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, "/etc")
    for name in ("x.tar", "x.zip"):
        with pytest.raises(DatasetError, match="link is a link"):
            unpack(tmp_path / name, tmp_path / "to", say=quiet)
    assert not (tmp_path / "to").exists()


@every_kind
def test_torn_archives_are_told(tmp_path: Path, kind: str) -> None:
    noise = {f"f{i}": bytes((i * j) % 251 for j in range(4000)) for i in range(20)}
    path = archive(tmp_path, kind, noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with pytest.raises(DatasetError, match=rf"x\.{kind}: (is damaged|is no whole zip or tar)"):
        unpack(path, tmp_path / "to", say=quiet)
    assert not list((tmp_path / "to").rglob("*.part")) or kind != "zip"


def test_a_flipped_bit_in_a_zip_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path, "zip", {"a.txt": bytes(range(256)) * 20})
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="is damaged"):
        unpack(path, tmp_path / "to", say=quiet)
    assert not (tmp_path / "to" / "a.txt").exists()


def test_a_web_page_instead_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"<!DOCTYPE html><html>please log in</html>")
    with pytest.raises(DatasetError, match="but a web page: a download that needs an account"):
        unpack(path, tmp_path / "to", say=quiet)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bombs_and_full_disks(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, kind, {"bomb": bytes(3_000_000)})
    monkeypatch.setattr(module, "_ALWAYS_FINE", 1000)
    with pytest.raises(DatasetError, match="it is no archive to trust"):
        unpack(path, tmp_path / "to", say=quiet)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**6))
    with pytest.raises(DatasetError, match="GB are free"):
        unpack(path, tmp_path / "to", say=quiet)
