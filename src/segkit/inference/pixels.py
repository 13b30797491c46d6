"""Pixels out of whatever a caller has at hand."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from segkit.config.datasets import DatasetConfig
from segkit.data.io import read_image
from segkit.errors import DatasetError

Source = str | Path | Image.Image | NDArray[Any] | Tensor
"""What shows one image: a file, a PIL image, (H, W, C) pixels of 8 or 16 bit (RGB where C is 3), or a tensor (C, H, W)
of such pixels or of floats from 0 to 1."""


def pixels_of(image: Source, config: DatasetConfig) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16 pixels.

    Args:
        image: what to read.
        config: tells the channels, and whether EXIF turns a file's image.

    Raises:
        DatasetError: a file is missing or torn, or pixels are not what the model was trained on.
    """
    channels = config.image_channels
    if isinstance(image, (str, Path)):
        return read_image(Path(image), channels=channels, apply_exif=config.apply_exif)
    if isinstance(image, Image.Image):
        return _from_pil(image, channels, apply_exif=config.apply_exif)
    if isinstance(image, Tensor):
        image = _from_tensor(image)
    if isinstance(image, np.ndarray):
        return _from_array(image, channels)
    raise DatasetError(f"an image is a path, a PIL image, an array or a tensor (got {type(image).__name__})")


def _from_pil(image: Image.Image, channels: int, *, apply_exif: bool) -> NDArray[Any]:
    if apply_exif:
        image = ImageOps.exif_transpose(image)
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise DatasetError(f"a PIL image has no {channels} channels, as the model needs; give an array or a file")
    pixels = np.asarray(image.convert(modes[channels]))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _from_tensor(image: Tensor) -> NDArray[Any]:
    """(C, H, W) or (H, W), as torchvision has images, to (H, W, C)."""
    image = image.detach().cpu()
    if image.is_floating_point():
        image = image.float()  # bfloat16 has no numpy type
        if not image.numel() or not 0 <= float(image.min()) <= float(image.max()) <= 1:
            raise DatasetError("a tensor of floats holds pixels from 0 to 1, not normalised; or give uint8 pixels")
        image = (image * 255).round().to(torch.uint8)
    pixels = image.numpy()
    return np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels


def _from_array(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """(H, W, channels) uint8 or uint16, or float32 where it is not RGB; grey is repeated where the model wants RGB."""
    got = f"{' x '.join(map(str, pixels.shape))} {pixels.dtype}"
    if channels != 3 and np.issubdtype(pixels.dtype, np.floating):  # of RGB they are mostly 0 to 1, by mistake
        pixels = pixels.astype(np.float32, copy=False)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"pixels must be uint8 or uint16, 0 to 255 or 65535 (got {got})")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3 if channels == 3 else 1, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != channels or not pixels.size:
        raise DatasetError(f"pixels must be height x width x {channels} (got {got})")
    return np.ascontiguousarray(pixels)
