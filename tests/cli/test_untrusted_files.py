"""Every path that reads a file of weights: nothing in it runs, and what is wrong with it is one clear line."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import write_untrained
from support.runs import tiny_config

import segkit
from segkit.checkpoint import read_checkpoint, write_checkpoint
from segkit.cli import checkpoint, predict, test
from segkit.config.component import to_plain
from segkit.config.compose import dump_yaml
from segkit.engine.launch import train
from segkit.errors import SegkitError


class Bomb:
    """Code that runs when it is unpickled by a reader that trusts."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def started_from(**trainer: Any) -> Callable[[Path], Any]:
    return lambda file: train(
        tiny_config(scheduler={"max_epochs": 1}, trainer=dict.fromkeys(trainer, file) if trainer else {}), Path("run")
    )


def backbone_from(file: Path) -> None:
    train(tiny_config(backbone={"pretrained": True, "weights": file}), Path("run"))


def command(*words: str) -> Callable[[Path], Any]:
    return lambda file: checkpoint.main([str(file) if word == "FILE" else word for word in words])


OURS: dict[str, Callable[[Path], Any]] = {
    "segkit-test": lambda file: test.main([str(file)]),
    "segkit-predict": lambda file: predict.main([str(file), "image.png"]),
    "segkit.load": lambda file: segkit.load(file, device="cpu"),
    "trainer.resume": started_from(resume=True),
    "trainer.init_from": started_from(init_from=True),
    "show": command("show", "FILE"),
    "show --config": command("show", "FILE", "--config"),
    "diff": command("diff", "FILE", "good.pt"),
    "diff, second": command("diff", "good.pt", "FILE"),
    "average": command("average", "good.pt", "FILE", "-o", "mean.pt"),
    "publish": command("publish", "FILE", "-o", "published"),
}
"""What reads checkpoints of segkit."""
ANY = OURS | {
    "convert": command("convert", "FILE", "--config", "config.yaml", "-o", "converted.pt"),
    "backbone.weights": backbone_from,
}
"""What reads files of weights."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an image, a configuration and a sound checkpoint."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("image.png", np.zeros((32, 48, 3), np.uint8))
    Path("config.yaml").write_text(dump_yaml(to_plain(tiny_config())))
    write_untrained(tmp_path / "good.pt", tiny_config())
    return tmp_path


def refused(read: Callable[[Path], Any], file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command or a function ends with; nothing is written."""
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    with pytest.raises((SystemExit, SegkitError)) as caught:
        read(file)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 2
        message = capsys.readouterr().err
        assert message.count("error: ") == message.count("\n") == 1, message
    else:
        message = str(caught.value)
        assert caught.value.exit_code == 2
        assert "\n" not in message
    assert str(file) in message
    assert sorted(Path().rglob("*")) == before, "nothing is left behind, and nothing has run"
    return message


BOMBS: dict[str, Callable[[Path], Any]] = {
    "pickle": lambda file: file.write_bytes(pickle.dumps({"format": "segkit", "model": Bomb()})),
    "old pickle": lambda file: file.write_bytes(pickle.dumps({"format": "segkit", "model": Bomb()}, protocol=2)),
    "archive": lambda file: torch.save({"format": "segkit", "version": 1, "model": {"x": Bomb()}}, file),
    "old archive": lambda file: torch.save({"model": Bomb()}, file, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("reader", ANY)
def test_nothing_runs(reader: str, name: str, suffix: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / f"bomb{suffix}"
    BOMBS[name](file)
    message = refused(ANY[reader], file, capsys)
    assert any(words in message for words in ("not read", "torn")), message
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("reader", ANY)
def test_a_truncated_file(reader: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "cut.pt"
    content = (folder / "good.pt").read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert "torn" in refused(ANY[reader], file, capsys)


@pytest.mark.parametrize("reader", ANY)
def test_truncated_published_weights(reader: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.main(["publish", "good.pt", "-o", "."])
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1000])
    assert "torn" in refused(ANY[reader], file, capsys)


@pytest.mark.parametrize("reader", OURS)
def test_a_newer_format(reader: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_untrained(folder / "new.pt", tiny_config(), version=2)
    assert "written by a newer segkit (format 2, this one reads up to 1)" in refused(OURS[reader], file, capsys)


@pytest.mark.parametrize("reader", OURS)
def test_another_programs_weights(reader: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "foreign.safetensors"
    save_file({"conv.weight": torch.zeros(3)}, file)
    assert "not a segkit checkpoint; weights without a configuration" in refused(OURS[reader], file, capsys)


BUILDERS = ("segkit-test", "segkit-predict", "segkit.load")


@pytest.mark.parametrize("reader", BUILDERS)
def test_weights_that_are_not_of_the_configuration(
    reader: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_untrained(folder / "other.pt", tiny_config(head={"channels": 24}))
    file = write_untrained(folder / "mixed.pt", tiny_config(), model=read_checkpoint(other)["model"])
    assert "weights of another model: head.convs.0.conv.weight is 24x" in refused(OURS[reader], file, capsys)


@pytest.mark.parametrize("reader", BUILDERS)
def test_classes_that_are_not_of_the_configuration(
    reader: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "few.pt"
    good = read_checkpoint(folder / "good.pt")
    write_checkpoint(file, good | {"classes": good["classes"][:3], "palette": good["palette"][:3]})
    assert "has 7 classes that are not the 3 of" in refused(OURS[reader], file, capsys)


def test_other_classes_or_another_model_have_no_mean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = read_checkpoint(folder / "good.pt")
    write_checkpoint(folder / "renamed.pt", good | {"classes": [*good["classes"][:-1], "other"]})
    assert "class.6: " in refused(OURS["average"], folder / "renamed.pt", capsys)
    file = write_untrained(folder / "wide.pt", tiny_config(head={"channels": 24}))
    assert "another model than good.pt: head.convs.0.conv.weight is 24x" in refused(OURS["average"], file, capsys)


def test_a_backbone_that_fits_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_untrained(folder / "other.pt", tiny_config(backbone={"model_name": "test_efficientnet"}))
    assert "not a checkpoint of this backbone" in refused(OURS["trainer.init_from"], file, capsys)
    assert "of another model" in refused(ANY["backbone.weights"], file, capsys)
