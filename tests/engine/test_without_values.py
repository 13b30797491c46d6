"""What a GPU must not wait for, and where tensors must lie, shown without a GPU: on tensors that have no values.

To read a value of such a tensor, or a size that hangs on one, is an error, as it would hold up a GPU; and so is an
operation on tensors of two devices.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from segkit import compose
from segkit.build import build_criterion, build_segmentor
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.amp import Precision
from segkit.engine.step import TrainModel
from segkit.metrics import ConfusionMatrix
from segkit.metrics.confusion import count_without_waiting, mean_iou
from segkit.models.unread import without_values
from segkit.registry import BACKBONES, HEADS

MATCHES = {"MaskFormer", "Mask2Former"}
"""Their masks are matched to the image's by scipy, on the host."""

HEADS_ON_GRIDS = {"SETRMLA": "backbone=VisionTransformer"}
"""Heads that take maps of one size."""

PARTS = [*(f"head={name}" for name in HEADS.names()), *(f"backbone={name}" for name in BACKBONES.names())]


def configured(part: str) -> SegmentorConfig:
    extra = [HEADS_ON_GRIDS[name] for name in HEADS_ON_GRIDS if part == f"head={name}"]
    return compose([part, *extra], training=False)


@contextmanager
def without_its_values(model: nn.Module, device: str) -> Iterator[None]:
    """The model as it would lie on a device."""
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    with without_values(model, fakes, device), fakes:
        yield


def training(config: SegmentorConfig) -> TrainModel:
    precision = Precision(config.amp, torch.device("cpu"))
    return TrainModel(build_segmentor(config), build_criterion(config), precision).train()


def images_and_target(device: str) -> tuple[Tensor, Tensor]:
    return torch.zeros(2, 3, 64, 64, device=device), torch.zeros(2, 64, 64, dtype=torch.int64, device=device)


@pytest.mark.parametrize("part", [part for part in PARTS if part.removeprefix("head=") not in MATCHES])
def test_a_step_reads_no_value(part: str) -> None:
    model = training(configured(part))
    with without_its_values(model, "cpu"):
        torch.stack(list(model(*images_and_target("cpu")).values())).sum().backward()


@pytest.mark.parametrize("part", PARTS)
def test_step_and_inference_keep_to_their_device(part: str) -> None:
    model = training(configured(part))
    with without_its_values(model, "cuda"), torch.no_grad():
        terms = {} if part.removeprefix("head=") in MATCHES else model(*images_and_target("cuda"))
        logits = model.segmentor.eval()(torch.zeros(2, 3, 96, 128, device="cuda"))
    assert {x.device.type for x in (*terms.values(), logits)} == {"cuda"}


class Reader(nn.Linear):
    """Reads a value, as nothing should."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x.max().item()


class Stray(nn.Linear):
    """Has a tensor that does not follow it to its device."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.ones(2)


@pytest.mark.parametrize(("model", "words"), [(Reader(2, 2), "_local_scalar_dense"), (Stray(2, 2), "device")])
def test_what_waits_or_strays_is_found(model: nn.Module, words: str) -> None:
    with without_its_values(model, "cuda"), torch.no_grad(), pytest.raises(Exception, match=words):
        model(torch.zeros(2, 2, device="cuda"))


def test_counting_reads_no_value() -> None:
    with FakeTensorMode():
        matrix = ConfusionMatrix(5, "cuda")
        preds = target = torch.zeros(2, 8, 8, dtype=torch.uint8, device="cuda")
        assert mean_iou(matrix.update(preds, target)).device.type == "cuda"


def test_both_ways_of_counting_agree() -> None:
    index = torch.randint(0, 50, (1000,), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(count_without_waiting(index, 64), torch.bincount(index, minlength=64))
