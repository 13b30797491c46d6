"""Sliding windows over 512 x 1024 pixels, against windows that are padded to the full image before they are added."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from segkit.build import build_segmentor
from segkit.config.backbones import ResNetConfig
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import PSPNetConfig
from segkit.config.inference import InferenceConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.inference.predict import predict_classes
from segkit.ops.windows import windows

_SIZE = (512, 1024)
_OPTIONS = InferenceConfig(mode="slide", crop_size=(256, 256), stride=(170, 170))
_BAR = 1.5


@torch.no_grad()
def run(rounds: int = 3) -> None:
    """Prints the median time of an image, from pixels to classes, the ways taking turns.

    The network alone sees the same windows, in batches of four, and nothing is made of its output: no way of handling
    windows can be faster.
    """
    table = Table(
        "classes", "dtype", "way", "s", "times segkit's", f"bar {_BAR}", title="slide, PSPNet-R18, 512 x 1024, crop 256"
    )
    image = torch.randn(1, 3, *_SIZE, generator=torch.Generator().manual_seed(0))
    for num_classes in (19, 150):
        model = _model(num_classes)
        for dtype in (torch.float32, torch.bfloat16):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
                times = _times(model, image, rounds, agree=0.999 if dtype is torch.float32 else 0.97)
            for way, seconds in times.items():
                ratio = seconds / times["segkit"]
                verdict = ("met" if ratio >= _BAR else "missed") if way == "padded windows" else ""
                name = str(dtype).removeprefix("torch.")
                table.add_row(str(num_classes), name, way, f"{seconds:.2f}", f"{ratio:.2f}", verdict)
            table.add_section()
    Console().print(table)


def _times(model: Any, image: Tensor, rounds: int, agree: float) -> dict[str, float]:
    """Way -> median seconds; raises RuntimeError if the two results do not ``agree`` on that share of the pixels."""
    crops = torch.cat([image[:, :, w.top : w.bottom, w.left : w.right] for w in windows(_SIZE, (256, 256), (170, 170))])
    ways: dict[str, Callable[[], Any]] = {
        "segkit": lambda: predict_classes(model, image, _OPTIONS),
        "padded windows": lambda: _padded(model, image),
        "the network alone": lambda: [model(part) for part in crops.split(4)],
    }
    results = {name: way() for name, way in ways.items()}  # warms up
    found = (results["segkit"] == results["padded windows"]).float().mean().item()
    if found < agree:
        raise RuntimeError(f"the two ways agree on {100 * found:.2f} % of the pixels only")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def one_image(num_classes: int) -> Callable[[], Tensor]:
    """What makes the classes of one image."""
    model, image = _model(num_classes), torch.randn(1, 3, *_SIZE, generator=torch.Generator().manual_seed(0))
    return lambda: predict_classes(model, image, _OPTIONS)


def _model(num_classes: int) -> Any:
    names = tuple(f"class {index}" for index in range(num_classes))
    config = SegmentorConfig(
        dataset=FolderDatasetConfig(class_names=names),
        backbone=ResNetConfig(depth=18, output_stride=8),
        head=PSPNetConfig(channels=128),
    )
    torch.manual_seed(0)
    return build_segmentor(config).eval()


def _padded(model: Any, image: Tensor) -> Tensor:
    """(1, H, W): each window by itself, its logits padded to the image's size and added, as toolkits usually do."""
    sums, counts = torch.zeros(()), torch.zeros(())
    for place in windows(_SIZE, (256, 256), (170, 170)):
        crop = image[:, :, place.top : place.bottom, place.left : place.right]
        logits = F.interpolate(model(crop), crop.shape[2:], mode="bilinear", align_corners=model.align_corners)
        margin = (place.left, _SIZE[1] - place.right, place.top, _SIZE[0] - place.bottom)
        padded, seen = F.pad(logits, margin), F.pad(torch.ones_like(logits[:, :1]), margin)
        sums, counts = sums + padded, counts + seen
    return (sums / counts).argmax(dim=1)
