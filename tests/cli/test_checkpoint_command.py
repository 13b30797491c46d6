"""segkit-checkpoint: a checkpoint of SSSegmentation becomes one that every command reads."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.checkpoints import write_untrained
from support.commands import exit_code
from support.runs import tiny_config
from torch import Tensor

import segkit
from segkit.build import build_segmentor
from segkit.checkpoint import read_checkpoint
from segkit.cli.checkpoint import main, read_model_config
from segkit.config.component import to_plain
from segkit.config.compose import dump_yaml
from segkit.config.heads import FCNConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.transforms import NormalizeConfig
from segkit.engine.starting import init_weights
from segkit.errors import CheckpointError, ConfigError
from segkit.models.interop import convert_checkpoint
from segkit.models.interop.sssegmentation import config_from_facts

run = partial(exit_code, main)

CASE = Path(__file__).parents[1] / "golden" / "data" / "seg_fcn_cgnet.json"  # half a million weights
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Weights under the reference's names."""
    case = json.loads(CASE.read_text())
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.zeros(shape, dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.rand(shape, generator=generator) * 0.1 + 0.01
        for name, shape, *_ in case["state"]
    }


@pytest.fixture(scope="module")
def config() -> SegmentorConfig:
    """Ours, of the same model."""
    found = config_from_facts(json.loads(CASE.read_text())["facts"])
    data = replace(found.dataset, val_transforms={"normalize": NormalizeConfig()})
    return replace(found, dataset=data)


@pytest.fixture
def files(state: State, config: SegmentorConfig, tmp_path: Path) -> tuple[Path, Path]:
    """Their checkpoint, with an average, and the configuration."""
    average = {name: x + 1 for name, x in state.items()}
    torch.save({"model": state, "model_ema": average, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "theirs.pth")
    (tmp_path / "config.yaml").write_text(dump_yaml(to_plain(config)))
    return tmp_path / "theirs.pth", tmp_path / "config.yaml"


def test_what_is_written_serves_as_a_checkpoint(
    files: tuple[Path, Path], state: State, config: SegmentorConfig, tmp_path: Path
) -> None:
    output = tmp_path / "ours.pt"
    assert run("convert", files[0], "--config", files[1], "-o", output, "trainer.name=converted") == 0
    model = build_segmentor(config)
    model.load_state_dict(convert_checkpoint(state, config))
    assert "these start anew" not in init_weights(build_segmentor(config), output)
    assert read_checkpoint(output)["config"]["trainer"]["name"] == "converted"
    predictor = segkit.load(output, device="cpu")
    images = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(predictor.model(images), model.eval()(images))
    assert predictor(np.zeros((32, 48, 3), np.uint8)).mask.shape == (32, 48)


def test_the_average_is_taken_when_asked_for(files: tuple[Path, Path], state: State, tmp_path: Path) -> None:
    output = tmp_path / "ours.pt"
    assert run("convert", files[0], "--config", files[1], "-o", output, "--weights", "ema") == 0
    payload = read_checkpoint(output)
    assert payload["source"]["weights"] == "ema"
    assert payload["ema"] is None
    torch.testing.assert_close(payload["model"]["head.classify.1.bias"], state["decoder.1.bias"] + 1)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 1},
        lambda state: {"model": {f"module.{name}": x for name, x in state.items()}},
        lambda state: {"model": {name: x.half() if x.is_floating_point() else x for name, x in state.items()}},
    ],
    ids=["bare", "state_dict", "distributed", "half"],
)
def test_wrappings(wrap: Callable[[State], dict[str, Any]], state: State, config: SegmentorConfig) -> None:
    expected = build_segmentor(config).state_dict()
    converted = convert_checkpoint(wrap(state), config, expected=expected)
    assert converted.keys() == expected.keys()
    assert [n for n, x in converted.items() if x.dtype != expected[n].dtype] == []
    torch.testing.assert_close(converted["head.classify.1.bias"], state["decoder.1.bias"], rtol=1e-3, atol=1e-3)


