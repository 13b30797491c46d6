"""segkit-test beyond the figures: reports, several checkpoints, outlines and calibration."""

import csv
import json
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch
from support.checkpoints import write_untrained
from support.commands import exit_code
from support.runs import tiny_config

from segkit.cli.test import main
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.transforms import NormalizeConfig

run = partial(exit_code, main)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An untrained model, and one beside it."""
    folder = tmp_path_factory.mktemp("models")
    config = tiny_config(dataset={"num_val": 7})
    first, second = write_untrained(folder / "first.pt", config), folder / "second.pt"
    payload = torch.load(first, weights_only=True)
    draw = torch.Generator().manual_seed(1)
    for value in payload["model"].values():
        if value.is_floating_point():
            value.add_(0.05 * torch.randn(value.shape, generator=draw))
    torch.save(payload, second)
    return first, second


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_report_has_tables_pictures_and_single_images(models: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = models
    out = tmp_path / "figures.json"
    assert run(first, "--metrics", "boundary,calibration", "--report", tmp_path / "report", "-o", out) == 0
    figures = json.loads(out.read_text())
    classes = rows(tmp_path / "report" / "classes.csv")
    assert [row["class"] for row in classes] == [*figures["classes"], "mean"]
    for row in classes[:-1]:
        figure = figures["classes"][row["class"]]
        for key, title in (("iou", "IoU"), ("boundary_iou", "boundary IoU"), ("boundary_fscore", "boundary F1")):
            assert row[title] == ("" if figure[key] is None else str(round(figure[key], 6)))
    assert float(classes[-1]["IoU"]) == pytest.approx(figures["metrics"]["miou"], abs=1e-6)
    assert 0 < figures["metrics"]["calibration_error"] < 1
    table = (tmp_path / "report" / "classes.tex").read_text()
    assert table.startswith(r"\begin{tabular}{lrrrrrrrr}")
    assert f"{100 * figures['metrics']['miou']:.2f}" in table

    images = rows(tmp_path / "report" / "images.csv")
    assert len(images) == 7
    scores = [float(row["miou"]) for row in images]
    assert scores == sorted(scores)
    for name in ("confusion", "worst", "reliability"):
        picture = cv2.imread(str(tmp_path / "report" / f"{name}.png"))
        assert picture is not None
        assert picture.std() > 5


def test_checkpoints_are_compared_over_the_same_images(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*models, "--report", tmp_path / "one") == 0
    told = capsys.readouterr().out
    assert "paired bootstrap" in told
    assert " s an image, " in told
    figures = json.loads(models[0].with_name(f"{models[0].stem}.val.json").read_text())
    assert figures["image_s"] > 0
    assert figures["memory_gb"] > 0.1
    first, second = rows(tmp_path / "one" / "comparison.csv")
    assert float(second["difference"]) == pytest.approx(float(second["miou"]) - float(first["miou"]))
    assert float(first["low"]) <= float(first["miou"]) <= float(first["high"])
    assert (tmp_path / "one" / "2-second" / "classes.csv").exists()
    assert float(rows(tmp_path / "one" / "2-second" / "classes.csv")[-1]["IoU"]) == pytest.approx(
        float(second["miou"]), abs=1e-6
    )


@pytest.mark.slow
def test_two_processes_write_the_same_report(models: tuple[Path, Path], tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        arguments = ("--metrics", "boundary,calibration", "--report", tmp_path / name, "-o", tmp_path / f"{name}.json")
        assert run(models[0], *arguments, f"trainer.devices={processes}") == 0
    for file in ("classes.csv", "classes.tex", "images.csv"):
        assert (tmp_path / "one" / file).read_text() == (tmp_path / "two" / file).read_text()
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["metrics"] == two["metrics"]


def test_a_single_class_has_its_reports_too(tmp_path: Path) -> None:
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "val").mkdir(parents=True)
    for number in range(3):
        image = (torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(number)) * 255).byte().numpy()
        cv2.imwrite(str(tmp_path / "images" / "val" / f"{number}.png"), image)
        cv2.imwrite(str(tmp_path / "labels" / "val" / f"{number}.png"), (image[..., 0] > 128).astype("uint8"))
    steps = {"n": NormalizeConfig()}
    data = FolderDatasetConfig(root=tmp_path, class_names=("crack",), val_transforms=steps, train_transforms=steps)
    checkpoint = write_untrained(tmp_path / "model.pt", tiny_config(dataset=data))
    assert run(checkpoint, "--metrics", "boundary,calibration", "--report", tmp_path / "report") == 0
    (row, mean) = rows(tmp_path / "report" / "classes.csv")
    assert row["class"] == "crack"
    assert row["IoU"] == mean["IoU"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--metrics", "bondary"), "'bondary' is none of boundary, calibration, did you mean 'boundary'?"),
        (("second.pt",), "second.pt: no such checkpoint"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], text: str, models: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models[0], *arguments) == 2
    assert text in capsys.readouterr().err


def test_one_file_of_figures_is_of_one_checkpoint(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*models, "-o", tmp_path / "x.json") == 2
    assert "--output: is of one checkpoint (got 2)" in capsys.readouterr().err
    other = write_untrained(tmp_path / "other.pt", tiny_config(), classes=list("abcdefg"))
    assert run(models[0], other) == 2
    assert "other.pt" in capsys.readouterr().err
