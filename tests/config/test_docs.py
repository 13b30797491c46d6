"""What the sources say of themselves."""

import subprocess
import sys

import pytest

from segkit.config.component import CONFIGS
from segkit.config.docs import class_section, paper
from segkit.config.heads import FCNConfig


def test_papers() -> None:
    assert paper(FCNConfig) == "Long et al., 2015, arXiv:1411.4038"
    assert paper(CONFIGS["backbone"]["TIMMBackbone"]) == ""


@pytest.mark.parametrize("group", ["head", "backbone"])
def test_every_model_names_its_paper(group: str) -> None:
    assert [name for name, cls in CONFIGS[group].items() if not paper(cls) and name != "TIMMBackbone"] == []


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
