"""What a model can do, found by doing it: ``python -m segkit.cli.model_checks head PSPNet backward bf16 ...``.

One line of JSON a check, so that :mod:`segkit.cli.benchmark_models` knows which one a crash or a hang belongs to.
"""

import importlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from segkit.build import build_criterion, build_segmentor
from segkit.config.backbones import BackboneConfig, ResNetConfig
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import HeadConfig
from segkit.config.layers import BatchNorm2dConfig, GroupNormConfig, NormConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.layers.defaults import layer_defaults
from segkit.registry import BACKBONES, HEADS, NECKS
from segkit.types import StepInfo

_SIZE = (64, 96)
_OTHER_SIZES = ((64, 64), (128, 96), (97, 131), (45, 175))
_FULL_SIZE = (512, 512)
_FULL_CLASSES = 150
_TOLERANCE = 1e-3
_BFLOAT16_TOLERANCE = 0.1
_WORDS = 70

PARTNERS: Mapping[str, str] = {
    "Segformer": "MixVisionTransformer",
    "SETRUP": "VisionTransformer",
    "SETRMLA": "VisionTransformer",
    "MaskFormer": "SwinTransformer",
    "Mask2Former": "SwinTransformer",
    "LRASPPNet": "MobileNetV3",
    "Feature2Pyramid": "VisionTransformer",
    "LevelsNeck": "VisionTransformer",
    "MLANeck": "VisionTransformer",
}
"""Head or neck -> the backbone that it was published with; ResNet-50 for the others, at stride 8 before heads."""

NECK_HEADS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Feature2Pyramid": ("UPerNet", {}),
    "ICNeck": ("ICNet", {}),
    "JPU": ("FCN", {}),
    "LevelsNeck": ("UPerNet", {"normalize": True, "stride": 2}),
    "MLANeck": ("SETRMLA", {}),
}
"""Neck -> a head behind it that reads all of its features, and options with which the neck has all of its parts."""

_SMALL: Mapping[str, Mapping[str, Any]] = {
    "ResNet": {"depth": 18, "base_channels": 16},
    "SwinTransformer": {"embed_dim": 12, "depths": (2, 2, 2, 2)},
    "MixVisionTransformer": {"embed_dim": 8},
    "VisionTransformer": {
        "embed_dim": 24,
        "depth": 4,
        "num_heads": 3,
        "image_size": _SIZE,
        "out_indices": (0, 1, 2, 3),
    },
}
"""Options that make a head's backbone small; what is checked is the head."""

INDUCTOR = frozenset({"FCN", "PSPNet", "CCNet"})
"""Models that the check of ``torch.compile`` compiles to machine code."""


@dataclass(frozen=True)
class Subject:
    """A head with its backbone, a neck between a backbone and a head, or a backbone alone.

    Attributes:
        group: ``head``, ``neck`` or ``backbone``.
        name: the type.
    """

    group: str
    name: str

    @property
    def partner(self) -> str:
        """The backbone's type."""
        return self.name if self.group == "backbone" else PARTNERS.get(self.name, "ResNet")

    @property
    def title(self) -> str:
        """The name, with those of the other parts."""
        if self.group == "backbone":
            return self.name
        parts = [NECK_HEADS[self.name][0], self.partner] if self.group == "neck" else [self.partner]
        return f"{self.name} ({', '.join(parts)})"

    @property
    def head(self) -> HeadConfig:
        """The head's own defaults."""
        if self.group == "neck":
            name, options = NECK_HEADS[self.name]
            behind: HeadConfig = HEADS.config(name)(neck=NECKS.config(self.name)(**options))
            return behind
        made: HeadConfig = HEADS.config(self.name)()
        return made

    def config(self, *, small: bool, norm: NormConfig | None = None) -> SegmentorConfig:
        """The component's own defaults; of a backbone, the head is not built."""
        backbone: BackboneConfig = BACKBONES.config(self.partner)(**(_SMALL.get(self.partner, {}) if small else {}))
        if not small and isinstance(backbone, ResNetConfig) and self.group == "head":
            backbone = replace(backbone, output_stride=8)
        names = tuple(f"class{i}" for i in range(5 if small else _FULL_CLASSES))
        parts: dict[str, Any] = {} if self.group == "backbone" else {"head": self.head}
        return SegmentorConfig(
            dataset=FolderDatasetConfig(class_names=names), backbone=backbone, norm=norm or BatchNorm2dConfig(), **parts
        )

    def build(self, config: SegmentorConfig) -> nn.Module:
        """A segmentor, or a backbone."""
        torch.manual_seed(0)
        if self.group != "backbone":
            return build_segmentor(config)
        with layer_defaults(config.norm, config.act):
            backbone: nn.Module = BACKBONES.build(config.backbone)
        return backbone

    def compile(self, model: nn.Module, backend: str) -> None:
        """Compiles what predicts and what trains."""
        model.compile(backend=backend)
        if self.group != "backbone":
            model.outputs = torch.compile(model.outputs, backend=backend)  # type: ignore[assignment,arg-type]

    def loss(self, model: nn.Module, config: SegmentorConfig, batch: int) -> Tensor:
        """The loss of a training step; of a backbone, the mean square of its features."""
        images = _images(_SIZE, batch)
        if self.group == "backbone":
            return torch.stack([x.float().square().mean() for x in model(images)]).sum()
        generator = torch.Generator().manual_seed(1)
        target = torch.randint(0, len(config.dataset.classes), (batch, *_SIZE), generator=generator)
        outputs: Mapping[str, Tensor] = model.outputs(images, StepInfo(target))  # type: ignore[operator]
        return torch.stack(list(build_criterion(config)(outputs, target).values())).sum()


