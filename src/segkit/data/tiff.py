"""TIFF files that OpenCV refuses, or reads wrongly without a word: many bands, planes, floats, palettes."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DatasetError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF, and of a BigTIFF."""

_CONTIG, _PALETTE = 1, 3


def read_tiff(path: Path, data: bytes) -> NDArray[Any] | None:
    """The numbers of the first image: (H, W) or (H, W, bands), as stored, indices where there is a palette.

    None where OpenCV reads the file well, and more of its compressions: 8 or 16 bits, one band or three side by side.

    Raises:
        DatasetError: the file is damaged, or of a kind that is not read.
    """
    with _opened(path, data) as file:
        series, page = file.series[0], file.pages[0]
        if len(series.pages) == 1 and _is_plain(page):
            return None
        return _bands_last(series.asarray(), series.axes)


def tiff_values(path: Path, data: bytes) -> int:
    """How many numbers :func:`read_tiff` would read, as the tags say.

    Raises:
        DatasetError: the file is damaged.
    """
    with _opened(path, data) as file:
        return int(file.series[0].size)


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[Any]:
    """A TiffFile; whatever goes wrong with it is a DatasetError."""
    tifffile: Any = importlib.import_module("tifffile")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it raises
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            yield file
    except Exception as error:  # noqa: BLE001 - damaged files raise whatever comes up while their tags are read
        more = "; `pip install imagecodecs` adds compressions" if "imagecodecs" in str(error) else ""
        raise DatasetError(f"{path}: cannot be decoded ({error}){more}") from None


def _is_plain(page: Any) -> bool:
    side_by_side = page.samplesperpixel == 1 or (page.samplesperpixel == 3 and page.planarconfig == _CONTIG)
    return side_by_side and page.dtype in (np.uint8, np.uint16) and page.photometric != _PALETTE


def _bands_last(pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Rows and columns first, whatever else there is (samples, pages) after them, as one axis."""
    rows, cols = axes.index("Y"), axes.index("X")
    moved = np.moveaxis(pixels, (rows, cols), (0, 1))
    return moved if moved.ndim == 2 else moved.reshape(*moved.shape[:2], -1)
