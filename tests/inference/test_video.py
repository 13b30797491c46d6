"""Videos on disk."""

from pathlib import Path

import numpy as np
import pytest

from segkit.errors import DatasetError
from segkit.inference.video import Video, VideoWriter


def write(path: Path, *, frames: int = 6) -> Path:
    """A grey video that gets lighter, 48 x 64."""
    with VideoWriter(path, 10) as writer:
        for number in range(frames):
            writer.write(np.full((48, 64, 3), 30 * number, np.uint8))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    video = Video.open(write(tmp_path / "a.webm"))
    assert video.fps == 10
    frames = list(video.frames())
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 6
    np.testing.assert_allclose([frame.mean() for frame in frames], [30 * n for n in range(6)], atol=4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.webm"]


def test_a_video_that_was_cut_off_is_not_there(tmp_path: Path) -> None:
    def cut_off() -> None:
        with VideoWriter(tmp_path / "a.webm", 10) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError, match=r"none\.mp4: no such file"):
        Video.open(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(DatasetError, match=r"text\.mp4: is damaged or no video"):
        Video.open(tmp_path / "text.mp4")
    assert capfd.readouterr().err == ""
