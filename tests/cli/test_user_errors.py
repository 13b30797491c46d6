"""Mistakes that only the files reveal: one clear error, exit code 2, no traceback, nothing half-written."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segkit.cli import predict, test, train

TINY = [
    "dataset=FolderDataset",
    "dataset.class_names=[a,b,c]",
    "dataset.train_transforms={crop: {type: RandomCrop, crop_size: [32,32]}, normalize: {type: Normalize}, padding: {type: Padding, output_size: [32,32]}}",
    "backbone=resnet18_d32",
    "head.channels=8",
    "dataloader={total_batch_size: 2, num_workers: 0}",
    "scheduler.max_epochs=1",
    "logger.tensorboard=false",
    "dataset.root=data",
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound data set of 4 + 2 images of 40x48 in three classes, in a fresh working directory."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "labels"):
            (tmp_path / "data" / kind / split).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / "images" / split / f"{i}.jpg"), image)
            mask = rng.integers(0, 3, (40, 48), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / "labels" / split / f"{i}.png"), mask)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


Break = Callable[[Path], object]


def label(path: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(path / "labels" / "train" / "1.png"), mask)


def label_all(path: Path, mask: np.ndarray) -> None:
    for file in (path / "labels").rglob("*.png"):
        cv2.imwrite(str(file), mask)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-300])


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


def bomb(file: Path) -> None:
    file.write_bytes(pickle.dumps({"format": "segkit", "model": Bomb()}))


FILES: dict[str, tuple[Break, list[str], list[str]]] = {
    "no folder": (lambda d: d.rename("elsewhere"), [], ["dataset.root: no folder data"]),
    "an empty folder": (lambda d: (d / "images").rename("gone"), [], ["images/train"]),
    "no validation split": (lambda d: None, ["dataset.val_split=validation"], ["images/validation"]),
    "no label": (lambda d: (d / "labels/train/1.png").unlink(), [], ["labels/train/1.png"]),
    "label out of range": (
        lambda d: label(d, np.full((40, 48), 7, np.uint8)),
        [],
        ["labels/train/1.png", "7", "label_map"],
    ),
    "black and white mask": (
        lambda d: label_all(d, np.repeat(np.array([[0, 255]], np.uint8), 24, 1).repeat(40, 0)),
        ["dataset.class_names=['yes']"],
        ["labels/train/0.png", "255", "label_map: {0: 0, 255: 1}"],
    ),
    "colour mask": (
        lambda d: label(d, np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)),
        [],
        ["labels/train/1.png", "colo"],
    ),
    "label of another size": (
        lambda d: label(d, np.zeros((20, 48), np.uint8)),
        [],
        ["labels/train/1.png", "20", "40"],
    ),
    "truncated image": (lambda d: truncate(d / "images/train/2.jpg"), [], ["images/train/2.jpg"]),
    "truncated label": (lambda d: truncate(d / "labels/train/2.png"), [], ["labels/train/2.png"]),
    "text for an image": (lambda d: (d / "images/train/2.jpg").write_text("no image"), [], ["images/train/2.jpg"]),
    "garbage to resume from": (
        lambda d: Path("bad.pt").write_bytes(b"garbage"),
        ["trainer.resume=bad.pt"],
        ["bad.pt"],
    ),
    "a pickle to resume from": (lambda d: bomb(Path("bomb.pt")), ["trainer.resume=bomb.pt"], ["bomb.pt"]),
    "a foreign file to start from": (
        lambda d: torch.save({"weird.weight": torch.zeros(3)}, "foreign.pt"),
        ["trainer.init_from=foreign.pt"],
        ["foreign.pt"],
    ),
    "weights of another network": (
        lambda d: torch.save({"weird.weight": torch.zeros(3)}, "foreign.pt"),
        ["backbone.weights=foreign.pt"],
        ["foreign.pt"],
    ),
    "weights that cannot be fetched": (lambda d: None, ["backbone.pretrained=true"], ["backbone.pretrained=false"]),
    "a rule for nothing": (
        lambda d: None,
        ["scheduler.optimizer.params_rules={bakbone: {lr_multiplier: 0.1}}"],
        ["scheduler.optimizer.params_rules.bakbone", "backbone"],
    ),
    "no GPU": (lambda d: None, ["trainer.accelerator=cuda"], ["trainer.accelerator", "cpu"]),
    "a file for a folder": (lambda d: Path("taken").write_text(""), ["trainer.run_dir=taken"], ["taken"]),
}


@pytest.mark.parametrize("name", FILES)
def test_training_refuses(
    name: str, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "no GPU" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(data / "hub"))
    damage, overrides, words = FILES[name]
    damage(data)
    before = sorted(Path().rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        train.main([*TINY, *overrides])
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert stopped.value.code == 2, lines
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert all(word in errors[0] for word in words), errors
    assert "Traceback" not in "\n".join(lines)
    assert sorted(Path().rglob("*")) == before, "nothing is left behind"


def test_a_sound_folder_trains_and_its_checkpoint_serves(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The counterpart: the same command without a mistake; then the ways to misuse what it made."""
    train.main([*TINY, "trainer.run_dir=run"])
    assert "error" not in capsys.readouterr().err
    torn = Path("torn.pt")
    torn.write_bytes(Path("run/checkpoints/last.pt").read_bytes()[:-5000])
    misuse: list[tuple[Callable[[list[str]], object], list[str], str]] = [
        (test.main, ["none.pt"], "none.pt"),
        (test.main, ["torn.pt"], "torn.pt"),
        (test.main, ["run/checkpoints/last.pt", "inference.mode=slid"], "inference.mode: must be one of whole, slide"),
        (test.main, ["run/checkpoints/last.pt", "dataset.root=nowhere"], "nowhere"),
        (predict.main, ["torn.pt", "data/images/val", "--output", "out"], "torn.pt"),
        (predict.main, ["run/checkpoints/last.pt", "data/images/none.jpg", "--output", "out"], "none.jpg"),
        (train.main, [*TINY, "trainer.run_dir=run", "trainer.resume=never"], "run"),
        (train.main, [*TINY, "trainer.resume=run/checkpoints/last.pt", "head=PSPNet"], "last.pt"),
        (train.main, [*TINY, "trainer.resume=run/checkpoints/last.pt", "dataset.class_names=[a,b]"], "last.pt"),
    ]
    for command, arguments, words in misuse:
        with pytest.raises(SystemExit) as stopped:
            command(arguments)
        error = capsys.readouterr().err
        assert stopped.value.code == 2, (arguments, error)
        assert words in error
        assert error.count("error: ") == 1, error
        assert "Traceback" not in error
    assert not Path("out").exists()


def test_the_command_line_itself(tmp_path: Path) -> None:
    """As a user meets it: a process, its exit code, its streams, its folder."""
    command = [sys.executable, "-m", "segkit.cli.train", "+experiment=quickstart", "scheduler.max_epoch=3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: scheduler.max_epoch: unknown key, did you mean 'max_epochs'")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
