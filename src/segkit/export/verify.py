"""Whether an exported file does what the model does, at sizes that it was not made at."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from segkit.errors import ExportError
from segkit.export.deployable import Deployment
from segkit.export.formats import Dynamic, Runner

TOLERANCE = 1e-3
"""Largest difference that passes, of the largest value; of class ids, the share of pixels that differ."""


@dataclass(frozen=True)
class Trial:
    """One comparison.

    Attributes:
        shape: of the input, (N, C, H, W).
        difference: the largest, of the largest value; of class ids, the share of pixels that differ.
    """

    shape: tuple[int, ...]
    difference: float


def other_shapes(size: tuple[int, int], batch: int, dynamic: Dynamic) -> list[tuple[int, int, int]]:
    """(N, H, W) to try: the example's own, and with dynamic sizes four more, two of them odd."""
    height, width = size
    shapes = [(batch, height, width)]
    if dynamic.size:
        wider, taller = (height, width + 64), (height + 32, width)
        shapes += [(batch, *s) for s in (wider, taller, (height + 33, width + 17), (width + 65, height + 1))]
    if dynamic.batch:
        shapes += [(1, height, width), (batch + 1, *shapes[-1][1:])]
    return shapes


@torch.no_grad()
def verify(
    deployment: Deployment, run: Runner, shapes: Sequence[tuple[int, int, int]], *, tolerance: float = TOLERANCE
) -> list[Trial]:
    """Compares a file with the module.

    Args:
        deployment: what was exported.
        run: the file.
        shapes: (N, H, W) of the inputs.
        tolerance: see :data:`TOLERANCE`.

    Raises:
        ExportError: it fails, or gives something else, at one of them.
    """
    trials = []
    for number, (batch, *size) in enumerate(shapes):
        images = deployment.example((size[0], size[1]), batch, seed=number)
        wanted = deployment.module(images)
        where = f"at {batch} x {deployment.channels} x {size[0]} x {size[1]}"
        try:
            found = run(images)
        except Exception as error:
            raise ExportError(f"the exported file fails {where}: {first_line(error)}") from error
        if found.shape != wanted.shape:
            raise ExportError(f"the exported file gives {tuple(found.shape)} {where}, the model {tuple(wanted.shape)}")
        difference = _difference(found, wanted)
        if not difference <= tolerance:  # nan is not
            raise ExportError(f"the exported file differs from the model by {difference:.1e} {where}")
        trials.append(Trial(tuple(images.shape), difference))
    return trials


def first_line(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join((str(error).strip().splitlines() or [""])[0].split())
    return f"{type(error).__name__}: {text[:300]}"


def _difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    if not wanted.is_floating_point():
        return float((found != wanted).float().mean())
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))
