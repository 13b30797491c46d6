"""Predictions in the form that a benchmark asks for."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.config.datasets import Submission
from segkit.data.io import Array
from segkit.data.target import ARCHIVES, check_target
from segkit.errors import ConfigError, Problem, SegkitError
from segkit.types import ClassInfo


class SubmissionWriter:
    """Writes the predictions of a split; at the end of a ``with`` block they appear, on an error nothing does.

    Args:
        path: a folder, or an archive by its ending.
        submission: what the benchmark wants.
        info: the classes, and the values that stand for them in label files.
        split: name of the split, for the files' names.

    Raises:
        ConfigError: the path is taken, or a class has no value in label files.
    """

    def __init__(self, path: Path, submission: Submission, info: ClassInfo, split: str) -> None:
        check_target(path)
        self.path = path
        self.submission = submission
        self.split = split
        self.count = 0
        self._values = _values(submission, info)
        self._colors = _colors(self._values, info) if submission.palette else None
        self._part = path.with_name(f".{path.name}.part")
        self._put: Callable[[str, bytes], None]
        self._close: Callable[[], None]

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._discard()
            self._put, self._close = _open(self._part, self.path.name.lower())
        except OSError as error:
            raise SegkitError(f"{self.path}: cannot be written ({error.strerror})") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if kind is not None:
            self._discard()
            return
        if self.path.is_dir():
            self.path.rmdir()  # empty, as checked
        self._part.replace(self.path)

    def _discard(self) -> None:
        shutil.rmtree(self._part) if self._part.is_dir() else self._part.unlink(missing_ok=True)

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Writes the prediction of a sample.

        Args:
            name: the sample's id.
            mask: (H, W) uint8 class ids, as large as the image.
        """
        file = self.submission.files.format(name=name, split=self.split)
        try:
            self._put(file, _png(self._values[mask], self._colors))
        except OSError as error:
            raise SegkitError(f"{self.path}: cannot be written ({error.strerror})") from None
        self.count += 1


def _values(submission: Submission, info: ClassInfo) -> Array:
    """(K,) the value that is written for each class id."""
    ids = range(max(len(info.names), 2))
    if submission.values == "classes":
        return np.array(ids, np.uint8)
    lost = [info.names[min(i, len(info.names) - 1)] for i in ids if i not in info.inverse]
    if lost:
        text = f"no value stands for {', '.join(lost[:5])}; a submission needs one for each class"
        raise ConfigError([Problem("dataset.label_map", text)])
    values = [info.inverse[i] for i in ids]
    return np.array(values, np.uint8 if max(values) < 256 else np.uint16)


def _colors(values: Array, info: ClassInfo) -> list[int]:
    """256 RGB triples in a row: the classes' colours at the values that stand for them."""
    table = np.zeros((256, 3), np.uint8)
    table[values] = info.palette
    return [int(channel) for channel in table.ravel()]


def _png(values: Array, colors: list[int] | None) -> bytes:
    if colors is None:
        return cv2.imencode(".png", values)[1].tobytes()
    image = Image.fromarray(values).convert("L")
    image.putpalette(colors)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _open(part: Path, name: str) -> tuple[Callable[[str, bytes], None], Callable[[], None]]:
    """How to put a file into a folder or an archive, and how to close it."""
    if name.endswith(".zip"):
        archive = zipfile.ZipFile(part, "w")  # PNGs are compressed already
        return archive.writestr, archive.close
    if name.endswith(ARCHIVES):
        tar = tarfile.open(part, "w:gz", compresslevel=1)  # noqa: SIM115 - the caller closes it

        def put(file: str, data: bytes) -> None:
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        return put, tar.close
    part.mkdir()

    def write(file: str, data: bytes) -> None:
        target = part / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    return write, lambda: None
