"""How well outlines are met: boundary IoU (Cheng et al., 2021, arXiv:2103.16562), boundary F1 (Csurka et al., 2013).

Both need the pixels near an outline. A window of labels holds one if its greatest and least label differ, so two
filters over the label map find the outlines of all classes at once.
"""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.dist import sum_over_ranks
from segkit.types import IGNORE_INDEX

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_FIXED_POINT = 2**32
"""F-scores are summed as integers, so that their sum is the same however images are dealt to processes."""


class BoundaryCounts:
    """Counts at the outlines of predictions and labels; the memory does not grow with the images.

    Pixels that are ignored take no part, and the border of an ignored region is no outline.

    Args:
        num_classes: K; 1 means yes/no, with ids 0 and 1, which are counted as two.
        width: of the band inside an outline that boundary IoU looks at, as a share of the image's diagonal. The edge
            of the image ends a band as an outline does, as in the authors' definition.
        tolerance: how far an outline may be off for boundary F1, as a share of the image's diagonal.
    """

    def __init__(self, num_classes: int, *, width: float = 0.02, tolerance: float = 0.0075) -> None:
        self.num_classes = num_classes
        self.width = width
        self.tolerance = tolerance
        side = max(num_classes, 2)
        self._bands = np.zeros((3, side), np.int64)  # pixels in both bands, in the label's, in the prediction's
        self._fscores = np.zeros((2, side), np.int64)  # sums in fixed point, and the images they are of

    def update(self, preds: Labels, target: Labels) -> None:
        """Counts one image.

        Args:
            preds: (H, W) uint8 class ids.
            target: (H, W) uint8 class ids, or ``IGNORE_INDEX``.
        """
        preds = np.where(target == IGNORE_INDEX, IGNORE_INDEX, preds).astype(np.uint8)
        diagonal = math.hypot(*target.shape)
        self._count_bands(preds, target, max(round(self.width * diagonal), 1))
        self._count_outlines(preds, target, max(self.tolerance * diagonal, 1.0))

    def _count_bands(self, preds: Labels, target: Labels, radius: int) -> None:
        found, true = (near_outline(x, radius, image_edge=True) for x in (preds, target))
        side = self._bands.shape[1]
        for row, labels in enumerate((target[found & true & (preds == target)], target[true], preds[found])):
            self._bands[row] += np.bincount(labels, minlength=IGNORE_INDEX)[:side]

    def _count_outlines(self, preds: Labels, target: Labels, tolerance: float) -> None:
        found, true = (near_outline(x, 1, image_edge=False) for x in (preds, target))
        for label in np.union1d(np.unique(preds), np.unique(target)):
            if label == IGNORE_INDEX:
                continue
            fscore = _outline_fscore(found & (preds == label), true & (target == label), tolerance)
            if fscore is not None:
                self._fscores[:, label] += (round(fscore * _FIXED_POINT), 1)

    def sum_over_ranks(self, device: torch.device | str = "cpu") -> "BoundaryCounts":
        """The counts of all processes, by one all-reduce of a tensor on ``device``."""
        total = BoundaryCounts(self.num_classes, width=self.width, tolerance=self.tolerance)
        joined = torch.from_numpy(np.concatenate([self._bands, self._fscores])).to(device)
        counts: Tensor = sum_over_ranks(joined).cpu()
        total._bands, total._fscores = counts[:3].numpy(), counts[3:].numpy()
        return total

    def per_class(self) -> Mapping[str, NDArray[np.float64]]:
        """``boundary_iou`` over all pixels and ``boundary_fscore``, a mean over images; (K,), nan where not defined."""
        both, true, found = self._bands.astype(np.float64)
        sums, images = self._fscores.astype(np.float64)
        first = 1 if self.num_classes == 1 else 0  # the figures are those of "yes"
        with np.errstate(invalid="ignore"):
            figures = {"boundary_iou": both / (true + found - both), "boundary_fscore": sums / _FIXED_POINT / images}
        return {name: values[first:] for name, values in figures.items()}


def near_outline(labels: Labels, radius: int, *, image_edge: bool) -> Mask:
    """Pixels with another label within a square of ``2 * radius + 1`` around them.

    Args:
        labels: (H, W) uint8; pixels that are ``IGNORE_INDEX`` are never near, and nothing is near because of them.
        radius: in pixels.
        image_edge: whether what lies outside of the image counts as another label.

    Returns:
        (H, W) bool.
    """
    valid: Mask = labels != IGNORE_INDEX
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    greatest = cv2.dilate(np.where(valid, labels, 0).astype(np.uint8), kernel)
    least = cv2.erode(labels, kernel)  # IGNORE_INDEX is above all
    near: Mask = greatest != least
    if image_edge:
        near[:radius] = near[-radius:] = True
        near[:, :radius] = near[:, -radius:] = True
    return near & valid


def _outline_fscore(found: Mask, true: Mask, tolerance: float) -> float | None:
    """F-score of outline pixels that have one of the other side near; None where there are none at all."""
    if not found.any() and not true.any():
        return None
    if not found.any() or not true.any():
        return 0.0
    precision = np.count_nonzero(_distance(true)[found] <= tolerance) / np.count_nonzero(found)
    recall = np.count_nonzero(_distance(found)[true] <= tolerance) / np.count_nonzero(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _distance(outline: Mask) -> Any:
    """Euclidean distance of every pixel to the nearest one of an outline, (H, W) float32."""
    return cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
