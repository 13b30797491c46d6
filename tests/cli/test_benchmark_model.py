"""segkit-benchmark model: figures of one model, each form in a process of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.runs import tiny_config

from segkit.build import build_segmentor
from segkit.cli import benchmark, benchmark_model
from segkit.cli.benchmark_model import FORMS, FURTHER_FORMS, _table
from segkit.cli.model_checks import complexity
from segkit.cli.model_uses import predicting, training
from segkit.config.component import to_plain
from segkit.config.inference import InferenceConfig


def run(*arguments: object) -> None:
    benchmark.main(["model", *map(str, arguments)])


def test_complexity_grows_with_the_image() -> None:
    config = tiny_config()
    model = build_segmentor(config)
    small, large = (complexity(lambda: build_segmentor(config), (1, 3, side, 64)) for side in (32, 64))
    assert small.parameters == sum(p.numel() for p in model.parameters())
    assert large.macs == pytest.approx(2 * small.macs)


@pytest.mark.slow
def test_a_form_that_fails_says_why_in_its_line_and_the_others_are_measured(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(benchmark_model, "_device", str)  # cuda, where there is none
    output = tmp_path / "new" / "speed.json"
    run(checkpoint, "--size", "32x48", "--forms", "eager", "--seconds", "0.01", "--device", "cpu", "--json", output)
    (found,) = json.loads(output.read_text())["sizes"]
    assert (found["size"], found["batch"]) == ([32, 48], 1)
    assert found["complexity"]["parameters"] == sum(p.numel() for p in build_segmentor(tiny_config()).parameters())
    figures = found["forms"]["eager"]
    assert 0 < figures["median_s"] <= figures["p95_s"]
    assert figures["memory_bytes"] > 4 * found["complexity"]["parameters"]
    assert "FCN on TIMMBackbone, 7 classes; 1 x 32 x 48 on cpu" in " ".join(capsys.readouterr().out.split())
    run(checkpoint, "--size", "32x48", "--forms", "eager", "--device", "nonsense")
    assert "no: RuntimeError" in capsys.readouterr().out


@pytest.mark.slow
def test_all_forms_are_measured(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install segkit[export]")
    forms, output = (*FORMS, *FURTHER_FORMS), tmp_path / "a.json"
    options = ["--size", "32x48", "--batch", 2, "--seconds", 0.01, "--device", "cpu", "--forms", ",".join(forms)]
    run(checkpoint, *options, "--json", output)
    (found,) = json.loads(output.read_text())["sizes"]
    assert [name for name in forms if "error" in found["forms"][name]] == []


def test_a_step_trains_and_a_prediction_goes_by_windows() -> None:
    config, device = tiny_config(), torch.device("cpu")
    step = training(config, (32, 48), 2, device, compiled=False)
    first = step()
    assert first.seen.sum() > 1
    assert not torch.equal(next(iter(first.terms.values())), next(iter(step().terms.values())))
    slide = InferenceConfig(mode="slide", crop_size=(32, 32), stride=(16, 16))
    assert predicting(replace(config, inference=slide), (32, 48), 2, device)().shape == (2, 32, 48)


def test_a_process_that_hangs_is_ended() -> None:
    job = {
        "config": to_plain(tiny_config()),
        "form": "eager",
        "size": (32, 48),
        "batch": 1,
        "device": "cpu",
        "seconds": 1,
    }
    assert benchmark_model._measure(job, 0.01) == {"error": "nothing after 0.01 s"}


def test_figures_stand_beside_those_of_the_plain_form() -> None:
    figures = {
        name: {"dtype": "float32", "median_s": s, "p95_s": s, "images_per_s": 1 / s, "memory_bytes": 5e6}
        for name, s in (("eager", 0.3), ("compiled", 0.1))
    }
    table = _table(
        "a", (2, 3), 1, "cpu", {"parameters": 2_500_000, "macs": 1e9}, figures | {"exported": {"error": "so"}}
    )
    assert table.title == "a; 1 x 2 x 3 on cpu; 2.50 M parameters, 1.00 GMACs an image"
    assert list(table.columns[-1].cells) == ["-", "3.00", ""]
    assert [*table.columns[1].cells][2] == "no: so"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+experiment=quickstartt"], "did you mean 'quickstart'"),
        (["+experiment=quickstart", "--size", "64", "0x3"], "--size: must be HEIGHTxWIDTH, such as 512x1024 (got '64')"),
        (["+experiment=quickstart", "--forms", "eager,compield"], "no form is called 'compield', did you mean 'compiled'"),
        (["nowhere.pt"], "nowhere.pt: no such checkpoint"),
        (["a.pt", "b.pt"], "one checkpoint at a time"),
        (["+experiment=quickstart", "--batch", "0"], "--batch: must be positive (got 0)"),
        (["+experiment=quickstart", "--device", "tpu9"], "device: must be cpu, cuda"),
    ],
)  # fmt: skip
def test_mistakes(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
