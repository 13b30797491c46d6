"""TIFF without GDAL, by tifffile: tile by tile, or row by row where the pixels lie bare."""

import importlib
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DatasetError
from segkit.inference.rasters.source import Array, Georeference, Raster
from segkit.ops.windows import Window

_CACHE_BYTES = 2**27
_GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
"""Pixel scale, tie points, transformation, and the keys of GeoTIFF."""
_NODATA_TAG = 42113
_ALPHA = (1, 2)


class TiffRaster(Raster):
    """The first page of a TIFF file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        tifffile: Any = importlib.import_module("tifffile")
        self.path = path
        try:
            file = self._open.enter_context(tifffile.TiffFile(path))
            self._page: Any = file.pages[0]
            self._file = file.filehandle
        except (tifffile.TiffFileError, ValueError, OSError, IndexError) as error:
            self._open.close()
            raise DatasetError(f"{path}: cannot be read ({error})") from None
        page = self._page
        self.size = (page.imagelength, page.imagewidth)
        self.dtype = np.dtype(page.dtype).newbyteorder("=")
        self._alpha = sum(kind in _ALPHA for kind in page.extrasamples)
        self._samples = page.samplesperpixel
        self.channels = self._samples - self._alpha
        nodata = page.tags.get(_NODATA_TAG)
        self._nodata = None if nodata is None else float(nodata.value)
        tags = (page.tags.get(code) for code in _GEO_TAGS)
        self.georeference = Georeference(tags=tuple((t.code, int(t.dtype), t.count, t.value) for t in tags if t))
        tiled = page.is_tiled
        self._tile = (page.tilelength, page.tilewidth) if tiled else (page.rowsperstrip, page.imagewidth)
        self._across = math.ceil(self.size[1] / self._tile[1])
        self._planar = page.planarconfig == 2 and self._samples > 1
        self._cache: OrderedDict[int, Array] = OrderedDict()
        self._cached_bytes = 0

    def _read(self, window: Window) -> Array:
        return self._samples_of(window)[:, :, : self.channels]

    def _valid(self, window: Window) -> NDArray[np.bool_] | None:
        if self._alpha:
            return self._samples_of(window)[:, :, -1] > 0
        if self._nodata is None:
            return None
        pixels = self._samples_of(window)
        absent = np.isnan(pixels) if math.isnan(self._nodata) else pixels == self._nodata
        return np.asarray(~absent.all(axis=2))

    def _samples_of(self, window: Window) -> Array:
        """(height, width, samples), alpha included."""
        if self._page.is_memmappable and not self._planar:
            return self._bare_rows(window)
        pixels = np.zeros((window.height, window.width, self._samples), self.dtype)
        for plane in range(self._samples if self._planar else 1):
            channels = slice(plane, plane + 1) if self._planar else slice(None)
            for place, index in self._tiles(window):
                part = place.overlap(window)
                rows = slice(part.top - place.top, part.bottom - place.top)
                columns = slice(part.left - place.left, part.right - place.left)
                top, left = part.top - window.top, part.left - window.left
                target = pixels[top : top + part.height, left : left + part.width, channels]
                target[:] = self._decoded(plane, index)[rows, columns]
        return pixels

    def _bare_rows(self, window: Window) -> Array:
        """Not by a memory map, whose pages would count as this process's memory."""
        step = self._samples * self.dtype.itemsize
        pixels = np.empty((window.height, window.width, self._samples), self.dtype)
        for row in range(window.height):
            start = (window.top + row) * self.size[1] + window.left
            self._file.seek(self._page.dataoffsets[0] + start * step)
            data = self._file.read(window.width * step)
            if len(data) < window.width * step:
                raise DatasetError(f"{self.path}: ends early, in row {window.top + row}")
            pixels[row] = np.frombuffer(data, self.dtype).reshape(window.width, self._samples)
        return pixels

    def _tiles(self, window: Window) -> Iterator[tuple[Window, int]]:
        """The tiles, or strips, that a window touches, and their numbers in a plane."""
        height, width = self._tile
        for row in range(window.top // height, math.ceil(window.bottom / height)):
            for column in range(window.left // width, math.ceil(window.right / width)):
                place = Window(row * height, column * width, height, width)
                yield place.overlap(Window(0, 0, *self.size)), row * self._across + column

    def _decoded(self, plane: int, index: int) -> Array:
        """(height, width, samples) of a tile."""
        number = plane * self._across * math.ceil(self.size[0] / self._tile[0]) + index
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        self._file.seek(self._page.dataoffsets[number])
        size = self._page.databytecounts[number]
        data = self._file.read(size)
        if len(data) < size:
            raise DatasetError(f"{self.path}: ends early, in tile {number}")
        try:
            tables = {"jpegtables": self._page.jpegtables} if self._page.jpegtables else {}
            decoded, _, shape = self._page.decode(data or None, number, **tables)
        except Exception as error:  # noqa: BLE001  # each codec has errors of its own
            raise DatasetError(f"{self.path}: tile {number} cannot be decoded ({error})") from None
        tile = np.zeros(shape[1:], self.dtype) if decoded is None else decoded[0]
        self._cache[number] = tile
        self._cached_bytes += tile.nbytes
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return tile
