"""The kinds of results, and where each lies below the output folder."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segkit.errors import SegkitError
from segkit.files import whole_file
from segkit.inference.drawing import Pixels, mask_classes, overlay, to_rgb
from segkit.inference.prediction import Prediction
from segkit.inference.rasters.segment import RasterResult
from segkit.inference.rasters.source import open_raster
from segkit.inference.rasters.target import write_tiff
from segkit.ops.windows import Window
from segkit.types import IGNORE_INDEX, ClassInfo

THUMB = 480
"""Longer side of the gallery's pictures."""


@dataclass(frozen=True)
class Looks:
    """How results are written.

    Attributes:
        output: the folder.
        save: kinds of results, see :func:`kinds_for`.
        opacity: of the colours in overlays, 0 to 1.
        half: probabilities as float16.
    """

    output: Path
    save: frozenset[str]
    opacity: float = 0.5
    half: bool = False

    def place(self, kind: str, target: str) -> Path:
        """Path of a result, relative to the output folder."""
        return Path(kind, f"{target}{_SUFFIXES[kind]}")


_SUFFIXES = {"masks": ".png", "overlays": ".jpg", "probs": ".npz", "rle": ".json", "geotiff": ".tif", "gallery": ".jpg"}


def kinds_for(kind: str, save: frozenset[str], *, tiff: bool) -> list[str]:
    """The results that an input is to have.

    Args:
        kind: image, video or raster.
        save: what is wanted.
        tiff: whether the source is a TIFF, and may have a georeference.
    """
    if kind == "raster":
        return ["masks", *(name for name in ("overlays", "gallery") if name in save)]
    return sorted(save - {"geotiff"} if kind == "video" or not tiff else save)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """As :func:`~segkit.files.whole_file`.

    Raises:
        SegkitError: the disk is full, or the folder cannot be written.
    """
    try:
        with whole_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise SegkitError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_image(looks: Looks, prediction: Prediction, target: str, kinds: list[str], source: Path) -> dict[str, str]:
    """Writes the results of one image, or of one frame; kind -> path below the output folder."""
    writers: dict[str, Callable[[Path], None]] = {
        "masks": prediction.save_mask,
        "overlays": lambda path: prediction.save_overlay(path, looks.opacity),
        "probs": lambda path: prediction.save_probs(path, half=looks.half),
        "rle": lambda path: _write_json(path, prediction),
        "geotiff": lambda path: _write_geotiff(path, prediction, source),
        "gallery": lambda path: write_thumb(path, prediction.overlay(looks.opacity)),
    }
    files = {}
    for kind in kinds:
        place = looks.place(kind, target)
        with whole(looks.output / place) as temporary:
            writers[kind](temporary)
        if kind == "gallery":
            write_plain_thumb(looks, target, to_rgb(prediction.image))
        files[kind] = place.as_posix()
    return files


def write_raster(looks: Looks, result: RasterResult, target: str, kinds: list[str], info: ClassInfo) -> dict[str, str]:
    """Writes what there is to see of a raster; its class ids are written already, at :func:`raster_place`."""
    files = {"masks": raster_place(target).as_posix()}
    picture = overlay(result.image, result.mask, info, opacity=looks.opacity)
    for kind in set(kinds) - {"masks"}:
        place = looks.place(kind, target)
        with whole(looks.output / place) as temporary:
            if kind == "gallery":
                write_thumb(temporary, picture)
            else:
                Image.fromarray(picture).save(temporary, quality=92)
        if kind == "gallery":
            write_plain_thumb(looks, target, to_rgb(result.image))
        files[kind] = place.as_posix()
    return files


def raster_place(target: str) -> Path:
    """Path of a raster's class ids, relative to the output folder."""
    return Path("masks", f"{target}.tif")


def write_thumb(path: Path, picture: Pixels) -> None:
    """Writes a small JPEG of (H, W, 3) RGB."""
    scale = THUMB / max(picture.shape[:2])
    if scale < 1:
        size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    Image.fromarray(picture).save(path, quality=85)


def write_plain_thumb(looks: Looks, target: str, picture: Pixels) -> None:
    """Writes the image itself beside the overlay of the gallery, as ``<name>.image.jpg``."""
    with whole(looks.output / "gallery" / f"{target}.image.jpg") as temporary:
        write_thumb(temporary, picture)


def _write_json(path: Path, prediction: Prediction) -> None:
    path.write_text(json.dumps(prediction.coco()), encoding="utf-8")


def _write_geotiff(path: Path, prediction: Prediction, source: Path) -> None:
    """Class ids with the source's georeference; 255 where that has no data."""
    with open_raster(source) as raster:
        valid = raster.valid(Window(0, 0, *raster.size))
        mask = prediction.mask
        if valid is not None and valid.shape == mask.shape:
            mask = np.where(valid, mask, np.uint8(IGNORE_INDEX))
        write_tiff(mask, path, mask_classes(prediction.info).palette, raster.georeference)
