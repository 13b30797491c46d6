"""What the sources say of themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from segkit.cli.config import main
from segkit.config.component import CONFIGS
from segkit.config.dataset_docs import END, START, dataset_lines, published, renew
from segkit.config.docs import class_section, paper
from segkit.config.heads import FCNConfig
from segkit.config.layers import ReLUConfig
from segkit.errors import ConfigError


def test_papers() -> None:
    assert paper(FCNConfig) == "Long et al., 2015, arXiv:1411.4038"
    assert paper(ReLUConfig) == ""


@pytest.mark.parametrize("group", ["head", "head/neck", "backbone"])
def test_every_model_names_its_paper(group: str) -> None:
    assert [name for name, cls in CONFIGS[group].items() if not paper(cls)] == []


def test_outputs_come_from_the_class() -> None:
    assert class_section("segkit.models.heads", "FCN", "Output") == "(N, K, H_last, W_last)."
    text = class_section("segkit.models.backbones", "ResNet", "Output")
    assert text.startswith("stages ``out_indices``;")
    assert text.endswith(".")  # over the end of the line
    assert class_section("segkit.models.heads", "Nothing", "Output") == ""


def test_show_tells_paper_and_output_without_torch() -> None:
    code = """
import sys
from segkit.cli.config import main
main(["show", "OCRNet"])
sys.exit(",".join({"torch", "numpy", "timm"} & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "paper:  Yuan et al., 2020, arXiv:1909.11065" in done.stdout
    assert "trained outputs: main (factor 1), aux (factor 0.4)" in done.stdout
    lines = r"^measured of OCRNet \(ResNet\):\n  parameters, M: \d.*\n  GMACs: \d.*\n(  .*\n)+  ONNX: yes$"
    assert re.search(lines, done.stdout, re.MULTILINE)
    assert "docs/models.md" in done.stdout


@pytest.mark.parametrize(
    ("name", "title"),
    [("JPU", "JPU (FCN, ResNet)"), ("HRNet", "HRNet"), ("MaskFormer", "MaskFormer (SwinTransformer)")],
)
def test_show_tells_what_was_measured(name: str, title: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", name])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("measured of ")]
    assert told == [f"measured of {title}:"]
    main(["show", "CrossEntropyLoss"])
    assert "measured of" not in capsys.readouterr().out


def test_the_page_of_data_sets_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert renew(page) == page, "run `segkit-config datasets --write docs/datasets.md`"
    with pytest.raises(ConfigError, match="between which the table goes"):
        renew(page.replace(END, ""))
    assert renew(f"a\n{START}\nold\n{END}\nb\n").startswith(f"a\n{START}\n| data set")


def test_every_published_data_set_says_what_it_is() -> None:
    for name, config in published().items():
        words = {line.partition(":")[0]: line.partition(":")[2].strip() for line in dataset_lines(config)}
        assert {"classes", "splits", "files", "labels", "submission", "get it"} <= set(words), name
        assert "{id}" in words["files"]
    cityscapes = dict(line.split(":", 1) for line in dataset_lines(published()["CityScapesDataset"]))
    assert cityscapes["splits"].strip() == "train 2975, val 500, trainval 3475, test 1525 (no labels)"
    assert cityscapes["labels"].strip() == (
        "7-8 -> 0-1, 11-13 -> 2-4, 17 -> 5, 19-28 -> 6-15, 31-33 -> 16-18; ignored: 0-6, 9-10, 14-16, 18, 29-30, 255"
    )
