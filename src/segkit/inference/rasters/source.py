"""Rasters, read by windows."""

import importlib
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from segkit.data.inputs import RASTER_SUFFIXES
from segkit.errors import DatasetError
from segkit.ops.windows import Window

Array = NDArray[Any]

_CACHE_MB = 128


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies on Earth, in the terms of what read it.

    Attributes:
        profile: rasterio's ``crs``, ``transform`` and ``gcps``.
        tags: TIFF's own tags (code, type, count, value), for files written without rasterio.
    """

    profile: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[tuple[int, int, int, Any], ...] = ()


class Raster(ABC):
    """A raster that is open for reading; a context manager.

    Attributes:
        path: the file.
        size: (height, width).
        channels: without alpha.
        dtype: of the pixels.
        georeference: where it lies.
    """

    path: Path
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    georeference: Georeference

    def __init__(self) -> None:
        self._open = ExitStack()
        self._lock = threading.Lock()  # neither GDAL's nor tifffile's handles are for two threads at once

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(self, window: Window) -> Array:
        """(height, width, channels) pixels.

        Raises:
            DatasetError: the file is damaged there.
        """
        with self._lock:
            return self._read(window)

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """(height, width): False where the file has no data; None where it has data everywhere.

        Raises:
            DatasetError: the file is damaged there.
        """
        with self._lock:
            return self._valid(window)

    @abstractmethod
    def _read(self, window: Window) -> Array: ...

    @abstractmethod
    def _valid(self, window: Window) -> NDArray[np.bool_] | None: ...


def open_raster(path: Path) -> Raster:
    """Opens a TIFF with rasterio, or with tifffile where that is not installed; a folder ``.zarr`` with zarr.

    Raises:
        DatasetError: the file is missing or damaged, or nothing that reads it is installed.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such file")
    if path.suffix.lower() == ".zarr":
        _require("zarr", path)
        return importlib.import_module("segkit.inference.rasters.zarr_source").ZarrRaster(path)
    if find_spec("rasterio") is not None:
        return RasterioRaster(path)
    _require("tifffile", path)
    return importlib.import_module("segkit.inference.rasters.tiff_source").TiffRaster(path)


def can_open(path: Path) -> bool:
    """Whether something that reads this by windows is installed."""
    names = ("zarr",) if path.suffix.lower() == ".zarr" else ("rasterio", "tifffile")
    return path.suffix.lower() in RASTER_SUFFIXES and any(find_spec(name) is not None for name in names)


def _require(package: str, path: Path) -> None:
    if find_spec(package) is None:
        raise DatasetError(f"{path}: reading it by windows needs `pip install segkit[raster]` ({package} is missing)")


class RasterioRaster(Raster):
    """Whatever GDAL reads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._rasterio: Any = importlib.import_module("rasterio")
        errors: Any = importlib.import_module("rasterio.errors")
        self._failures = (errors.RasterioIOError, errors.RasterioError)
        # GDAL's own cache would take a twentieth of the machine's memory.
        self._open.enter_context(self._rasterio.Env(GDAL_CACHEMAX=_CACHE_MB))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", errors.NotGeoreferencedWarning
                )  # a scan of a slide has no place on Earth
                self._source: Any = self._open.enter_context(self._rasterio.open(path))
        except self._failures as error:
            self._open.close()
            raise DatasetError(f"{path}: cannot be read ({error})") from None
        alpha = importlib.import_module("rasterio.enums").ColorInterp.alpha
        self._bands = [
            i for i, kind in zip(self._source.indexes, self._source.colorinterp, strict=True) if kind != alpha
        ]
        self.path, self.size, self.channels = path, (self._source.height, self._source.width), len(self._bands)
        self.dtype = np.dtype(self._source.dtypes[0])
        flags = {flag.name for band in self._source.mask_flag_enums for flag in band}
        self._masked = flags != {"all_valid"}
        self.georeference = Georeference(self._place())

    def _place(self) -> dict[str, Any]:
        points, crs = self._source.gcps
        if points:
            return {"gcps": points, "crs": crs}
        place = {} if self._source.transform.is_identity else {"transform": self._source.transform}
        return place if self._source.crs is None else {**place, "crs": self._source.crs}

    def _read(self, window: Window) -> Array:
        return np.moveaxis(self._guarded(self._source.read, window, indexes=self._bands), 0, -1)

    def _valid(self, window: Window) -> NDArray[np.bool_] | None:
        return self._guarded(self._source.dataset_mask, window) > 0 if self._masked else None

    def _guarded(self, read: Any, window: Window, **options: Any) -> Array:
        place = ((window.top, window.bottom), (window.left, window.right))
        try:
            return read(window=place, **options)
        except self._failures as error:
            raise DatasetError(f"{self.path}: is damaged at rows {window.top} to {window.bottom} ({error})") from None
