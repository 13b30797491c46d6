"""Videos, frame by frame.

OpenCV reads and writes them, because it is here anyway and brings its own FFmpeg. Of what it can write, VP8 in WebM is
what browsers play; sound is left out.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeGuard

import cv2
from numpy.typing import NDArray

from segkit.data.inputs import VIDEO_SUFFIXES
from segkit.errors import DatasetError, SegkitError

Pixels = NDArray[Any]
"""(H, W, 3) uint8 RGB."""

_USUAL_FPS = 25.0


def is_video(source: object) -> TypeGuard[str | Path]:
    """Whether this is the path of a video."""
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Video:
    """A video file.

    Attributes:
        path: the file.
        fps: frames a second.
        num_frames: as the file says, which may be wrong by a few; 0 if it does not.
    """

    path: Path
    fps: float
    num_frames: int

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Looks into a video.

        Raises:
            DatasetError: the file is missing or no video that OpenCV reads.
        """
        path = Path(path)
        with _capture(path) as capture:
            fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return cls(path, fps if 0 < fps < 1000 else _USUAL_FPS, max(int(count), 0))

    def frames(self) -> Iterator[Pixels]:
        """(H, W, 3) uint8 RGB each, one in memory at a time.

        Raises:
            DatasetError: not one can be read.
        """
        count = 0
        with _capture(self.path) as capture:
            while True:
                found, frame = capture.read()
                if not found:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if not count:
            raise DatasetError(f"{self.path}: holds no frame that OpenCV reads")


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    with _quiet():
        capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise DatasetError(f"{path}: is damaged or no video that OpenCV reads")
        yield capture
    finally:
        capture.release()


class VideoWriter:
    """Writes frames of one size as VP8 in WebM; ``path`` appears when the block ends without an error."""

    suffix = ".webm"

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.fps = fps
        self._temporary = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Pixels) -> None:
        """Adds (H, W, 3) uint8 RGB.

        Raises:
            SegkitError: the file cannot be written.
        """
        if self._writer is None:
            self._writer = self._opened(frame.shape[1], frame.shape[0])
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def _opened(self, width: int, height: int) -> cv2.VideoWriter:
        with _quiet():
            writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter.fourcc(*"VP80"), self.fps, (width, height))
        if not writer.isOpened():
            raise SegkitError(f"{self.path}: OpenCV cannot write this video, {width} x {height} at {self.fps:g} Hz")
        return writer

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides what OpenCV's FFmpeg says on stderr: of damaged files, which we tell ourselves, and of VP8, which works."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
