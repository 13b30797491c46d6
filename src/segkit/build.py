"""Configs to objects: the one place where the two meet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import torch
from torch import nn
from torch.optim import Optimizer

from segkit.config.channels import seen_channels
from segkit.config.checks import named_losses
from segkit.config.datasets import DatasetConfig
from segkit.config.heads import AuxiliaryConfig, HeadConfig
from segkit.config.losses import LossConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import OptimizerConfig, SchedulerConfig
from segkit.config.transforms import (
    NormalizeConfig,
    PaddingConfig,
    RandomFlipConfig,
    ToTensorConfig,
    TransformConfig,
)
from segkit.data.batch_transforms.base import BatchMixer
from segkit.data.counts import count_classes
from segkit.data.loader import EvalLoader, Source, TrainLoader
from segkit.data.orders import ClassBalanced, Order, order_of
from segkit.data.pipeline import Pipeline
from segkit.data.preprocess import Preprocessor
from segkit.dist import rank, world_size
from segkit.errors import ConfigError, Problem
from segkit.layers.defaults import layer_defaults
from segkit.losses.criterion import Criterion
from segkit.models.heads.base import Head
from segkit.models.necks.base import Neck
from segkit.models.segmentor import Segmentor
from segkit.models.unread import require_readers
from segkit.optim.optimizers import make_optimizer
from segkit.optim.schedulers import Scheduler
from segkit.registry import BACKBONES, BATCH_TRANSFORMS, DATASETS, HEADS, LOSSES, NECKS, SCHEDULERS, TRANSFORMS
from segkit.types import Dataset, FeatureSpec


def build_segmentor(config: SegmentorConfig, *, training: bool = False) -> Segmentor:
    """The model: channels follow from the backbone, the number of classes from the data set.

    Args:
        config: the configuration.
        training: refuse parts that a training would never change, as no head reads what they make.

    Raises:
        ConfigError: if parts do not fit each other.
    """
    num_classes = len(config.dataset.classes)
    if not num_classes:
        raise ConfigError([Problem("dataset", "names no classes; a head needs one output for each")])
    channels = seen_channels(config.dataset)
    with layer_defaults(config.norm, config.act):
        backbone = BACKBONES.build(_for_images(config.backbone, channels))
        neck = _build_neck(config.head, backbone, channels)
        features = backbone.features if neck is None else neck.features
        head = HEADS.build(config.head, features, num_classes)
        auxiliary = {name: _build_auxiliary(name, aux, features, num_classes) for name, aux in config.auxiliary.items()}
    model = Segmentor(backbone, head, auxiliary, neck)
    if training:
        require_readers(config, model)
    return model


def memory_format(config: SegmentorConfig, device: torch.device) -> torch.memory_format:
    """The memory order of images and weights: ``trainer.channels_last``, or what trains fastest on the device."""
    wanted = config.trainer.channels_last
    # A CPU's backward pass copies weights to and fro: 7 % of a step of PSPNet-R50.
    channels_last = device.type != "cpu" if wanted is None else wanted
    return torch.channels_last if channels_last else torch.contiguous_format


def build_criterion(config: SegmentorConfig) -> Criterion:
    """The training loss of every output; an auxiliary head without losses of its own takes the main ones.

    Raises:
        ConfigError: if an auxiliary head has the name of an output of the main one.
    """
    num_classes = len(config.dataset.classes)
    weights = dict(config.head.output_weights)
    losses = {output: _build_losses(config.loss, num_classes) for output in weights}
    for name, aux in config.auxiliary.items():
        if name in weights:
            raise ConfigError([Problem(f"auxiliary.{name}", "is the name of an output of the main head; rename it")])
        weights[name] = aux.weight
        losses[name] = _build_losses(config.loss if aux.loss is None else aux.loss, num_classes)
    own = _head_class(config.head).own_criterion(config.head, num_classes)
    return Criterion(losses, weights, config.head.align_corners, own)


def _for_images(config: Any, channels: int) -> Any:
    """A config whose ``in_channels``, if it has any, is told."""
    return replace(config, in_channels=channels) if getattr(config, "in_channels", 0) is None else config


def _build_neck(config: HeadConfig, backbone: Any, channels: int) -> Neck | None:
    if config.neck is None:
        return None
    neck: Neck = NECKS.build(_for_images(config.neck, channels), backbone.features, config.align_corners)
    neck.prepare(backbone)
    return neck


def _build_auxiliary(
    name: str, config: AuxiliaryConfig, features: Sequence[FeatureSpec], num_classes: int
) -> tuple[Head, int]:
    """The head and its level, counted from the finest."""
    path = f"auxiliary.{name}"
    if not name.isidentifier() or hasattr(nn.ModuleDict, name):
        raise ConfigError([Problem(path, "cannot be the name of a module; use letters, digits and _, such as aux")])
    count = len(features)
    if not -count <= config.level < count:
        text = f"there are {count} features; must be {-count} to {count - 1} (got {config.level})"
        raise ConfigError([Problem(f"{path}.level", text)])
    if config.head.neck is not None:
        raise ConfigError([Problem(f"{path}.head.neck", "must be null; the main head's neck serves all heads")])
    level = config.level % count
    return HEADS.build(config.head, features[: level + 1], num_classes), level


def _build_losses(config: LossConfig | Mapping[str, LossConfig], num_classes: int) -> dict[str, nn.Module]:
    return {name: LOSSES.build(loss, num_classes) for name, loss in named_losses(config).items()}


def _head_class(config: HeadConfig) -> type[Head]:
    return HEADS.component(config)


_ON_DEVICE = (NormalizeConfig, PaddingConfig, ToTensorConfig)
"""Steps that the preprocessor and the loader take over."""

Role = Literal["train", "val"]
"""Whether a split serves training or evaluation; the data set's config names it."""


