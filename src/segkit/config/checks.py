"""Rules that tie several parts of a configuration together; all are checked, all that fail are told."""

import re
from collections.abc import Iterator
from typing import Any

from segkit.config.channels import channel_problems
from segkit.config.component import type_name
from segkit.config.datasets import ShapesConfig
from segkit.config.inference import InferenceConfig
from segkit.config.layers import BatchNorm2dConfig, SyncBatchNormConfig
from segkit.config.losses import CrossEntropyLossConfig, LossConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.spelling import hint
from segkit.config.transforms import (
    EdgeExtractorConfig,
    PaddingConfig,
    RandomCropConfig,
    RandomFlipConfig,
)
from segkit.errors import Problem

METRICS = ("miou", "all_accuracy", "macc", "mdice", "mfscore", "mprecision", "mrecall", "fwiou")
"""What ``trainer.monitor`` may name; each also as ema/<metric>."""


def cross_checks(config: SegmentorConfig, *, training: bool = True) -> list[Problem]:
    """Every rule that ``config`` breaks.

    Args:
        config: the configuration.
        training: check what only a training needs, too: batches, crops, losses, the schedule, files to start from.
    """
    of_use = (_classes, channel_problems, _inference)
    of_machine = (_monitor, _rehearsal, _nodes, _files)
    of_model = (_losses, _unread_loss, _auxiliary, _pooled_norm)
    of_training = (*of_model, _pipeline, _mixing, _batches, _schedule, *of_machine)
    rules = (*of_use, *of_training) if training else of_use
    return [problem for rule in rules for problem in rule(config)]


def named_losses(losses: LossConfig | dict[str, LossConfig] | Any, default: str = "loss") -> dict[str, Any]:
    """One loss, or several, as a mapping from name to loss."""
    return losses if isinstance(losses, dict) else {default: losses}


def crop_size(config: SegmentorConfig) -> tuple[int, int] | None:
    """(height, width) that training images have; None if they vary."""
    size = None
    for transform in config.dataset.train_transforms.values():
        if isinstance(transform, RandomCropConfig):
            size = transform.crop_size
        if isinstance(transform, PaddingConfig):
            size = transform.output_size
    return size


def _classes(config: SegmentorConfig) -> Iterator[Problem]:
    data = config.dataset
    count = len(data.classes)
    if not count:
        yield Problem("dataset.class_names", "is empty; name the classes, in the order of their ids")
    if count > 254:
        yield Problem("dataset.class_names", f"at most 254 classes are supported (got {count})")
    yield from (Problem(f"dataset.{problem.path}", problem.message) for problem in data.problems())
    if data.num_classes is not None and data.num_classes != count:
        yield Problem("dataset.num_classes", f"must be {count}, the number of class names (got {data.num_classes})")
    top = max(count, 2)  # one class answers yes or no: ids 0 and 1
    for raw, new in (data.label_map or {}).items():
        if new != "ignore" and new >= top:
            yield Problem(f"dataset.label_map.{raw}", f"must be ignore or a class id below {top} (got {new})")
    for name, transform in data.train_transforms.items():
        if isinstance(transform, RandomFlipConfig):
            for pair in transform.swaps or ():
                if max(pair) >= top:
                    path = f"dataset.train_transforms.{name}.swaps"
                    yield Problem(path, f"class ids must be below {top} (got {list(pair)})")


def _losses(config: SegmentorConfig) -> Iterator[Problem]:
    count = len(config.dataset.classes)
    places = {"loss": config.loss} | {
        f"auxiliary.{name}.loss": aux.loss for name, aux in config.auxiliary.items() if aux.loss is not None
    }
    for path, losses in places.items():
        for name, loss in named_losses(losses).items():
            where = f"{path}.{name}" if isinstance(losses, dict) else path
            yield from _loss(where, loss, count)


def _unread_loss(config: SegmentorConfig) -> Iterator[Problem]:
    """A loss that somebody chose and nothing would read."""
    head = config.head
    if head.output_weights or any(aux.loss is None for aux in config.auxiliary.values()):
        return
    if config.loss != CrossEntropyLossConfig():
        name = type_name(type(head))
        text = f"is not read: {name} brings its own losses, whose options are in `head`, and no auxiliary head takes it"
        yield Problem("loss", f"{text}; leave it out (`segkit-config show {name}` lists the options)")


def _loss(path: str, loss: Any, count: int) -> Iterator[Problem]:
    weights = getattr(loss, "class_weights", None)
    if weights is not None and len(weights) != count:
        yield Problem(f"{path}.class_weights", f"must have one weight for each of {count} classes (got {len(weights)})")
    if isinstance(loss, CrossEntropyLossConfig) and (loss.use_sigmoid or count == 1) and loss.label_smoothing:
        yield Problem(f"{path}.label_smoothing", "works with the softmax over several classes only; set it to 0")


