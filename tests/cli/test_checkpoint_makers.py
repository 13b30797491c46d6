"""segkit-checkpoint show, diff, average and publish, on checkpoints of a real training."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from support.checkpoints import write_untrained
from support.commands import exit_code
from support.runs import losses, tiny_config

import segkit
from segkit.checkpoint import read_checkpoint, write_checkpoint
from segkit.cli import test
from segkit.cli.checkpoint import main
from segkit.config.training import EmaConfig
from segkit.config.validate import validate
from segkit.engine.launch import train
from segkit.engine.run import RunFolder
from segkit.errors import CheckpointError

call = partial(exit_code, main)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with an average, which its monitor judges."""
    config = tiny_config(
        ema=EmaConfig(enabled=True, momentum=0.2),
        scheduler={"max_epochs": 2},
        trainer={"eval_interval_epochs": 1, "keep_checkpoints": 2, "monitor": "ema/miou"},
    )
    return RunFolder(train(config, tmp_path_factory.mktemp("runs") / "run").run_dir)


def test_show(run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert call("show", run.last) == 0
    told = capsys.readouterr().out
    for words in ("FCN on TIMMBackbone", "step 8, 2 epochs of 4 steps", "ema/miou 0.", "7 classes: background, disc"):
        assert words in told
    assert f"{run.last.stat().st_size / 1e6:.1f} MB" in told
    assert call("show", run.last, "--config") == 0
    assert validate(yaml.safe_load(capsys.readouterr().out)) == validate(yaml.safe_load(run.config.read_text()))
    assert call("show", run.last, "--json") == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["progress"]["step"] == 8
    assert tree["model"]["head.classify.1.bias"] == {"shape": [7], "dtype": "float32"}


def test_a_checkpoint_is_its_own_equal(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diff", run.last, run.last) == 0
    assert "tensors are the same" in capsys.readouterr().out


def test_diff(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    payload = read_checkpoint(run.last)
    model = {name: value.clone() for name, value in payload["model"].items()}
    model["head.classify.1.bias"][2] += 0.5
    model["head.classify.1.weight"][0, 0] = torch.nan
    model["extra"] = torch.zeros(3)
    config = payload["config"] | {"scheduler": payload["config"]["scheduler"] | {"max_epochs": 3}}
    classes = [*payload["classes"][:-1], "other"]
    write_checkpoint(tmp_path / "b.pt", payload | {"model": model, "config": config, "classes": classes})
    assert call("diff", run.last, tmp_path / "b.pt") == 1
    told = capsys.readouterr().out
    assert "  scheduler.max_epochs: 2 -> 3\n" in told
    assert f"  classes.6: {payload['classes'][6]} -> other\n" in told
    assert f"3 of {2 * len(payload['model']) + 1} tensors differ" in told
    rows = [line.split() for line in told.splitlines() if "model." in line]
    assert [row[1] for row in rows] == ["model.extra", "model.head.classify.1.weight", "model.head.classify.1.bias"]
    assert rows[0][3:7] == ["only", "in", "the", "second"]
    assert rows[1][3] == "nan"
    assert rows[2][3] == "0.5"
    assert rows[2][7] == "14.3%"


def test_average(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [run.checkpoints / f"epoch-{epoch:04d}.pt" for epoch in (1, 2)]
    assert call("average", *parts, "-o", tmp_path / "mean.pt") == 0
    assert "running statistics of batch normalisation are means, too" in capsys.readouterr().out
    first, second, mean = map(read_checkpoint, [*parts, tmp_path / "mean.pt"])
    for part in ("model", "ema"):
        for name, value in mean[part].items():
            a, b = first[part][name], second[part][name]
            if value.is_floating_point():
                torch.testing.assert_close(value, ((a.double() + b.double()) / 2).to(a.dtype), rtol=0, atol=0)
            else:
                assert torch.equal(value, torch.maximum(a, b))
    assert mean["metrics"] == {}
    assert segkit.load(tmp_path / "mean.pt", device="cpu")(np.zeros((32, 48, 3), np.uint8)).mask.shape == (32, 48)
    assert call("average", parts[0], parts[0], parts[0], "-o", tmp_path / "same.pt") == 0
    for name, value in read_checkpoint(tmp_path / "same.pt")["model"].items():
        assert torch.equal(value, first["model"][name])


def test_an_average_without_the_others_average(run: RunFolder, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "b.pt", read_checkpoint(run.last) | {"ema": None})
    assert call("average", run.last, tmp_path / "b.pt", "-o", tmp_path / "mean.pt") == 0
    assert read_checkpoint(tmp_path / "mean.pt")["ema"] is None


def test_mistaken_averages(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = run.last.read_bytes()
    assert call("average", run.last, "-o", tmp_path / "mean.pt") == 2
    assert "needs two checkpoints" in capsys.readouterr().err
    assert call("average", run.best, run.last, "-o", run.last) == 2
    assert "is one of the checkpoints to average" in capsys.readouterr().err
    assert run.last.read_bytes() == before


def test_published_weights_serve_everywhere(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("publish", run.best, "-o", tmp_path) == 0
    (file,) = tmp_path.iterdir()
    assert capsys.readouterr().out.startswith(f"{file}: ")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f"tiny-{digest[:8]}.safetensors"

    payload = read_checkpoint(run.best)
    with safe_open(file, "pt") as content:
        words = json.loads(content.metadata()["segkit"])
        assert set(content.keys()) == set(payload["ema"])
    assert words["metrics"] == {k.removeprefix("ema/"): v for k, v in payload["metrics"].items() if k[:4] == "ema/"}
    assert words["classes"] == payload["classes"]
    assert str(run.path) not in json.dumps(words)

    test.main([str(file), "-o", str(tmp_path / "figures.json")])
    assert "training: the same figures" in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["metrics"]["miou"] == payload["metrics"]["ema/miou"]
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    ours, theirs = (segkit.load(path, device="cpu")(image).mask for path in (file, run.best))
    assert np.array_equal(ours, theirs)
    config = tiny_config(scheduler={"max_steps": 1}, trainer={"init_from": file, "init_strict": True})
    train(config, tmp_path / "next")
    assert "loaded all " in capsys.readouterr().out
    assert losses(tmp_path / "next")


def test_publishing_twice_makes_one_file(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert call("publish", run.last, "-o", tmp_path, "--name", "my model/2", "--weights", "model") == 0
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("my-model-2-")
    assert read_checkpoint(file)["metrics"].keys() == {k for k in read_checkpoint(run.last)["metrics"] if "/" not in k}
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    assert call("show", file) == 0
    assert "NOT what the hash in its" in " ".join(capsys.readouterr().out.split())


def test_there_is_no_average_to_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_untrained(tmp_path / "a.pt", tiny_config())
    assert call("publish", file, "-o", tmp_path / "out", "--weights", "ema") == 2
    assert "has no averaged weights" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fine_tuning_lists_what_was_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_untrained(tmp_path / "a.pt", tiny_config())
    classes = {"scheduler": {"max_steps": 1}, "head": {"channels": 16, "num_convs": 0}}
    train(tiny_config(**classes, trainer={"init_from": file}), tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"{file}: loaded "))
    assert "backbone " in lines[at]
    assert "head 1 of 2" in lines[at]
    assert lines[at + 1].startswith("  these start anew: head.classify.1.weight (7x16x1x1 -> 7x")
    assert lines[at + 2].startswith("  in the file, but not in the model: head.convs.0.conv.weight (16x")
    with pytest.raises(CheckpointError, match=r"a\.pt: weights of another model: head\..*init_strict=false"):
        train(tiny_config(**classes, trainer={"init_from": file, "init_strict": True}), tmp_path / "other")
    assert not (tmp_path / "other").exists()
