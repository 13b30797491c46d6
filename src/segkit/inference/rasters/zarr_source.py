"""Zarr arrays of (H, W), (H, W, C) or (C, H, W) pixels."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DatasetError
from segkit.inference.rasters.source import Array, Georeference, Raster
from segkit.ops.windows import Window


class ZarrRaster(Raster):
    """One array; the shortest of three sides is the channels."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        zarr: Any = importlib.import_module("zarr")
        try:
            array = zarr.open_array(path, mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path}: holds no Zarr array ({error})") from None
        if array.ndim not in (2, 3):
            raise DatasetError(f"{path}: is {array.shape}; an image is (H, W), (H, W, C) or (C, H, W)")
        self._array = array
        self._channels_first = array.ndim == 3 and array.shape[0] < min(array.shape[1:])
        height, width = array.shape[1:] if self._channels_first else array.shape[:2]
        self.path, self.size = path, (height, width)
        self.channels = 1 if array.ndim == 2 else array.shape[0 if self._channels_first else 2]
        self.dtype = np.dtype(array.dtype)
        self.georeference = Georeference()

    def _read(self, window: Window) -> Array:
        rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
        if self._channels_first:
            return np.moveaxis(np.asarray(self._array[:, rows, columns]), 0, -1)
        pixels = np.asarray(self._array[rows, columns])
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def _valid(self, window: Window) -> NDArray[np.bool_] | None:
        return None
