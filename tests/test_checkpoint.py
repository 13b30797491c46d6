"""A checkpoint comes back as it was written, or is refused in one line."""

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import segkit
from segkit.checkpoint import load_weights, pack_published, read_checkpoint, write_checkpoint
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


@pytest.mark.parametrize("content", [{"state_dict": {}}, torch.zeros(2), {}])
def test_a_foreign_file_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert "not a segkit checkpoint" in refuse(path)


def test_a_file_with_objects_is_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"format": "segkit", "model": Foreign()}, path)
    assert "holds more than tensors and plain data (test_checkpoint.Foreign), which could run code" in refuse(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"lr": torch.zeros(1)}}, "config is no plain data"),
        ({"classes": [1, 2]}, "classes are no names"),
        ({"palette": [[0, 0, 0]]}, "palette is not 2 RGB colours"),
        ({"palette": [[0, 0, 0], [0, 0, 256]]}, "palette is not 2 RGB colours"),
        ({"model": {"weight": 3}}, "model holds something else than tensors by name"),
        ({"ema": {"weight": 3}}, "ema holds something else than tensors by name"),
        ({"progress": 3}, "progress is a int"),
    ],
)
def test_a_file_made_by_hand_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write_checkpoint(tmp_path / "last.pt", payload() | change)
    assert words in refuse(tmp_path / "last.pt")


def test_published_weights_are_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tied = torch.ones(2)
    model = {"weight": torch.rand(4, 3).T, "a": tied, "b": tied}
    path.write_bytes(
        pack_published(payload() | {"model": model, "label_values": {0: 7}, "metrics": {"miou": math.nan}})
    )
    read = read_checkpoint(path)
    assert {name: value.tolist() for name, value in read["model"].items()} == {n: v.tolist() for n, v in model.items()}
    assert read["label_values"] == {0: 7}
    assert read["metrics"] == {"miou": None}
    assert read["config"] == payload()["config"]
    first = path.read_bytes()
    path.write_bytes(
        pack_published(payload() | {"model": model, "label_values": {0: 7}, "metrics": {"miou": math.nan}})
    )
    assert path.read_bytes() == first
    path.write_bytes(first[: len(first) // 2])
    assert "torn" in refuse(path)
    save_file({"weight": torch.zeros(2)}, path)
    assert "weights without a configuration" in refuse(path)
    save_file({"weight": torch.zeros(2)}, path, {"segkit": "["})
    assert "its metadata cannot be read" in refuse(path)
    torch.save(payload(), path)  # a name alone deceives nobody
    assert "no safetensors file" in refuse(path)


def test_one_place_reads_files_of_tensors() -> None:
    """So that no path can forget ``weights_only=True``."""
    source = Path(segkit.__file__).parent
    readers = {"torch.load(", "load_file(", "safe_open(", "pickle.load", "import pickle", "import dill"}
    found = {p.name for p in source.rglob("*.py") if any(reader in p.read_text() for reader in readers)}
    assert found == {"tensor_files.py", "apart.py"}  # the latter: what a process of ours hands to its parent


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
