"""Small steps that conversions share: reading odd formats, writing whole files, doing many at once."""

import gzip
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.data.prepare.recipe import Place
from segkit.errors import DatasetError
from segkit.files import write_file

T = TypeVar("T")
Pixels = NDArray[np.uint8]
_THREADS = 4


def read_picture(path: Path, mode: str) -> Pixels:
    """Pixels of any format that Pillow reads (PPM, GIF, TIFF), gzipped or not.

    Args:
        path: the file.
        mode: Pillow's; ``RGB``, or ``L`` for grey.

    Raises:
        DatasetError: it is none, or damaged.
    """
    data = path.read_bytes()
    try:
        with Image.open(BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data)) as image:
            return np.array(image.convert(mode))
    except (OSError, UnidentifiedImageError, EOFError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from None


def write_png(path: Path, pixels: NDArray[Any]) -> None:
    """Writes (H, W) or (H, W, 3) RGB pixels; the file is whole or not there."""
    image = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    write_file(path, cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes())


def write_list(path: Path, names: Iterable[str]) -> None:
    """Writes a name a line."""
    write_file(path, "".join(f"{name}\n" for name in names))


def for_each(items: Sequence[T], what: str, place: Place, function: Callable[[T], None]) -> None:
    """Calls a function on each item, several at once, and tells how many are done."""
    with ThreadPoolExecutor(_THREADS) as pool:  # OpenCV and Pillow leave Python's lock
        for done, _ in enumerate(pool.map(function, items), start=1):
            place.say(what, done, len(items))


def some_files(folder: Path, pattern: str) -> list[Path]:
    """Files anywhere below a folder, sorted by name.

    Raises:
        DatasetError: there are none.
    """
    found = sorted((p for p in folder.rglob(pattern) if p.is_file()), key=lambda p: p.name)
    if not found:
        raise DatasetError(f"{folder}: no {pattern} below it; is an archive another one than its name says?")
    return found