def _auxiliary(config: SegmentorConfig) -> Iterator[Problem]:
    levels = len(config.backbone.strides)
    source = "the backbone"
    if levels and config.head.neck is not None:
        levels, source = config.head.neck.count(levels), "head.neck"
    for name, aux in config.auxiliary.items():
        if levels and not -levels <= aux.level < levels:
            text = f"{source} returns {levels} features; must be {-levels} to {levels - 1} (got {aux.level})"
            yield Problem(f"auxiliary.{name}.level", text)


def _pipeline(config: SegmentorConfig) -> Iterator[Problem]:
    size, strides = crop_size(config), config.backbone.strides
    if size and strides and min(size) < max(strides):
        text = f"a training image of {size[0]}x{size[1]} is smaller than the backbone's output stride {max(strides)}"
        yield Problem("dataset.train_transforms", f"{text}; enlarge crop_size or lower backbone.output_stride")
    crop: tuple[int, int] | None = None
    for name, transform in config.dataset.train_transforms.items():
        path = f"dataset.train_transforms.{name}"
        if isinstance(transform, RandomCropConfig):
            crop = transform.crop_size
        if (
            isinstance(transform, PaddingConfig)
            and crop
            and any(p < c for p, c in zip(transform.output_size, crop, strict=True))
        ):
            text = f"must be at least the crop_size {list(crop)} (got {list(transform.output_size)})"
            yield Problem(f"{path}.output_size", text)
    yield from _order(config)
    if size is None and config.dataloader.total_batch_size > 1 and not isinstance(config.dataset, ShapesConfig):
        yield Problem("dataset.train_transforms", "images of one batch need one size; add a RandomCrop and a Padding")


def _order(config: SegmentorConfig) -> Iterator[Problem]:
    """Edges that are out of date, and steps of training in evaluation."""
    edges = ""
    for name, transform in config.dataset.train_transforms.items():
        if edges and transform.changes_labels:
            text = f"must come before {edges}: it changes the labels that the edges are made from"
            yield Problem(f"dataset.train_transforms.{name}", text)
        if isinstance(transform, EdgeExtractorConfig):
            edges = name
    for name, transform in config.dataset.val_transforms.items():
        if transform.for_training:
            yield Problem(f"dataset.val_transforms.{name}", "is for training only; take it out")


def _mixing(config: SegmentorConfig) -> Iterator[Problem]:
    """Steps on whole batches: their order, and what cannot do with them."""
    steps = config.dataset.batch_transforms
    if not steps:
        return
    for name, step in list(steps.items())[:-1]:
        if step.softens_labels:
            text = "must come last, and once: the steps after it expect one label a pixel"
            yield Problem(f"dataset.batch_transforms.{name}", text)
    name, last = list(steps.items())[-1]
    if last.softens_labels and config.head.reads_labels:
        head: Any = config.head
        text = f"gives each pixel two labels, and {head.type} sorts pixels by one; use CutMix or ClassMix"
        yield Problem(f"dataset.batch_transforms.{name}", text)
    for edges, transform in config.dataset.train_transforms.items():
        if isinstance(transform, EdgeExtractorConfig):
            text = f"change the labels that {edges} has made edges from; take one of them out"
            yield Problem("dataset.batch_transforms", text)
    total, shares = config.dataloader.total_batch_size, processes(config) * config.trainer.accumulation_steps
    if total % shares == 0 and total // shares % 2:
        text = f"must divide by {2 * shares}, since dataset.batch_transforms mix images in pairs"
        yield Problem("dataloader.total_batch_size", f"{text} (got {total})")


