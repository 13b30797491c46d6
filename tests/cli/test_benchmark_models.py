"""segkit-benchmark models: cells are measured, crashes and hangs are cells, and what was measured is kept."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.cli import benchmark, benchmark_models, model_checks
from segkit.cli.benchmark_models import Row, golden_cases, golden_difference, judged, measure
from segkit.cli.model_checks import Subject, check, compiled
from segkit.cli.model_table import COLUMNS, CONFIG_GROUPS, markdown, read_table, shipped_table
from segkit.config.component import CONFIGS
from segkit.config.docs import paper
from segkit.registry import BACKBONES, HEADS, NECKS

HEAD, BACKBONE = Subject("head", "FCN"), Subject("backbone", "CGNet")
DATA = Path(__file__).parents[1] / "golden" / "data"


@pytest.mark.parametrize("subject", [HEAD, BACKBONE], ids=["head", "backbone"])
def test_sound_models_pass(subject: Subject) -> None:
    for name in ("backward", "bf16", "batch1"):
        assert check(subject, name) == {name: "yes"}


def test_parameters_are_counted_without_computing() -> None:
    cells = check(BACKBONE, "parameters")
    model = BACKBONES.build(BACKBONES.config("CGNet")())
    assert cells["parameters"] == f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}"
    assert cells["stride"] == ", ".join(f"{feature.stride:g}" for feature in model.features)
    assert float(cells["gmacs"]) > 1


def test_a_head_that_pools_to_one_cell_needs_another_normalisation() -> None:
    assert check(Subject("head", "PSPNet"), "batch1") == {"batch1": "with GroupNorm"}


class Idle(nn.Module):
    """A parameter without gradient, and features that differ with every call and do not pass autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        self.calls = 0

    def forward(self, images: Tensor) -> list[Tensor]:
        self.calls += 1
        return [images * self.used * self.calls]


def test_faulty_models_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "build", lambda self, config: Idle())
    assert check(BACKBONE, "backward") == {"backward": "no: 1 without gradient, idle"}
    monkeypatch.setattr(Idle, "named_parameters", lambda self: iter([("used", self.used)]))
    assert check(BACKBONE, "backward") == {"backward": "yes"}
    assert check(BACKBONE, "bf16") == {"bf16": "no: off by 100.0%"}
    torch.compiler.reset()
    assert compiled(BACKBONE, "aot_eager") == "no: off by 100.0%"
    monkeypatch.setattr(Idle, "forward", lambda self, images: [images / (self.used - self.used)])
    assert check(BACKBONE, "backward") == {"backward": "no: 1 not finite, used"}
    monkeypatch.setattr(Idle, "forward", lambda self, images: [images[:, 7]])
    assert check(BACKBONE, "batch1")["batch1"].startswith("no: IndexError: ")


FAKE = """
import os, sys, time
for name in sys.argv[1:]:
    if name == "crash": os._exit(3)
    if name == "hang": time.sleep(60)
    print("noise"); print('{"check": "%s", "cells": {"%s": "yes"}}' % (name, name), flush=True)
"""


def test_a_crash_and_a_hang_are_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "fake"
    script.write_text(f"#!{sys.executable}\n{FAKE.replace('sys.argv[1:]', 'sys.argv[5:]')}")
    script.chmod(0o755)
    monkeypatch.setattr(benchmark_models.sys, "executable", str(script))
    cells = measure(Row("head", "FCN"), ["a", "crash", "b", "hang", "c"], 3)
    assert cells == {"a": "yes", "crash": "no: crash (3)", "b": "yes", "hang": "no: nothing after 3 s", "c": "yes"}


