"""Class ids of a raster: kept as bare rows while they come, written as a tiled TIFF when they are complete."""

import importlib
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import SegkitError
from segkit.files import whole_file, write_file
from segkit.inference.rasters.source import Georeference
from segkit.types import IGNORE_INDEX

Pixels = NDArray[np.uint8]

_TILE = 512
_NODATA_TAG = (42113, 2, 0, str(IGNORE_INDEX))  # as GDAL has it: text


class Plane:
    """(H, W) class ids in a file of bare bytes, with a note beside it of how far they are complete.

    Args:
        path: of the bytes; the note has ``.json`` added.
        size: (height, width).
        settings: what the ids depend on; a file of other settings is begun anew.
    """

    def __init__(self, path: Path, size: tuple[int, int], settings: str) -> None:
        self.path, self.size, self.settings = path, size, settings
        self._note = path.with_name(f"{path.name}.json")
        self.rows: dict[str, int] = self._noted()
        if not self.rows:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                chunk = np.full(size[1], IGNORE_INDEX, np.uint8).tobytes()
                for _ in range(size[0]):
                    file.write(chunk)
        self._file = path.open("r+b")

    def _noted(self) -> dict[str, int]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            whole = self.path.stat().st_size == self.size[0] * self.size[1]
        except (OSError, ValueError):
            return {}
        return note["rows"] if whole and note["settings"] == self.settings else {}

    def done(self, left: int) -> int:
        """How many rows of the strip that begins at column ``left`` are complete."""
        return self.rows.get(str(left), 0)

    def write(self, top: int, left: int, classes: Pixels) -> None:
        """Keeps (h, w) class ids; the strip's rows above are complete, too."""
        for row, values in enumerate(classes, top):
            self._file.seek(row * self.size[1] + left)
            self._file.write(values.tobytes())
        self._file.flush()
        self.finish(left, top + len(classes))

    def finish(self, left: int, rows: int) -> None:
        """Notes that so many rows of a strip are complete."""
        self.rows[str(left)] = rows
        write_file(self._note, json.dumps({"settings": self.settings, "rows": self.rows}))

    def read(self, top: int, bottom: int) -> Pixels:
        """(bottom - top, W) class ids."""
        self._file.seek(top * self.size[1])
        data = self._file.read((bottom - top) * self.size[1])
        return np.frombuffer(data, np.uint8).reshape(bottom - top, self.size[1])

    def close(self, *, discard: bool = False) -> None:
        """Closes the file; ``discard`` removes it."""
        self._file.close()
        if discard:
            self.path.unlink()
            with suppress(FileNotFoundError):  # of an image without rows to segment
                self._note.unlink()


def bands_of(classes: Plane | Pixels) -> Iterator[tuple[int, Pixels]]:
    """Pairs (first row, rows of class ids), as many rows as a tile has."""
    height = classes.size[0] if isinstance(classes, Plane) else len(classes)
    for top in range(0, height, _TILE):
        bottom = min(top + _TILE, height)
        yield top, classes.read(top, bottom) if isinstance(classes, Plane) else classes[top:bottom]


def write_tiff(
    classes: Plane | Pixels, path: Path, palette: Sequence[tuple[int, int, int]], place: Georeference
) -> NDArray[np.int64]:
    """Writes (H, W) class ids as a tiled, compressed TIFF with colours and georeference.

    ``path`` is whole or absent.

    Returns:
        (256,) how many pixels have each id.

    Raises:
        SegkitError: nothing that writes it is installed.
    """
    if find_spec("rasterio") is not None:
        write = _by_rasterio
    elif find_spec("tifffile") is not None:
        write = _by_tifffile
    else:
        raise SegkitError(f"{path}: writing it needs `pip install segkit[raster]`")
    counts = np.zeros(256, np.int64)
    height, width = classes.size if isinstance(classes, Plane) else classes.shape

    def bands() -> Iterator[tuple[int, Pixels]]:
        for top, rows in bands_of(classes):
            counts[:] += np.bincount(rows.ravel(), minlength=256)
            yield top, rows

    with whole_file(path) as temporary:
        write(bands(), temporary, (height, width), palette, place)
    return counts


def _by_rasterio(
    bands: Iterator[tuple[int, Pixels]],
    path: Path,
    size: tuple[int, int],
    palette: Sequence[tuple[int, int, int]],
    place: Georeference,
) -> None:
    rasterio: Any = importlib.import_module("rasterio")
    tiles = {"tiled": True, "blockxsize": _TILE, "blockysize": _TILE} if min(size) >= _TILE else {}
    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "uint8",
        "height": size[0],
        "width": size[1],
        "nodata": IGNORE_INDEX,
    }
    errors: Any = importlib.import_module("rasterio.errors")
    with (
        warnings.catch_warnings(action="ignore", category=errors.NotGeoreferencedWarning),
        rasterio.Env(GDAL_CACHEMAX=64),
        rasterio.open(path, "w", **profile, **tiles, compress="deflate", bigtiff="if_safer", **place.profile) as target,
    ):
        target.write_colormap(1, {index: (*color, 255) for index, color in enumerate(palette)})
        for top, rows in bands:
            target.write(rows, 1, window=((top, top + len(rows)), (0, size[1])))


def _by_tifffile(
    bands: Iterator[tuple[int, Pixels]],
    path: Path,
    size: tuple[int, int],
    palette: Sequence[tuple[int, int, int]],
    place: Georeference,
) -> None:
    tifffile: Any = importlib.import_module("tifffile")
    colors = np.zeros((3, 256), np.uint16)
    colors[:, : len(palette)] = np.array(palette, np.uint16).T * 257

    def tiles() -> Iterator[Pixels]:
        for _, rows in bands:
            for left in range(0, size[1], _TILE):
                tile = rows[:, left : left + _TILE]
                yield np.pad(
                    tile, ((0, _TILE - tile.shape[0]), (0, _TILE - tile.shape[1])), constant_values=IGNORE_INDEX
                )

    tags = [(code, kind, count, value, False) for code, kind, count, value in (*place.tags, _NODATA_TAG)]
    tifffile.imwrite(
        path,
        tiles(),
        shape=size,
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        photometric="palette",
        colormap=colors,
        compression="zlib",
        bigtiff=math.prod(size) > 2**31,
        extratags=tags,
        metadata=None,
    )