def _batches(config: SegmentorConfig) -> Iterator[Problem]:
    total, parts = config.dataloader.total_batch_size, processes(config) * config.trainer.accumulation_steps
    if total % parts:
        nodes = f"trainer.nnodes ({config.trainer.nnodes}) x " if config.trainer.nnodes > 1 else ""
        made = f"{nodes}trainer.devices ({config.trainer.devices}) x trainer.accumulation_steps"
        near = sorted({max(total // parts, 1) * parts, (total // parts + 1) * parts})
        text = f"must divide by {parts}, {made}; use {' or '.join(map(str, near))} (got {total})"
        yield Problem("dataloader.total_batch_size", text)


def processes(config: SegmentorConfig) -> int:
    """Training processes as far as the configuration says; 1 a machine where the machine decides."""
    return config.trainer.nnodes * (1 if config.trainer.devices == "auto" else config.trainer.devices)


def _pooled_norm(config: SegmentorConfig) -> Iterator[Problem]:
    """Batch statistics of maps of one cell are of the images alone, and need two of them."""
    head = config.head
    pooled = head.pools_to_one_cell or (head.neck is not None and head.neck.pools_to_one_cell)
    backbone: Any = config.backbone
    parts: list[tuple[Any, bool, Any]] = [
        (head, pooled, config.norm),
        (backbone, backbone.pools_to_one_cell, getattr(backbone, "norm", None) or config.norm),
    ]
    for part, pools, norm in parts:
        if not pools or not isinstance(norm, (BatchNorm2dConfig, SyncBatchNormConfig)):
            continue
        shares = config.trainer.accumulation_steps
        if isinstance(norm, BatchNorm2dConfig):
            shares *= processes(config)
        images = config.dataloader.total_batch_size // shares
        if images <= 1:
            text = (
                f"{part.type} pools to 1x1, where batch normalisation needs 2 images or more (got {images} at a time)"
            )
            yield Problem("dataloader.total_batch_size", f"{text}; enlarge it, or use norm=GroupNorm")


def _inference(config: SegmentorConfig) -> Iterator[Problem]:
    inference: InferenceConfig = config.inference
    if inference.mode == "slide":
        for key in ("crop_size", "stride"):
            if getattr(inference, key) is None:
                yield Problem(f"inference.{key}", "slide mode needs it; give [height, width]")
        if inference.crop_size and inference.stride:
            for crop, step in zip(inference.crop_size, inference.stride, strict=True):
                if step > crop:
                    text = f"must not exceed crop_size {list(inference.crop_size)}, or pixels are left out"
                    yield Problem("inference.stride", f"{text} (got {list(inference.stride)})")
                    break
    for pair in inference.tta.swaps or ():
        if max(pair) >= len(config.dataset.classes):
            text = f"class ids must be below {len(config.dataset.classes)} (got {list(pair)})"
            yield Problem("inference.tta.swaps", text)


def _schedule(config: SegmentorConfig) -> Iterator[Problem]:
    scheduler = config.scheduler
    rate = scheduler.optimizer.lr
    if scheduler.min_lr is not None and scheduler.min_lr > rate:
        yield Problem("scheduler.min_lr", f"must not exceed the base rate {rate:g} (got {scheduler.min_lr:g})")
    warmup = scheduler.warmup
    length = scheduler.max_epochs if warmup.by_epoch else scheduler.max_steps
    if length is not None and warmup.length >= length:
        unit = "epochs" if warmup.by_epoch else "steps"
        text = f"must be shorter than the training of {length} {unit} (got {warmup.length})"
        yield Problem("scheduler.warmup.length", text)


def _monitor(config: SegmentorConfig) -> Iterator[Problem]:
    name = config.trainer.monitor
    if name.removeprefix("ema/") not in METRICS:
        text = f"must be one of {', '.join(METRICS)}, or ema/ and one of them (got {name!r})"
        yield Problem("trainer.monitor", text + hint(name, METRICS))
    if name.startswith("ema/") and not config.ema.enabled:
        yield Problem("trainer.monitor", f"{name} needs ema.enabled=true")


def _rehearsal(config: SegmentorConfig) -> Iterator[Problem]:
    if config.trainer.dry_run and config.trainer.debug is not None:
        yield Problem("trainer.debug", "cannot be set together with trainer.dry_run; choose one")


def _nodes(config: SegmentorConfig) -> Iterator[Problem]:
    trainer = config.trainer
    if trainer.node_rank is not None and trainer.node_rank >= trainer.nnodes:
        text = f"must be below trainer.nnodes {trainer.nnodes}; the first machine is 0 (got {trainer.node_rank})"
        yield Problem("trainer.node_rank", text)
    if trainer.rendezvous is None:
        return
    if not re.fullmatch(r"[\w.-]+(:[1-9]\d{0,4})?", trainer.rendezvous):
        text = f"must be machine 0's address, as in 10.0.0.1 or gpu1:29500 (got {trainer.rendezvous!r})"
        yield Problem("trainer.rendezvous", text)
    if trainer.nnodes == 1:
        yield Problem("trainer.rendezvous", "is for several machines; set trainer.nnodes to their number")


def _files(config: SegmentorConfig) -> Iterator[Problem]:
    paths = {
        "backbone.weights": config.backbone.weights,
        "trainer.init_from": config.trainer.init_from,
        "trainer.resume": None if isinstance(config.trainer.resume, str) else config.trainer.resume,
    }
    for key, path in paths.items():
        if path is not None and not path.is_file():
            extra = "; must be auto, never or a checkpoint" if key == "trainer.resume" else ""
            yield Problem(key, f"no file {path}{extra}")
    run_dir = config.trainer.run_dir
    if run_dir is not None and run_dir.exists() and not run_dir.is_dir():
        yield Problem("trainer.run_dir", f"{run_dir} is a file; name a folder")
