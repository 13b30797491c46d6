"""Figures that are counted on request, beside the confusion matrix."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit import dist
from segkit.metrics.boundary import BoundaryCounts
from segkit.metrics.calibration import Calibration
from segkit.metrics.images import ImageScores
from segkit.metrics.scores import mean_of_defined

NAMES = ("boundary", "calibration", "images")
"""What can be asked for."""


@dataclass(frozen=True)
class FurtherScores:
    """What was asked for.

    Attributes:
        per_class: ``boundary_iou`` and ``boundary_fscore``, (K,) each; empty unless asked for.
        overall: their means, and ``calibration_error``.
        reliability: mean confidence, share of right pixels, and pixels, of each bin of confidence.
        images: scores of single images.
    """

    per_class: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    overall: Mapping[str, float] = field(default_factory=dict)
    reliability: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]] | None = None
    images: ImageScores | None = None


class Further:
    """Counts as predictions come.

    Args:
        names: of :data:`NAMES`.
        num_classes: K.
        device: where the predictions are.
    """

    def __init__(self, names: Collection[str], num_classes: int, device: torch.device) -> None:
        self.device = device
        self.boundary = BoundaryCounts(num_classes) if "boundary" in names else None
        self.calibration = Calibration(num_classes, device=device) if "calibration" in names else None
        self.images: list[tuple[str, Tensor]] | None = [] if "images" in names else None

    def see(
        self,
        names: Sequence[str],
        preds: Sequence[Tensor],
        targets: Sequence[Tensor],
        *,
        counts: Sequence[Tensor],
        sure: Sequence[Tensor] | None,
    ) -> None:
        """Takes in a batch.

        Args:
            names: ids of its samples.
            preds: (H, W) uint8 of each image.
            targets: the same of the labels.
            counts: (3, K) of each image, of :meth:`segkit.metrics.ConfusionMatrix.update`.
            sure: (H, W) float32, the probability of what was predicted; only calibration needs it.
        """
        for index, (name, pred, target) in enumerate(zip(names, preds, targets, strict=True)):
            if self.boundary is not None:
                self.boundary.update(pred.cpu().numpy(), target.cpu().numpy())
            if self.calibration is not None and sure is not None:
                self.calibration.update(sure[index], pred, target)
            if self.images is not None:
                self.images.append((name, counts[index]))

    def gather(self) -> FurtherScores:
        """The figures of all processes, which all call this once; images are in the order of their names."""
        per_class, overall, reliability, images = {}, {}, None, None
        if self.boundary is not None:
            per_class = dict(self.boundary.sum_over_ranks(self.device).per_class())
            overall = {f"m{name}": mean_of_defined(values) for name, values in per_class.items()}
        if self.calibration is not None:
            total = self.calibration.sum_over_ranks()
            overall["calibration_error"], reliability = total.error, total.curve()
        if self.images is not None:
            own = [(name, counts.cpu().numpy()) for name, counts in self.images]
            rows = sorted((row for part in dist.gather_objects(own) for row in part), key=lambda row: row[0])
            images = ImageScores(tuple(name for name, _ in rows), np.stack([counts for _, counts in rows]))
        return FurtherScores(per_class, overall, reliability, images)
