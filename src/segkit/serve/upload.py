"""From the bytes of an upload to pixels; what the file is called is not asked."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.config.datasets import DatasetConfig
from segkit.data.io import decode_image
from segkit.data.tiff import MAGIC as TIFF
from segkit.data.tiff import tiff_values
from segkit.errors import DatasetError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

_NAME = Path("the upload")


def read_upload(data: bytes, config: DatasetConfig, max_pixels: int) -> NDArray[Any]:
    """The (H, W, C) pixels of an image, as ``segkit.load(...)`` reads them from a file.

    Args:
        data: a whole image file.
        config: tells the channels, and whether EXIF turns the image.
        max_pixels: what is decoded at most; the header tells.

    Raises:
        HTTPException: 415 where it is no image of a known format, 413 where it has too many pixels, 400 where it is
            empty, damaged, or not what the model was trained on.
    """
    if not data:
        raise HTTPException(400, f"{_NAME} is empty")
    try:
        pixels = _count(data, config.image_channels)
        if pixels > max_pixels:
            raise HTTPException(413, f"{_NAME} has {pixels / 1e6:.1f} megapixels; {max_pixels / 1e6:g} are the most")
        return decode_image(_NAME, data, channels=config.image_channels, apply_exif=config.apply_exif)
    except DatasetError as error:
        raise HTTPException(400, str(error)) from None


def _count(data: bytes, channels: int) -> int:
    """Pixels that would be decoded, from the header alone.

    Of a TIFF, which may have any number of bands and pages, the values for each channel of the model.
    """
    if data.startswith(TIFF):
        return tiff_values(_NAME, data) // channels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own limit is another
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return 2 * (Image.MAX_IMAGE_PIXELS or 0)
    except UnidentifiedImageError:
        raise HTTPException(415, f"{_NAME} is no image; {', '.join(FORMATS)} are read") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{_NAME}: cannot be decoded ({error})") from None
