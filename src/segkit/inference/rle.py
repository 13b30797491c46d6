"""COCO's run-length code of masks, as pycocotools writes it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 5
_MORE, _SIGN = 0x20, 0x10
_FIRST = 48  # "0"


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """``{"size": [H, W], "counts": text}`` of an (H, W) mask.

    The runs go down the columns, starting with one of zeros. Each is stored less the run before the last, in groups
    of five bits, the lowest first.
    """
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = [0, *edges.tolist(), flat.size]
    runs = [after - before for before, after in pairwise(bounds)]
    if flat.size and flat[0]:
        runs.insert(0, 0)
    return {"size": list(mask.shape), "counts": _packed(runs)}


def _packed(runs: Sequence[int]) -> str:
    codes = bytearray()
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= _BITS
            more = value != (-1 if bits & _SIGN else 0)
            codes.append((bits | _MORE if more else bits) + _FIRST)
    return codes.decode("ascii")


def instances(mask: NDArray[np.uint8], classes: Sequence[str], *, ignore: int) -> list[dict[str, Any]]:
    """One segment for each class that is seen in (H, W) class ids, in the terms of COCO's annotations.

    Category ids are class ids; ``bbox`` is [left, top, width, height] in pixels.
    """
    found = []
    for index in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
        if index == ignore:
            continue
        inside = mask == index
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        found.append(
            {
                "category_id": index,
                "category": classes[index],
                "segmentation": encode(inside),
                "area": int(inside.sum()),
                "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
            }
        )
    return found
