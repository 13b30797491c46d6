"""What is exported: the whole way from pixels to classes, or as much of it as is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from segkit.build import build_preprocessor
from segkit.inference.saved import SavedModel, Weights
from segkit.ops.resize import resize

Output = Literal["logits", "probs", "classes"]
"""Scores, their softmax (or sigmoid of a single class), or class ids; all as large as the input."""


class Deployable(nn.Module):
    """A segmentor with what comes before and after it.

    Args:
        model: (N, C, H, W) normalised images to logits of any size; has ``align_corners``.
        preprocess: makes normalised images of pixels; None if the caller does.
        output: what comes out.
        threshold: probability from which a single class is present.

    Shape:
        - Input: (N, C, H, W): uint8 pixels with ``preprocess``, else float32, normalised.
        - Output: (N, K, H, W) float32, or (N, H, W) int32 for ``classes``.
    """

    def __init__(self, model: nn.Module, preprocess: nn.Module | None, output: Output, threshold: float) -> None:
        super().__init__()
        self.model = model
        self.preprocess = preprocess
        self.output = output
        self.threshold = threshold
        self.align_corners = bool(model.align_corners)

    def forward(self, images: Tensor) -> Tensor:
        x = images if self.preprocess is None else self.preprocess(images)
        logits = resize(self.model(x).float(), (images.shape[2], images.shape[3]), align_corners=self.align_corners)
        if self.output == "logits":
            return logits
        single = logits.shape[1] == 1
        if self.output == "probs":
            return logits.sigmoid() if single else logits.softmax(dim=1)
        if single:
            return (logits[:, 0].sigmoid() >= self.threshold).int()
        return logits.argmax(dim=1).int()


@dataclass(frozen=True)
class Deployment:
    """A model that is ready to be exported.

    Attributes:
        module: in eval mode, on the CPU.
        channels: C of its input.
        takes_pixels: whether its input is uint8 pixels and not normalised floats.
        facts: names, colours, normalisation: what a user of the file needs to know, as strings.
    """

    module: Deployable
    channels: int
    takes_pixels: bool
    facts: Mapping[str, str]

    def example(self, size: tuple[int, int], batch: int, *, seed: int = 0) -> Tensor:
        """A batch of noise, as the module takes it."""
        draw = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (batch, self.channels, *size), generator=draw, dtype=torch.uint8)
        return pixels if self.takes_pixels else (pixels.float() - 127.5) / 64


def deploy(saved: SavedModel, *, weights: Weights = "auto", output: Output, preprocess: bool) -> Deployment:
    """The module to export.

    Args:
        saved: the checkpoint.
        weights: which weights to take.
        output: what comes out.
        preprocess: take uint8 pixels, RGB where there are three channels, and normalise them inside.

    Raises:
        CheckpointError: the weights are not there, or of another model.
    """
    config = saved.config
    normalize = build_preprocessor(config).eval()
    model = saved.build(torch.device("cpu"), weights).to(memory_format=torch.contiguous_format)
    module = Deployable(model, normalize if preprocess else None, output, config.inference.threshold)
    facts = {
        "classes": "\n".join(saved.info.names),
        "palette": "\n".join(" ".join(map(str, color)) for color in saved.info.palette),
        "input": "uint8 pixels, RGB" if preprocess else "float32: (pixels - mean) / std, RGB",
        "mean": " ".join(f"{value:g}" for value in normalize.mean.flatten().tolist()),
        "std": " ".join(f"{value:g}" for value in normalize.std.flatten().tolist()),
        "output": output,
        "head": config.head.type,  # type: ignore[attr-defined]
        "backbone": config.backbone.type,  # type: ignore[attr-defined]
    }
    return Deployment(module.eval(), normalize.mean.numel(), preprocess, facts)
