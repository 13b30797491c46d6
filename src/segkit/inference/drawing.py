"""Pictures of classes."""

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.types import ClassInfo

Pixels = NDArray[np.uint8]


def mask_classes(info: ClassInfo) -> ClassInfo:
    """Names and colours by the value in a mask; where there is one class, 1 is that and 0 the background."""
    if len(info.names) > 1:
        return info
    return ClassInfo(("background", *info.names), ((0, 0, 0), *info.palette))


def color_mask(mask: Pixels, info: ClassInfo) -> Pixels:
    """(H, W) class ids as (H, W, 3) RGB; what is no class is black."""
    palette = mask_classes(info).palette
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    return colors[mask]


def overlay(image: NDArray[Any], mask: Pixels, info: ClassInfo, *, opacity: float = 0.6) -> Pixels:
    """The image under the colours of its classes; where those are black, as it is.

    Args:
        image: (H, W, C).
        mask: (H, W) class ids; 255 where nothing is known.
        info: colours of the classes.
        opacity: of the colours, 0 to 1.

    Returns:
        (H, W, 3) RGB.
    """
    picture, colors = to_rgb(image), color_mask(mask, info)
    mixed = cv2.addWeighted(picture, 1 - opacity, colors, opacity, 0)
    return np.where(colors.any(axis=2, keepdims=True), mixed, picture).astype(np.uint8)


def to_rgb(image: NDArray[Any]) -> Pixels:
    """An image of any channels and depth as (H, W, 3) uint8 to look at: the first three channels, stretched."""
    picture = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    low, high = float(picture.min()), float(picture.max())
    return ((picture - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def shares_of(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """The share of each class that is seen, the largest first, from how many pixels have each id."""
    counts = counts[: len(names)]
    seen = sorted(np.flatnonzero(counts).tolist(), key=lambda index: -counts[index])
    return {names[index]: float(counts[index] / counts.sum()) for index in seen}


def data_uri(pixels: NDArray[Any], *, quality: int | None = None) -> str:
    """The address of an image that holds itself, for pages in one file.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 4) RGBA, uint8.
        quality: of a JPEG, 0 to 100; None is a PNG, which loses nothing.
    """
    swapped = np.ascontiguousarray(pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])
    suffix, kind = (".png", "png") if quality is None else (".jpg", "jpeg")
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    data = cv2.imencode(suffix, swapped, options)[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
