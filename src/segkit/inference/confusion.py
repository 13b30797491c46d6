"""Which classes are taken for which: the pairs that matter most, and the whole matrix as a picture."""

from html import escape
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.inference.drawing import Pixels, data_uri, mask_classes
from segkit.types import ClassInfo

Counts = NDArray[np.int64]

_RIGHT, _WRONG, _NONE = (38, 96, 160), (196, 50, 30), (236, 238, 241)
"""RGB of a share of 1 on the diagonal and beside it, and of classes without a labelled pixel."""
_FEW = 20
"""Classes whose shares are written into the cells."""


class Confused(NamedTuple):
    """Pixels of one class that were taken for another: their number, and their share of the class's pixels."""

    label: int
    preds: int
    share: float
    pixels: int


def shares(counts: Counts) -> NDArray[np.float64]:
    """(K, K) counts, row label and column prediction, as shares of each row; nan where a row is empty."""
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def most_confused(counts: Counts, most: int) -> list[Confused]:
    """The pairs with the greatest share of a class's pixels, the greatest first; none without a pixel."""
    part = np.nan_to_num(shares(counts))
    np.fill_diagonal(part, 0.0)
    order = np.argsort(-part, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(index, part.shape) for index in order)
    return [Confused(int(i), int(j), float(part[i, j]), int(counts[i, j])) for i, j in pairs if part[i, j] > 0]


def draw_confusion(counts: Counts) -> Pixels:
    """The matrix as (K, K, 3) RGB, a pixel a cell: the darker, the greater the share of its row.

    Right ones are blue and wrong ones red, by the square root of their share, so that rare confusions are seen.
    """
    part = shares(counts)
    depth = np.sqrt(np.nan_to_num(part))[..., None]
    colors = np.where(np.eye(len(counts), dtype=bool)[..., None], _RIGHT, _WRONG)
    drawn = np.where(np.isnan(part)[..., None], _NONE, 255 - depth * (255 - colors))
    return drawn.round().astype(np.uint8)


def confusion_svg(counts: Counts, info: ClassInfo) -> str:
    """The matrix with the names of the classes as one SVG, whose size grows with K, not with its square."""
    names = mask_classes(info).names
    count = len(counts)
    cell = 34 if count <= _FEW else max(11, min(26, 700 // count))
    margin = 14 + 7 * min(20, max(map(len, names)))
    side = margin + count * cell
    # Grown here: how a browser grows a small picture is its own affair.
    grown: Any = cv2.resize(draw_confusion(counts), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    cells = data_uri(grown)
    parts = [
        f'<svg class="confusion" width="{side}" height="{side}" viewBox="0 0 {side} {side}" role="img" '
        'aria-label="confusion matrix: a row for each label, a column for each prediction">',
        f'<image x="{margin}" y="{margin}" width="{count * cell}" height="{count * cell}" '
        f'preserveAspectRatio="none" style="image-rendering: pixelated" href="{cells}"/>',
    ]
    for index, name in enumerate(names):
        at = margin + (index + 0.5) * cell
        text = escape(name if len(name) <= 20 else f"{name[:19]}…")
        parts.append(f'<text x="{margin - 6}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
        parts.append(f'<text transform="translate({at + 4:.1f} {margin - 6}) rotate(-90)">{text}</text>')
    if count <= _FEW:
        parts += _figures(shares(counts), margin, cell)
    return "".join(parts) + "</svg>"


def _figures(part: NDArray[np.float64], margin: int, cell: int) -> list[str]:
    """Percentages in the cells that have one."""
    cells = [(i, j, part[i, j]) for i, j in np.argwhere(np.nan_to_num(part) >= 0.005)]
    return [
        f'<text x="{margin + (j + 0.5) * cell:.0f}" y="{margin + (i + 0.5) * cell + 4:.0f}" text-anchor="middle" '
        f'class="{"on" if share > 0.3 else "off"}">{100 * share:.0f}</text>'
        for i, j, share in cells
    ]