def build_dataset(config: SegmentorConfig, role: Role) -> Dataset:
    """The split to train or to evaluate on: raw samples, their labels already class ids.

    Raises:
        DatasetError: files are missing.
    """
    split = config.dataset.train_split if role == "train" else config.dataset.val_split
    dataset: Dataset = DATASETS.build(config.dataset, split)
    return dataset


def build_pipeline(config: SegmentorConfig, role: Role) -> Pipeline:
    """The host's transforms; in evaluation, labels keep their size."""
    host = [t for t in _transforms(config.dataset, role) if not isinstance(t, _ON_DEVICE)]
    return Pipeline([TRANSFORMS.build(t) for t in host], keep_masks=role == "val")


def build_preprocessor(
    config: SegmentorConfig, memory_format: torch.memory_format = torch.contiguous_format
) -> Preprocessor:
    """The device's transforms: normalisation and the fill of padding, as the two splits' pipelines agree on.

    Raises:
        ConfigError: they disagree, or come before a transform of the host.
    """
    normalize, fills = [], []
    for role in ("train", "val"):
        steps = _transforms(config.dataset, role)
        normalize += [t for t in steps if isinstance(t, NormalizeConfig)]
        fills += [t.fill for t in steps if isinstance(t, PaddingConfig)]
    if any(n != normalize[0] for n in normalize) or any(f != fills[0] for f in fills):
        text = "Normalize and the fill of Padding must be the same as in train_transforms: the model knows one input"
        raise ConfigError([Problem("dataset.val_transforms", text)])
    channels = seen_channels(config.dataset)
    chosen = normalize[0] if normalize else NormalizeConfig(mean=(0.0,) * channels, std=(1.0,) * channels)
    return Preprocessor(chosen.mean, chosen.std, fill=fills[0] if fills else 0.0, memory_format=memory_format)


def build_mixer(config: SegmentorConfig) -> BatchMixer:
    """The mixing of training batches, for this process."""
    steps = [BATCH_TRANSFORMS.build(step) for step in config.dataset.batch_transforms.values()]
    return BatchMixer(steps, seed=config.trainer.seed, rank=rank(), world_size=world_size())


@overload
def build_loader(config: SegmentorConfig, role: Literal["train"], dataset: Dataset | None = None) -> TrainLoader: ...
@overload
def build_loader(config: SegmentorConfig, role: Literal["val"], dataset: Dataset | None = None) -> EvalLoader: ...
def build_loader(config: SegmentorConfig, role: Role, dataset: Dataset | None = None) -> TrainLoader | EvalLoader:
    """The loader of this process.

    Args:
        config: the configuration.
        role: ``train`` gives an endless stream that can be entered at any step, ``val`` one pass.
        dataset: the split, if it is built already.

    Raises:
        DatasetError: files are missing.
        ConfigError: batches do not divide over the processes.
    """
    padding = [t.output_size for t in _transforms(config.dataset, role) if isinstance(t, PaddingConfig)]
    source = Source(
        build_dataset(config, role) if dataset is None else dataset,
        build_pipeline(config, role),
        seed=config.trainer.seed,
        skip_errors=role == "train" and config.dataset.on_error == "skip",
        pad_to=padding[-1] if padding else None,
        lazy=role == "train" and config.dataset.reduce_jpegs,
    )
    if role == "val":
        return EvalLoader(source, config.dataloader, rank=rank(), world_size=world_size())
    return TrainLoader(
        source,
        config.dataloader,
        order=_build_order(config, source.dataset),
        repeat_times=config.dataset.repeat_times,
        accumulation_steps=config.trainer.accumulation_steps,
        rank=rank(),
        world_size=world_size(),
    )


def _build_order(config: SegmentorConfig, dataset: Dataset) -> Order:
    """Which samples an epoch visits: the data set's own order, or as rare classes ask for."""
    order = order_of(dataset)
    balance = config.dataloader.class_balance
    if not balance.enabled:
        return order
    pixels = count_classes(dataset, skip_errors=config.dataset.on_error == "skip")
    return ClassBalanced(order.visits, pixels, temperature=balance.temperature, min_pixels=balance.min_pixels)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    """The optimiser of a model that is on its device already.

    Raises:
        ConfigError: a rule matches no parameter, or there is nothing to train.
    """
    return make_optimizer(config, model)


def build_scheduler(config: SchedulerConfig, steps_per_epoch: int) -> Scheduler:
    """The learning rate of every step, and how many there are."""
    scheduler: Scheduler = SCHEDULERS.build(config, steps_per_epoch)
    return scheduler


def _transforms(config: DatasetConfig, role: Role) -> list[TransformConfig]:
    """The steps of a split.

    Raises:
        ConfigError: normalisation or padding comes before a transform of the host.
    """
    field = "train_transforms" if role == "train" else "val_transforms"
    steps: dict[str, TransformConfig] = getattr(config, field)
    device: str | None = None
    for name, step in steps.items():
        if isinstance(step, _ON_DEVICE):
            device = name
        elif device is not None:
            text = f"must come before {device}, which runs on the device"
            raise ConfigError([Problem(f"dataset.{field}.{name}", text)])
    return [_with_pairs(step, config) for step in steps.values()]


def _with_pairs(step: TransformConfig, config: DatasetConfig) -> TransformConfig:
    """A flip that is told which classes of the data set trade places."""
    if isinstance(step, RandomFlipConfig) and step.swaps is None:
        return replace(step, swaps=config.flip_pairs)
    return step
