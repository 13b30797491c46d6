"""A checkpoint comes back as it was written, or is refused in one line."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from segkit.checkpoint import load_weights, read_checkpoint, write_checkpoint
from segkit.errors import CheckpointError


def payload() -> dict[str, Any]:
    return {
        "config": {"head": {"type": "FCN"}, "lr": 0.1},
        "classes": ["a", "b"],
        "palette": [[0, 0, 0], [255, 0, 0]],
        "model": {"weight": torch.arange(6.0).reshape(2, 3)},
        "ema": None,
        "progress": {"epoch": 1, "step": 2**40},
    }


def refuse(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.pt"
    write_checkpoint(path, payload())
    read = read_checkpoint(path)
    torch.testing.assert_close(read.pop("model")["weight"], payload()["model"]["weight"], rtol=0, atol=0)
    assert read == {"format": "segkit", "version": 1} | {k: v for k, v in payload().items() if k != "model"}
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_torn_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, payload())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "torn" in refuse(path)


def test_a_file_with_turned_bits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, payload())
    data = bytearray(path.read_bytes())
    start = data.find(b"weight")
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    refuse(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "no such checkpoint" in refuse(tmp_path / "none.pt")
    assert "folder" in refuse(tmp_path)


class Foreign:
    pass


@pytest.mark.parametrize("content", [{"state_dict": {}}, torch.zeros(2), Foreign(), {}])
def test_a_foreign_file_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert "not a segkit checkpoint" in refuse(path)


def test_a_bare_pickle_or_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"format": "segkit"}))
    assert "not a checkpoint" in refuse(path)
    path.write_text("hello")
    assert "not a checkpoint" in refuse(path)


def test_a_newer_or_incomplete_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, {**payload(), "version": 2})
    assert "newer segkit" in refuse(path)
    write_checkpoint(path, {k: v for k, v in payload().items() if k != "palette"})
    assert "without palette" in refuse(path)


def test_only_plain_data_is_written(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, payload())
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"payload\['config'\]\['root'\] is a .*Path"):
        write_checkpoint(path, {**payload(), "config": {"root": tmp_path}})
    assert path.read_bytes() == before


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, payload())
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_checkpoint(path, {**payload(), "ema": {}})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_weights_of_another_model_are_refused_and_nothing_is_loaded() -> None:
    model = torch.nn.Linear(2, 3)
    before = model.weight.clone()
    weights = {"weight": torch.zeros(4, 2), **{f"layer{i}": torch.zeros(1) for i in range(5)}}
    with pytest.raises(CheckpointError, match=r"weight is 4x2 there and 3x2 here; bias is missing; .* and 4 more"):
        load_weights(model, weights, Path("best.pt"))
    assert torch.equal(model.weight, before)