def test_golden_cases_belong_to_models(tmp_path: Path) -> None:
    cases = golden_cases(DATA)
    assert Row("head", "FCN") in cases
    assert [path.stem for path in cases[Row("head", "Segformer")]] == ["seg_segformer_mitb0"]
    assert {path.stem for path in cases[Row("neck", "JPU")]} == {"seg_fastfcn_encnet", "seg_fastfcn_pspnet"}
    assert {path.stem for path in cases[Row("head", "PSPNet")]} >= {"seg_fastfcn_pspnet", "seg_pspnet"}
    assert {path.stem for path in cases[Row("backbone", "CGNet")]} <= {"bb_cgnet"}
    assert golden_difference([], 1) == "no case"
    torn = tmp_path / "seg_torn.json"
    torn.write_text("{")
    assert golden_difference([torn], 100) == "no: seg_torn"
    assert golden_difference([DATA / "samplers.json"], 100).endswith("(1 case)")
    assert golden_difference([DATA / "samplers.json"], 0.01) == "no: samplers"


def test_a_case_that_the_checker_does_not_name_has_failed() -> None:
    output = "noise\na      2.4e-06  ok\nb            -  FAIL  segmentor: no head\nc      9.0e-07  ok\n"
    assert judged(output, ["a", "c"]) == "2e-06 (2 cases)"
    assert judged(output, ["a", "b", "d"]) == "no: b, d"


def test_the_table_in_the_docs_has_all_models_and_nothing_is_amiss() -> None:
    table = read_table(shipped_table())
    assert set(table) == {(row.group, row.title) for row in benchmark_models._rows([])}
    for (group, title), cells in table.items():
        assert set(cells) == set(COLUMNS), title
        assert cells["paper"] == paper(CONFIGS[CONFIG_GROUPS[group]][title.partition(" ")[0]]), title
        assert [column for column, cell in cells.items() if cell.startswith(("no:", "no at"))] == [], title


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = {
        ("head", "FCN (ResNet)"): {"parameters": "35.4", "onnx": "no: a | b"},
        ("neck", "JPU (FCN, ResNet)"): {"stride": "8"},
        ("backbone", "CGNet"): {"paper": "Wu et al., 2018", "stride": "2, 4, 8"},
    }
    path = tmp_path / "models.md"
    path.write_text(markdown(known))
    assert read_table(path) == known
    assert benchmark_models.Row("neck", "JPU").title == "JPU (FCN, ResNet)"
    assert read_table(tmp_path / "none.md") == {}


def test_the_command_fills_in_what_it_measures_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(benchmark_models, "measure", lambda row, checks, timeout_s: dict.fromkeys(checks, "yes"))
    output = tmp_path / "docs" / "models.md"
    benchmark.main(["models", "FCN", "CGNet", "--checks", "backward", "--output", str(output)])
    benchmark.main(["models", "FCN", "--checks", "onnx", "--output", str(output)])
    assert "Long et al., 2015" in capsys.readouterr().out
    found = read_table(output)
    paper = "Long et al., 2015, arXiv:1411.4038"
    assert found["head", "FCN (ResNet)"] == {"paper": paper, "backward": "yes", "onnx": "yes"}
    assert found["backbone", "CGNet"]["backward"] == "yes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models", "PSPnet"], "no head, neck or backbone is called 'PSPnet', did you mean 'PSPNet'"),
        (["models", "--checks", "onxx"], "--checks: no check is called 'onxx', did you mean 'onnx'"),
        (["models", "FCN", "--golden", "nowhere", "--checks", "golden"], "--golden: no folder nowhere"),
        (["step", "FCN"], "step takes no arguments: FCN"),
    ],
)
def test_mistakes(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_every_model_has_a_row() -> None:
    assert {row.name for row in benchmark_models._rows([])} == {*HEADS.names(), *NECKS.names(), *BACKBONES.names()}
    assert set(model_checks.NECK_HEADS) == set(NECKS.names())
    assert set(model_checks.PARTNERS.values()) <= set(BACKBONES.names())
    assert set(benchmark_models.CHECKS) - {"golden"} == set(model_checks.CHECKS)


def test_the_checks_print_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    model_checks.main(["backbone", "CGNet", "backward"])
    torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out) == {"check": "backward", "cells": {"backward": "yes"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compile", "onnx"])
def test_slow_checks(name: str) -> None:
    if name == "onnx":
        pytest.importorskip("onnxruntime", reason="pip install segkit[export]")
    (cell,) = measure(Row("backbone", "CGNet"), [name], 600).values()
    assert cell == "yes"
