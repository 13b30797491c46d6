"""Composition: what a command line becomes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from segkit.config import store
from segkit.config.component import CONFIGS, plain_defaults, to_plain
from segkit.config.compose import compose, dump_yaml, expand_sweep
from segkit.config.validate import validate
from segkit.errors import ConfigError

EXPERIMENTS = sorted(path.stem for path in (store.conf_folder() / "experiment").glob("*.yaml"))
OPTIONS = [
    (group, option)
    for group in store.groups()
    if group != "experiment"
    for option in store.options(group)
    if (group, option) not in (("dataset", "FolderDataset"), ("dataset", "MultipleDataset"))  # alone they are refused
]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    config = compose([f"+experiment={name}"])
    assert config.trainer.name == name
    plain = to_plain(config)
    assert validate(plain) == config
    # The written file runs again as it is: alone in a folder, as an option of its own.
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "again.yaml").write_text(f"# @package _global_\n{dump_yaml(plain)}", encoding="utf-8")
    groups = [
        f"{group}={plain[group]['type']}" for group in ("dataset", "backbone", "head", "scheduler", "norm", "act")
    ]
    optimizer = f"scheduler/optimizer={plain['scheduler']['optimizer']['type']}"
    assert compose(["experiment=again", *groups, optimizer], tmp_path) == config


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group: str, option: str) -> None:
    rules = [] if group != "inference" else ["inference.crop_size=[64,64]", "inference.stride=[32,32]"]
    train = ["dataset=shapes_96x128"] if group != "dataset" else ["dataloader.total_batch_size=1", "head=FCN"]
    assert compose([*train, f"{group}={option}", *rules])


def test_experiment_works_with_and_without_plus() -> None:
    assert compose(["+experiment=quickstart"]) == compose(["experiment=quickstart"])


def test_the_command_line_beats_the_experiment() -> None:
    assert compose(["scheduler.max_epochs=7", "+experiment=quickstart"]).scheduler.max_epochs == 7


RECIPE = """
backbone: {type: ResNet, depth: 101, output_stride: 8, deep_stem: true, stem_channels: 64, contract_dilation: true,
  avg_down: false, pretrained: true}
head: {type: PSPNet, channels: 512, pool_scales: [1, 2, 3, 6], dropout: 0.1, align_corners: false}
auxiliary: {aux: {head: {type: FCN, channels: 512, num_convs: 1, dropout: 0.1}, level: -2, weight: 0.4}}
loss: {type: CrossEntropyLoss, weight: 1.0, class_weights: null, label_smoothing: 0.0}
scheduler: {type: PolyScheduler, power: 0.9, max_epochs: 60, min_lr: null, warmup: {length: 0},
  optimizer: {type: SGD, lr: 0.01, momentum: 0.9, weight_decay: 0.0005, nesterov: false, params_rules: {}}}
norm: {type: SyncBatchNorm, eps: 1.0e-05, momentum: 0.1}
act: {type: ReLU}
dataloader: {total_batch_size: 16, val_batch_size: 1, num_workers: 2}
dataset:
  type: ADE20kDataset
  train_split: train
  val_split: val
  repeat_times: 1
  train_transforms:
    resize: {type: Resize, output_size: [2048, 512], keep_ratio: true, scale_range: [0.5, 2.0], min_size: null}
    crop: {type: RandomCrop, crop_size: [512, 512], one_category_max_ratio: 0.75}
    flip: {type: RandomFlip, prob: 0.5, swaps: null}
    photometric: {type: PhotoMetricDistortion, brightness_delta: 32.0, contrast_range: [0.5, 1.5],
      saturation_range: [0.5, 1.5], hue_delta: 18}
    normalize: {type: Normalize, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}
    padding: {type: Padding, output_size: [512, 512], fill: 0.0}
  val_transforms:
    resize: {type: Resize, output_size: [2048, 512], keep_ratio: true, scale_range: null}
    normalize: {type: Normalize}
inference: {mode: whole, average: logits, tta: {scales: [1.0], flip: false}}
amp: {enabled: false}
ema: {enabled: false}
trainer: {eval_interval_epochs: 10, save_interval_epochs: 1, clip_grad_norm: null, accumulation_steps: 1}
logger: {log_interval_steps: 50}
"""


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Paths at which ``found`` lacks or contradicts what ``expected`` states."""
    if not isinstance(expected, dict):
        return [] if expected == found else [f"{path}: {found!r}, not {expected!r}"]
    return [line for key, value in expected.items() for line in differences(value, found.get(key), f"{path}.{key}")]


def test_the_published_recipe_is_the_published_recipe() -> None:
    """Against SSSegmentation's ``pspnet_resnet101os8_ade20k``."""
    config = compose(["+experiment=pspnet_r101_ade20k", "scheduler.max_epochs=60"])
    expected, found = yaml.safe_load(RECIPE), to_plain(config)
    assert differences(expected, found) == []
    assert list(expected["dataset"]["train_transforms"]) == list(found["dataset"]["train_transforms"])
    assert len(config.dataset.classes) == 150


def test_the_published_recipe_composes_without_overrides() -> None:
    assert compose(["+experiment=pspnet_r101_ade20k"]).scheduler.max_epochs == 130


def test_sweeps_expand_to_every_combination() -> None:
    jobs = expand_sweep(["a.b=1,2", "head=FCN,PSPNet", "c=[1,2]"])
    assert jobs == [[f"a.b={n}", f"head={head}", "c=[1,2]"] for n in (1, 2) for head in ("FCN", "PSPNet")]


PLUGIN = """
from typing import Literal
from pydantic import PositiveInt
from segkit.config.component import component
from segkit.config.heads import HeadConfig

@component
class TinyConfig(HeadConfig):
    \"\"\"A head of the user's own.\"\"\"
    type: Literal["Tiny"] = "Tiny"
    width: PositiveInt = 4
    \"\"\"Its width.\"\"\"
"""


def test_a_plugin_is_an_option_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_plugin_of_test.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(CONFIGS, "head", dict(CONFIGS["head"]))  # and forget it afterwards
    config = compose(["plugins=[my_plugin_of_test]", "head=Tiny", "head.width=7"])
    assert to_plain(config.head)["width"] == 7
    with pytest.raises(ConfigError, match=r"head\.widht: unknown key, did you mean 'width'"):
        compose(["plugins=[my_plugin_of_test]", "head=Tiny", "head.widht=7"])


def test_composition_is_light() -> None:
    """Nothing heavy is imported for help, a configuration, or an error."""
    heavy = ("torch", "numpy", "cv2", "timm", "albumentations", "matplotlib")
    code = (
        "import sys; from segkit.cli import train; train.main(['--cfg', 'job', '+experiment=pspnet_r101_ade20k']);"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "type: PSPNet" in done.stdout


def test_plain_data_is_plain() -> None:
    json.dumps(to_plain(compose(["+experiment=pspnet_r101_ade20k"])))


def test_defaults_are_read_off_the_fields() -> None:
    for options in CONFIGS.values():
        for name, cls in options.items():
            made = to_plain(cls())
            assert list(plain_defaults(cls).items()) == list(made.items()), name