class Complexity(NamedTuple):
    """How large a model is.

    Attributes:
        parameters: numbers that are learnt.
        macs: multiplications with additions, of convolutions and matrix products.
        outputs: what comes out, without values.
    """

    parameters: int
    macs: float
    outputs: list[Tensor]


def complexity(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Complexity:
    """What a model costs at an input of this shape; nothing is computed.

    Args:
        build: makes the model, which is changed and dropped.
        shape: of its input.
    """
    model = build().eval()
    count = sum(p.numel() for p in model.parameters())
    model.requires_grad_(False)  # the counter minds gradients
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    plain = sdpa_kernel(SDPBackend.MATH)  # the counter knows the products of matrices, and no fused attention on a CPU
    with plain, fakes, FlopCounterMode(display=False) as counter, torch.no_grad():
        found = _maps(model(torch.empty(shape)))
    return Complexity(count, counter.get_total_flops() / 2, found)


def parameters(subject: Subject) -> dict[str, str]:
    """Millions of parameters; GMACs and strides of the outputs at 512 x 512, on tensors without values."""
    config = subject.config(small=False)
    found = complexity(lambda: subject.build(config), (1, 3, *_FULL_SIZE))
    strides = [_FULL_SIZE[0] / x.shape[-2] for x in found.outputs]
    return {
        "parameters": f"{found.parameters / 1e6:.1f}",
        "gmacs": f"{found.macs / 1e9:.1f}",
        "stride": ", ".join(f"{stride:g}" for stride in strides),
    }


def backward(subject: Subject) -> str:
    """Whether a training step gives every parameter a finite gradient."""
    config = subject.config(small=True)
    model = subject.build(config).train()
    subject.loss(model, config, 2).backward()
    return _gradients(model)


def bf16(subject: Subject) -> str:
    """Whether autocast trains with finite gradients and gives nearly the same."""
    config = subject.config(small=True)
    model = subject.build(config).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = subject.loss(model, config, 2)
    loss.backward()
    told = _gradients(model)
    model = subject.build(config).eval()
    with torch.no_grad():
        whole = _maps(model(_images(_SIZE)))
        with torch.autocast("cpu", torch.bfloat16):
            half = _maps(model(_images(_SIZE)))
    return told if told != "yes" else _like(half, whole, _BFLOAT16_TOLERANCE)


def batch1(subject: Subject) -> str:
    """Whether it trains on one image a step, with BatchNorm or, where that pools to one cell, with GroupNorm."""
    try:
        return _train_on_one(subject, BatchNorm2dConfig())
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
    told = _train_on_one(subject, GroupNormConfig(num_groups=4))
    return "with GroupNorm" if told == "yes" else told


def _train_on_one(subject: Subject, norm: NormConfig) -> str:
    config = subject.config(small=True, norm=norm)
    model = subject.build(config).train()
    subject.loss(model, config, 1).backward()
    return _gradients(model)


def compiled(subject: Subject, backend: str = "") -> str:
    """Whether ``torch.compile`` predicts the same, and a compiled training step gives finite gradients.

    Args:
        subject: the model.
        backend: of ``torch.compile``; by default inductor for a sample, as its C++ takes minutes a model to compile,
            and aot_eager for the others: their graphs and gradients are captured, and run by PyTorch.
    """
    chosen = backend or ("inductor" if subject.name in INDUCTOR else "aot_eager")
    config = subject.config(small=True)
    model = subject.build(config).eval()
    with torch.no_grad():
        wanted = _maps(model(_images(_SIZE)))
        subject.compile(model, chosen)
        told = _like(_maps(model(_images(_SIZE))), wanted, _TOLERANCE)
    if told == "yes":
        subject.loss(model.train(), config, 2).backward()
        told = _gradients(model)
    return f"{told}, inductor" if told == "yes" and not backend and chosen == "inductor" else told


def onnx(subject: Subject) -> str:
    """Whether the export runs at sizes other than the traced one, and gives the same there."""
    return exported(subject.build(subject.config(small=True)).eval())


@torch.no_grad()
def exported(model: nn.Module) -> str:
    """The same of a model: images (1, 3, H, W) to one or several maps."""
    runtime: Any = importlib.import_module("onnxruntime")
    dynamic = torch.export.Dim.DYNAMIC
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        images = (_images(_SIZE, 1),)
        torch.onnx.export(model, images, path, dynamo=True, dynamic_shapes=({2: dynamic, 3: dynamic},), verbose=False)
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        for size in _OTHER_SIZES:
            images = (_images(size, 1),)
            try:
                found = [torch.from_numpy(x) for x in session.run(None, {name: images[0].numpy()})]
            except Exception as error:  # noqa: BLE001 - the runtime's own errors have no common, public base
                return f"no at {size[0]}x{size[1]}: {_line(error)}"
            told = _like(found, _maps(model(*images)), _TOLERANCE)
            if told != "yes":
                return f"{told} at {size[0]}x{size[1]}"
    return "yes"


CHECKS: Mapping[str, Callable[[Subject], str | dict[str, str]]] = {
    "parameters": parameters,
    "backward": backward,
    "bf16": bf16,
    "batch1": batch1,
    "compile": compiled,
    "onnx": onnx,
}
"""Name -> check: its cell, or several by column."""


def check(subject: Subject, name: str) -> dict[str, str]:
    """The cells of one check, whatever happens."""
    try:
        found = CHECKS[name](subject)
    except Exception as error:  # noqa: BLE001 - whatever it cannot do is the cell
        return {name: f"no: {_line(error)}"}
    return found if isinstance(found, dict) else {name: found}


def main(arguments: Sequence[str]) -> None:
    """Runs checks, and prints each as it ends.

    Args:
        arguments: group, name, checks.
    """
    group, name, *checks = arguments
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for item in checks:
        print(json.dumps({"check": item, "cells": check(Subject(group, name), item)}), flush=True)


def _images(size: tuple[int, int], batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


def _maps(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else list(found)


def _gradients(model: nn.Module) -> str:
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if missing:
        return f"no: {len(missing)} without gradient, {missing[0]}"
    wrong = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    return f"no: {len(wrong)} not finite, {wrong[0]}" if wrong else "yes"


def _like(found: Sequence[Tensor], wanted: Sequence[Tensor], tolerance: float) -> str:
    """Whether the mean difference is small beside the values: single cells may depend on a choice of points."""
    if [x.shape for x in found] != [x.shape for x in wanted]:
        return "no: another shape"
    for x, y in zip(found, wanted, strict=True):
        relative = float((x.float() - y).abs().mean() / y.abs().mean().clamp(min=1e-12))
        if not relative <= tolerance:  # nan is not
            return f"no: off by {relative:.1%}"
    return "yes"


def _line(error: Exception) -> str:
    text = " ".join((str(error).strip().splitlines() or [""])[0].split())
    told = f"{type(error).__name__}: {text}"
    return told if len(told) <= _WORDS else f"{told[: _WORDS - 3]}..."


if __name__ == "__main__":
    main(sys.argv[1:])
