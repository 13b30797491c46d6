"""What a model does in use, for :mod:`segkit.cli.model_speed`: a step of training, and prediction as configured."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from segkit.build import build_criterion, build_optimizer, build_preprocessor, build_segmentor, memory_format
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.amp import Precision
from segkit.engine.step import TrainModel, TrainStep
from segkit.inference.options import inference_options
from segkit.inference.precision import autocast
from segkit.inference.predict import predict_classes
from segkit.types import Batch

Size = tuple[int, int]


def predicting(config: SegmentorConfig, size: Size, batch: int, device: torch.device) -> Callable[[], Any]:
    """Normalised images on the device to class ids, by the windows and looks of ``config.inference``."""
    layout = memory_format(config, device)
    model: Any = build_segmentor(config).eval()
    model = model.to(device=device, memory_format=layout)
    channels = build_preprocessor(config).mean.numel()
    images = torch.randn(batch, channels, *size).to(device=device, memory_format=layout)
    options = inference_options(config)

    def run() -> Any:
        with autocast(config.amp, device):
            return predict_classes(model, images, options)

    return run


def training(
    config: SegmentorConfig, size: Size, batch: int, device: torch.device, *, compiled: bool
) -> Callable[[], Any]:
    """A step of training from uint8 pixels on the device: forward, losses, backward, update, as the trainer does it."""
    layout = memory_format(config, device)
    precision = Precision(config.amp, device)
    segmentor: Any = build_segmentor(config)
    segmentor = segmentor.to(device=device, memory_format=layout)
    model = TrainModel(segmentor, build_criterion(config), precision).to(device).train()
    if compiled:
        model.compile_network()
    optimizer = build_optimizer(replace(config.scheduler.optimizer, lr=1e-6), segmentor)  # random labels: stay put
    preprocess = build_preprocessor(config, layout).to(device)
    step = TrainStep(model, preprocess, optimizer, precision, config.trainer, device)
    part = _batch(preprocess.mean.numel(), len(config.dataset.classes), size, batch, device)

    def run() -> Any:
        with torch.enable_grad():
            return step([part])

    return run


def _batch(channels: int, num_classes: int, size: Size, batch: int, device: torch.device) -> Batch:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, channels, *size), generator=draw, dtype=torch.uint8)
    masks = torch.randint(0, num_classes, (batch, *size), generator=draw, dtype=torch.uint8)
    boxes = torch.tensor([[0, 0, *size]] * batch)
    edges = torch.zeros(batch, *size, dtype=torch.uint8, device=device)
    return Batch(images.to(device), masks.to(device), boxes.to(device), [""] * batch, [size] * batch, edges)
