"""Writes what was understood of a folder as options of a config folder: a data set, and an experiment to train it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.data.own.images import ImageKind
from segkit.data.own.meaning import Meaning
from segkit.data.own.pairs import Pair
from segkit.errors import ConfigError

_OTHER_THINGS = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
"""Words that YAML does not take for words."""
_STEPS = 3000
"""Of a first training."""


@dataclass(frozen=True)
class OwnData:
    """All that is known of a folder of one's own.

    Attributes:
        name: of the options.
        root: the folder.
        splits: name -> pairs.
        meaning: of the label values.
        images: their kind.
    """

    name: str
    root: Path
    splits: Mapping[str, Sequence[Pair]]
    meaning: Meaning
    images: ImageKind


def write_options(data: OwnData, folder: Path, *, force: bool = False) -> list[Path]:
    """Writes ``dataset/NAME.yaml`` and ``experiment/NAME.yaml``, and lists of files where folders cannot tell.

    Args:
        data: what to write.
        folder: for ``--config-dir``.
        force: replace files that exist.

    Returns:
        The files.

    Raises:
        ConfigError: a file exists.
    """
    files = {
        folder / "dataset" / f"{data.name}.yaml": "",
        folder / "experiment" / f"{data.name}.yaml": _experiment(data),
    }
    folders = _as_folders(data)
    if folders is None:
        lists = {split: folder / "lists" / data.name / f"{split}.txt" for split in data.splits}
        lines = {s: [f"{p.image.as_posix()}\t{p.label.as_posix()}" for p in pairs] for s, pairs in data.splits.items()}
        files |= {lists[split]: "\n".join(lines[split]) + "\n" for split in data.splits}
        folders = {split: {"images": str(path.resolve())} for split, path in lists.items()}, ""
    files[folder / "dataset" / f"{data.name}.yaml"] = _dataset(data, *folders)
    exist = [str(path) for path in files if path.exists()]
    if exist and not force:
        raise ConfigError(f"{', '.join(exist)} exist already; --force replaces them, --name NAME writes others")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _as_folders(data: OwnData) -> tuple[dict[str, dict[str, str]], str] | None:
    """Two folders a split and the labels' ending, if that says it all: split -> its folders."""
    splits, endings = {}, set()
    for split, pairs in data.splits.items():
        images = _above([p.image for p in pairs])
        labels = _above([p.label for p in pairs])
        for pair in pairs:
            inside, ending = pair.image.relative_to(images), pair.label.name.removeprefix(pair.image.stem)
            if ending == pair.label.name or pair.label != labels / inside.parent / f"{inside.stem}{ending}":
                return None
            endings.add(ending)
        found = sum(path.is_file() for path in (data.root / images).rglob("*"))
        if images == labels or found != len(pairs):
            return None
        splits[split] = {"images": images.as_posix(), "labels": labels.as_posix()}
    return (splits, endings.pop()) if len(endings) == 1 else None


def _above(paths: Sequence[Path]) -> Path:
    """The deepest folder that holds all."""
    common = list(paths[0].parent.parts)
    for path in paths:
        parts = path.parent.parts
        common = common[: next((i for i, (a, b) in enumerate(zip(common, parts, strict=False)) if a != b), len(parts))]
    return Path(*common)


def _dataset(data: OwnData, splits: Mapping[str, Mapping[str, str]], ending: str) -> str:
    meaning = data.meaning
    fields: dict[str, Any] = {"root": str(data.root.resolve()), "splits": splits}
    if ending not in ("", ".png"):
        fields["label_suffix"] = ending
    fields["class_names"] = list(meaning.class_names)
    if meaning.colors is not None:
        fields |= {"label_format": "color", "colors": [list(color) for color in meaning.colors]}
        if meaning.ignore_colors:
            fields["ignore_colors"] = [list(color) for color in meaning.ignore_colors]
    if meaning.label_map is not None:
        fields["label_map"] = meaning.label_map
    if data.images.channels != 3:
        fields["channels"] = data.images.channels
    fields["train_transforms"], fields["val_transforms"] = _transforms(data.images)
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in data.splits.items())
    head = f"# {data.name}: {counts} images of {data.root.resolve()}. Made by segkit-data init; edit it as you like.\n"
    return head + "defaults: [FolderDataset, _self_]\n" + "".join(_field(*item) for item in fields.items())


def _field(name: str, value: Any) -> str:
    if name in ("splits", "train_transforms", "val_transforms"):
        return f"{name}:\n" + "".join(f"  {key}: {_flow(part)}\n" for key, part in value.items())
    return f"{name}: {_flow(value)}\n"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key}: {_flow(part)}" for key, part in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        if value.isidentifier() and value.lower() not in _OTHER_THINGS:
            return value
        value = value.replace("${", "\\${")  # what OmegaConf would fill in
    return json.dumps(value, ensure_ascii=False)


def _transforms(images: ImageKind) -> tuple[dict[str, Any], dict[str, Any]]:
    height, width = images.size
    side = max(32, min(512, min(height, width) // 32 * 32))
    normalize: dict[str, Any] = {"type": "Normalize"}
    if images.mean is not None and images.std is not None:
        normalize |= {"mean": images.mean, "std": images.std}
    train: dict[str, Any] = {
        "resize": {"type": "Resize", "output_size": [width, height], "scale_range": [0.5, 2.0]},
        "crop": {"type": "RandomCrop", "crop_size": [side, side], "one_category_max_ratio": 0.75},
        "flip": {"type": "RandomFlip", "prob": 0.5},
    }
    if images.mean is None:
        train["photometric"] = {"type": "PhotoMetricDistortion"}
    train |= {"normalize": normalize, "padding": {"type": "Padding", "output_size": [side, side]}}
    return train, {"normalize": normalize}


def _experiment(data: OwnData) -> str:
    count = len(data.splits["train"])
    batch = next(size for size in (8, 4, 2) if size <= count)
    epochs = min(300, max(5, round(_STEPS / (count / batch))))
    return f"""\
# @package _global_
# DeepLabV3+ on ResNet-18, {data.name}. Made by segkit-data init; edit it as you like.
defaults:
  - override /dataset: {data.name}
  - override /backbone: ResNet
  - override /head: Deeplabv3Plus
  - override /scheduler/optimizer: AdamW
backbone: {{ depth: 18, output_stride: 16 }} # pretrained: true starts from ImageNet, and learns more from less
head: {{ channels: 64 }}
dataloader: {{ total_batch_size: {batch} }}
scheduler:
  max_epochs: {epochs}
  optimizer: {{ lr: 1.0e-3 }}
trainer: {{ eval_interval_epochs: {max(1, epochs // 10)} }}
"""
