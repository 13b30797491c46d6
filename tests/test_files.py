"""Files are whole or not there."""

from contextlib import suppress
from pathlib import Path

import pytest

from segkit.files import whole_file, write_file


@pytest.mark.parametrize("content", ["Straße\n", b"\x00\xff"])
def test_a_small_file_is_replaced_and_its_folder_made(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    for _ in range(2):
        write_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.rglob("*.*")) == [path]


def test_a_file_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert (temporary.suffix, path.exists()) == (".png", False)
    assert path.read_text() == "new"
    with suppress(RuntimeError), whole_file(path, ".onnx") as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".onnx"
        raise RuntimeError
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
