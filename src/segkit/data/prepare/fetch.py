"""Downloads that go on where they stopped, and files that are what they should be."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from segkit.data.prepare.recipe import Archive
from segkit.errors import DatasetError

_CHUNK = 1 << 20
_TRIES = 4
_TIMEOUT_S = 30.0
_RESERVE = 256 << 20
"""Bytes that stay free on a disk."""

Report = Callable[[int, int], None]
"""Bytes so far, and in all; 0 if nobody knows."""


def download(url: str, target: Path, report: Report, *, tries: int = _TRIES, wait_s: float = 2.0) -> None:
    """Downloads a file; what an earlier try has left in ``<target>.part`` is gone on with.

    The server is asked for the rest by ``Range``, and for the whole if the file has changed (``If-Range``). One that
    knows no ranges sends all again.

    Args:
        url: of the file.
        target: where it goes, once it is whole.
        report: told of the progress.
        tries: how often a broken connection is taken up again.
        wait_s: seconds before the second try; twice as long before each further one.

    Raises:
        DatasetError: the server refuses, the connection breaks again and again, or the disk is full.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    problem, attempt = "", 0
    for attempt in range(tries):
        if attempt:
            time.sleep(wait_s * 2 ** (attempt - 1))
        try:
            if _fetch_rest(url, part, report):
                part.replace(target)
                _notes(part).unlink(missing_ok=True)
                return
            problem = "the connection broke"
        except httpx.HTTPStatusError as error:
            raise DatasetError(
                f"{url}: the server says {error.response.status_code} {error.response.reason_phrase}"
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise DatasetError(f"{url}: {error}") from None
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
            if isinstance(error, httpx.ConnectError) and attempt:  # no network, or no such server: waiting is no help
                break
    size = part.stat().st_size if part.exists() else 0
    raise DatasetError(f"{url}: {problem} after {size} bytes, {attempt + 1} times; the same command goes on from there")


def _fetch_rest(url: str, part: Path, report: Report) -> bool:
    """Appends what is missing; returns whether the file is whole."""
    done = part.stat().st_size if part.exists() else 0
    # As stored: a coding on the way would make sizes and ranges those of other bytes.
    headers = {"Accept-Encoding": "identity"}
    if done:
        tag = _tag_of(part)
        headers |= {"Range": f"bytes={done}-"} | ({"If-Range": tag} if tag else {})
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("content-range") == f"bytes */{done}":
                return True
            part.unlink()  # longer than the file, so of another one
            return False
        response.raise_for_status()
        goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT and _starts_at(response, done)
        if response.status_code == httpx.codes.PARTIAL_CONTENT and not goes_on:
            part.unlink()
            return False
        done = done if goes_on else 0
        length = int(response.headers.get("content-length", 0))
        total = done + length if length else 0
        require_space(part.parent, length, f"the rest of {part.name.removesuffix('.part')}")
        tag = response.headers.get("etag", "")
        tag = response.headers.get("last-modified", "") if tag.startswith("W/") or not tag else tag
        _notes(part).write_text(json.dumps({"url": url, "tag": tag}), encoding="utf-8")
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_raw():  # as it comes: what is held back would be lost with the connection
                file.write(chunk)
                done += len(chunk)
                report(done, total)
    return not total or done >= total


def _starts_at(response: httpx.Response, start: int) -> bool:
    return str(response.headers.get("content-range", "")).startswith(f"bytes {start}-")


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _tag_of(part: Path) -> str:
    """What the server called this version of the file; "" if it gave it no name."""
    try:
        return str(json.loads(_notes(part).read_text(encoding="utf-8"))["tag"])
    except (OSError, ValueError, KeyError):
        return ""


def require_space(folder: Path, size: int, what: str) -> None:
    """Checks that a disk has room, before it is full.

    Raises:
        DatasetError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if size + _RESERVE > free:
        raise DatasetError(f"{folder}: {what} takes {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free")


def digest_of(path: Path, algorithm: str, report: Report) -> str:
    """``algorithm:hex`` of a file's content."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(done, total)
    return f"{algorithm}:{digest.hexdigest()}"


def verify(path: Path, archive: Archive, report: Report) -> str:
    """Checks a file against its published size and digest, where they are known.

    Args:
        path: the file.
        archive: what it should be.
        report: told of the progress.

    Returns:
        Its digest.

    Raises:
        DatasetError: it is another file.
    """
    size = path.stat().st_size
    if archive.size and size != archive.size:
        raise DatasetError(f"{path}: has {size} bytes, published are {archive.size}")
    found = digest_of(path, archive.digest.partition(":")[0] or "sha256", report)
    if archive.digest and found != archive.digest:
        raise DatasetError(f"{path}: {size} bytes of {found}, published is {archive.digest}")
    return found