def test_old_files_are_read(state: State, config: SegmentorConfig, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert convert_checkpoint(tmp_path / "old.pth", config).keys() == convert_checkpoint(state, config).keys()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


DAMAGES: dict[str, tuple[Callable[[State], object], list[str]]] = {
    "names": (
        lambda s: {"strange.weight": s["decoder.1.bias"], **{n: x for n, x in s.items() if n != "decoder.1.weight"}},
        ["1 unknown (strange.weight)", "1 missing (head.classify.1.weight)"],
    ),
    "classes": (
        lambda s: s | {"decoder.1.weight": s["decoder.1.weight"][:3]},
        ["1 of another shape (head.classify.1.weight"],
    ),
    "backbone": (lambda s: s | {"backbone_net.odd.weight": s["decoder.1.bias"]}, ["odd.weight"]),
    "no weights": (lambda s: {"model": 3, "epoch": 1}, ["no weights under model or state_dict; it holds model, epoch"]),
    "ours": (lambda s: {"format": "segkit", "model": s}, ["is a segkit checkpoint already"]),
    "a list": (lambda s: [1, 2], ["holds a list, not weights"]),
    "code": (lambda s: {"model": Bomb()}, ["torn, or not a checkpoint"]),
    "garbage": (lambda s: None, ["theirs.pth"]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_one_error_and_nothing_is_written(
    name: str,
    files: tuple[Path, Path],
    state: State,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    damage, words = DAMAGES[name]
    if name == "garbage":
        files[0].write_bytes(b"garbage")
    elif name == "code":
        files[0].write_bytes(pickle.dumps(damage(state)))
    else:
        torch.save(damage(state), files[0])
    before = sorted(tmp_path.rglob("*"))
    assert run("convert", files[0], "--config", files[1], "-o", tmp_path / "out" / "ours.pt") == 2
    told = capsys.readouterr().err
    assert told.count("error: ") == told.count("\n") == 1, told
    assert all(word in told for word in words), told
    assert str(files[0]) in told
    assert sorted(tmp_path.rglob("*")) == before


def test_there_is_no_average(files: tuple[Path, Path], state: State, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": state}, files[0])
    assert run("convert", files[0], "--config", files[1], "-o", "x.pt", "--weights", "ema") == 2
    assert "no weights under model_ema or ema; it holds model" in capsys.readouterr().err


def test_models_that_they_do_not_have(state: State, config: SegmentorConfig) -> None:
    class Own(FCNConfig):
        """Of a plug-in."""

    other = replace(config)
    object.__setattr__(other, "head", Own())
    with pytest.raises(CheckpointError, match="SSSegmentation has no FCN that is the same as ours"):
        convert_checkpoint(state, other)


def test_configurations(files: tuple[Path, Path], tmp_path: Path) -> None:
    config = read_model_config("+experiment=pspnet_r101_ade20k", ["head.channels=64"])
    assert (config.head.type, config.head.channels) == ("PSPNet", 64)
    assert read_model_config(str(files[1]), ["head=PSPNet"]).head.type == "PSPNet"
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "torn.yaml").write_text("{")
    for source, overrides, words in [
        ("none.yaml", [], "cannot read none.yaml"),
        (str(tmp_path / "list.yaml"), [], "holds no configuration"),
        (str(tmp_path / "torn.yaml"), [], "is no YAML"),
        (str(files[1]), ["haed.channels=3"], "haed: unknown key, did you mean 'head'"),
        (str(files[1]), ["head.channels=1,2"], "must be key=value with one value"),
    ]:
        with pytest.raises(ConfigError, match=words):
            read_model_config(source, overrides)


def test_show_tells_what_is_inside(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run("convert", files[0], "--config", files[1], "-o", tmp_path / "ours.pt")
    assert run("show", tmp_path / "ours.pt") == 0
    told = capsys.readouterr().out
    for words in ("FCN on CGNet", "class0, class1", "SSSegmentation, model of", "use trainer.init_from"):
        assert words in told
    changes = {
        "progress": {"step": 9},
        "steps_per_epoch": 4,
        "metrics": {"miou": 0.25},
        "optimizer": {"state": {}},
        "ema": {"x": torch.zeros(1)},
    }
    assert run("show", write_untrained(tmp_path / "tiny.pt", tiny_config(), **changes)) == 0
    told = capsys.readouterr().out
    for words in ("FCN on TIMMBackbone", "step 9, 2 epochs of 4 steps", "miou 0.2500", "7 classes"):
        assert words in told
    assert run("show", files[0]) == 2
    assert "not a segkit checkpoint" in capsys.readouterr().err


def test_a_model_can_be_described_without_a_training() -> None:
    config = read_model_config("head=PSPNet", ["dataset=FolderDataset", "dataset.class_names=[a,b]"])
    assert type(config.head).__name__ == "PSPNetConfig"  # although its images have no common size to train with
