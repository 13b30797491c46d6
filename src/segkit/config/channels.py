"""Channels of the images, and what must agree with them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from segkit.config.datasets import DatasetConfig
from segkit.config.heads import ICNeckConfig
from segkit.config.photometric import RGB2GrayConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.transforms import NormalizeConfig
from segkit.errors import Problem


def seen_channels(dataset: DatasetConfig, split: str = "train_transforms") -> int:
    """Channels of what the model sees: those of the images, unless a step changes their number."""
    count = dataset.image_channels
    for transform in getattr(dataset, split).values():
        if isinstance(transform, RGB2GrayConfig):
            count = transform.out_channels or 3
    return count


def channel_problems(config: SegmentorConfig) -> Iterator[Problem]:
    """Every part that does not fit the channels of the images."""
    yield from _model(config, seen_channels(config.dataset))
    if seen_channels(config.dataset, "val_transforms") != seen_channels(config.dataset):
        text = f"images must have as many channels as after train_transforms, {seen_channels(config.dataset)}"
        yield Problem("dataset.val_transforms", text)
    for split in ("train_transforms", "val_transforms"):
        yield from _steps(config.dataset, split)


def _model(config: SegmentorConfig, seen: int) -> Iterator[Problem]:
    parts: dict[str, Any] = {"backbone": config.backbone}
    if isinstance(config.head.neck, ICNeckConfig):
        parts["head.neck"] = config.head.neck
    for path, part in parts.items():
        if part.in_channels not in (None, seen):
            text = f"must be {seen}, the channels of the images, or null (got {part.in_channels})"
            yield Problem(f"{path}.in_channels", text)
            continue
        try:
            replace(part, in_channels=seen)
        except ValidationError as error:
            text = "; ".join(str(e["ctx"]["error"] if "ctx" in e else e["msg"]) for e in error.errors())
            yield Problem(path, f"does not fit images of {seen} channels: {text}")


def _steps(dataset: DatasetConfig, split: str) -> Iterator[Problem]:
    channels = dataset.image_channels
    for name, transform in getattr(dataset, split).items():
        where = f"dataset.{split}.{name}"
        if transform.needs == "rgb" and channels != 3:
            yield Problem(where, f"works on RGB images; these have {channels} channels; take it out")
        if isinstance(transform, RGB2GrayConfig):
            channels = transform.out_channels or 3
        if isinstance(transform, NormalizeConfig):
            yield from _statistics(where, transform, channels)


def _statistics(path: str, config: NormalizeConfig, channels: int) -> Iterator[Problem]:
    for key in ("mean", "std"):
        values = getattr(config, key)
        if len(values) != channels:
            text = f"must have a value for each of {channels} channels (got {len(values)})"
            yield Problem(f"{path}.{key}", text)
