"""COCO's run-length code, against pycocotools."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.inference.rle import encode, instances


def decoded(code: dict) -> NDArray[np.bool_]:
    """By the definition: groups of five bits, the lowest first, the sixth tells that there are more."""
    runs: list[int] = []
    value = shift = 0
    for character in code["counts"].encode():
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(code["size"], order="F")


def masks() -> list[NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    found = [rng.random((h, w)) < share for h, w in ((1, 1), (7, 5), (40, 33)) for share in (0.0, 0.1, 0.6, 1.0)]
    large = np.zeros((700, 900), bool)
    large[100:650, 20:800] = True
    large[300, 400:410] = False
    return [*found, large]


@pytest.mark.parametrize("mask", masks(), ids=lambda mask: f"{mask.shape}-{mask.mean():.2f}")
def test_the_code_is_that_of_coco(mask: NDArray[np.bool_]) -> None:
    code = encode(mask)
    np.testing.assert_array_equal(decoded(code), mask)
    coco = pytest.importorskip("pycocotools.mask")
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert code == {"size": list(theirs["size"]), "counts": theirs["counts"].decode()}


def test_segments_have_their_area_and_box() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[3:7, 10:25] = 2
    mask[0, 0] = 255
    background, square = instances(mask, ("background", "disc", "square"), ignore=255)
    assert (square["category_id"], square["category"]) == (2, "square")
    assert (square["area"], square["bbox"]) == (60, [10, 3, 15, 4])
    assert background["area"] == 20 * 30 - 60 - 1
