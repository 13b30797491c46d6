"""segkit-test: the figures of the training, again."""

import json
from functools import partial
from pathlib import Path

import pytest
from support.checkpoints import write_untrained
from support.commands import exit_code
from support.runs import tiny_config

from segkit.cli.test import main, take_processes
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.transforms import NormalizeConfig
from segkit.engine.launch import train
from segkit.engine.records import read_log
from segkit.errors import ConfigError

run = partial(exit_code, main)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose average is judged."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = tiny_config(
        ema={"enabled": True, "momentum": 0.3},
        trainer={"monitor": "ema/miou"},
        scheduler={"max_epochs": 2},
        dataset={"num_val": 7},
    )
    train(config, folder)
    return folder


OTHER = "{type: FolderDataset, class_names: [a, b], val_transforms: {n: {type: Normalize}}}"


def test_the_figures_are_those_of_the_training_log(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged = [record for record in read_log(trained / "log.jsonl") if record["kind"] == "val"][-1]
    checkpoint = trained / "checkpoints" / "last.pt"
    capsys.readouterr()
    for weights, prefix in (("auto", "ema/"), ("model", "")):
        assert run(checkpoint, "--weights", weights, "-o", tmp_path / "out.json") == 0
        figures = json.loads((tmp_path / "out.json").read_text())
        assert figures["weights"] == ("ema" if prefix else "model")
        assert figures["metrics"] == {name: logged[f"{prefix}{name}"] for name in figures["metrics"]}
        assert set(figures["metrics"]) >= {"miou", "macc", "mdice", "mfscore", "mprecision", "mrecall", "fwiou"}
        told = capsys.readouterr().out
        assert "training: the same figures" in told
        assert ("their average (ema)" in told) == bool(prefix)
        assert f"miou {figures['metrics']['miou']:.4f}" in told


def test_figures_stand_beside_the_checkpoint(trained: Path) -> None:
    assert run(trained / "checkpoints" / "best.pt", "--split", "train") == 0
    figures = json.loads((trained / "checkpoints" / "best.train.json").read_text())
    assert figures["split"] == "train"
    assert sum(c["support"] for c in figures["classes"].values()) > 0.8 * 32 * 32 * 48
    assert set(figures["classes"]["disc"]) == {"iou", "accuracy", "dice", "fscore", "precision", "recall", "support"}


def test_several_processes_count_the_same(trained: Path, tmp_path: Path) -> None:
    """Seven images over two processes, which do not divide."""
    checkpoint = trained / "checkpoints" / "last.pt"
    outputs = [tmp_path / "1.json", tmp_path / "2.json"]
    assert run(checkpoint, "-o", outputs[0], "trainer.num_threads=1") == 0
    assert run(checkpoint, "-o", outputs[1], "trainer.num_threads=1", "trainer.devices=2") == 0
    one, two = (json.loads(path.read_text()) for path in outputs)
    assert one["classes"] == two["classes"]
    assert one["metrics"] == two["metrics"]
    assert (one["processes"], two["processes"]) == (1, 2)
    assert min(one["image_s"], two["image_s"], two["memory_gb"]) > 0


def test_more_looks_change_the_figures(trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "last.pt"
    arguments = ["inference.tta.flip=true", "inference.tta.scales=[1.0,1.5]", "dataset.num_val=3"]
    assert run(checkpoint, "-o", tmp_path / "out.json", *arguments) == 0
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["tta"] is True
    assert figures["changes"] == arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "vall"], "Shapes has no split 'vall'"),
        (["dataset.rot=x"], "dataset.rot: unknown key, did you mean 'root'?"),
        (["head.channels=3"], "cannot be changed for a trained model"),
        (["trainer.devices=0"], "trainer.devices: must be a positive integer (got '0')"),
        pytest.param(["trainer.devices=2", "--split", "vall"], "Shapes has no split 'vall'", marks=pytest.mark.slow),
        (["--tta"], "inference.tta: is a single plain look"),
        (["--device", "cuda:99"], "there is no cuda:99"),
        (["-o", "/proc/none/out.json"], "cannot be written"),
        (
            ["dataset={type: FolderDataset, class_names: [a, b]}"],
            "dataset.val_transforms: must hold Normalize with mean",
        ),
        (["dataset.val_transforms.normalize.mean=[0,0,0]"], "dataset.val_transforms: must hold Normalize with mean"),
        ([f"dataset={OTHER}"], "has 2 classes that are not the 7"),
    ],
)
def test_mistakes_are_told_in_a_line(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(trained / "checkpoints" / "last.pt", *arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert all(line.startswith("error: ") for line in told.splitlines()), told


def test_missing_data_and_missing_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = FolderDatasetConfig(
        class_names=("a", "b"), root=tmp_path / "data", val_transforms={"normalize": NormalizeConfig()}
    )
    checkpoint = write_untrained(tmp_path / "a.pt", tiny_config(dataset=data, dataloader={"total_batch_size": 1}))
    assert run(checkpoint) == 2
    assert f"dataset.root: no folder {tmp_path / 'data'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "expected"),
    [([], 1), (["trainer.devices=2"], 2), (["+trainer.devices=3"], 3), (["trainer.devices=2", "trainer.devices=4"], 4)],
)
def test_processes_are_taken_out_of_the_changes(lines: list[str], expected: int) -> None:
    assert take_processes([*lines, "dataset.root=x"]) == (expected, ["dataset.root=x"])


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_processes_are_a_positive_integer(value: str) -> None:
    with pytest.raises(ConfigError, match="positive integer"):
        take_processes([f"trainer.devices={value}"])
