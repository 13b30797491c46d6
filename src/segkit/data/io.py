"""Reads images and label images from files, and refuses torn or unsuitable ones with their path."""

import importlib
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.errors import ColorLabelError, DatasetError

Array = NDArray[Any]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*")
_GRAY, _RGB, _PALETTE = 0, 2, 3  # PNG colour types


def read_image(path: Path, *, channels: int = 3, apply_exif: bool = True) -> Array:
    """Reads an image.

    Three channels are RGB (grey files are repeated, alpha is dropped), one is grey, four are RGBA. Other numbers come
    from TIFF or ``.npy`` files.

    Args:
        path: JPEG, PNG, TIFF, BMP, WebP or ``.npy`` file; its name may hold any character.
        channels: how many the caller wants.
        apply_exif: turn the image as its EXIF orientation says, as viewers and labelling tools do.

    Returns:
        (H, W, channels) uint8 or uint16.

    Raises:
        DatasetError: the file is missing, torn, no image, or has another number of channels or type.
    """
    data = read_bytes(path)
    if path.suffix.lower() == ".npy":
        image = _load_npy(path, data)
    else:
        _check_whole(path, data)
        image = _decode_image(path, data, channels, apply_exif)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] != channels:
        raise DatasetError(f"{path}: has {image.shape[2]} channels, expected {channels}")
    if image.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path}: pixels are {image.dtype}, expected uint8 or uint16")
    return np.ascontiguousarray(image)


def read_label(path: Path) -> Array:
    """Reads a label image whose values are the labels as stored: grey values, or indices of a palette.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        DatasetError: the file is missing or torn, or its values are colours.
    """
    data = read_bytes(path)
    if path.suffix.lower() == ".npy":
        label = _load_npy(path, data)
        if np.issubdtype(label.dtype, np.signedinteger) and label.size and label.min() >= 0 and label.max() <= 65535:
            label = label.astype(np.uint16)
    else:
        _check_whole(path, data)
        label = _decode_label(path, data)
    if label.ndim != 2 or label.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path}: is {label.shape} {label.dtype}; a label file is (H, W) of 8 or 16 bit")
    return label


def read_color_label(path: Path) -> Array:
    """Reads a label image whose colours are the labels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    data = read_bytes(path)
    _check_whole(path, data)
    if data.startswith(_JPEG):
        raise DatasetError(f"{path}: a JPEG blurs the colours of a label image; store labels as PNG")
    return _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def read_bytes(path: Path) -> bytes:
    """The content of a file that a data set names.

    Raises:
        DatasetError: it is missing, empty or unreadable.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise DatasetError(f"{path}: the file is empty")
    return data


def _check_whole(path: Path, data: bytes) -> None:
    """Refuses files that end early; OpenCV fills the missing part of a JPEG with grey and says nothing."""
    if data.startswith(_JPEG):
        whole = data.rfind(b"\xff\xd9", _jpeg_scan_start(data)) >= 0
    elif data.startswith(_PNG):
        whole = data.rfind(b"IEND") >= 0
    else:
        return
    if not whole:
        raise DatasetError(f"{path}: the file is truncated ({len(data)} bytes); copy or download it again")


def _jpeg_scan_start(data: bytes) -> int:
    """Where the first scan begins: past the headers, since a thumbnail in them has an end marker of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return at
        at += 1 if data[at + 1] == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return at


def _decode(path: Path, data: bytes, flags: int) -> Array:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DatasetError(f"{path}: cannot be decoded ({error.err})") from None
    if image is None:
        raise DatasetError(f"{path}: is damaged or no image that OpenCV reads")
    return image


def _decode_image(path: Path, data: bytes, channels: int, apply_exif: bool) -> Array:
    exif = 0 if apply_exif else cv2.IMREAD_IGNORE_ORIENTATION
    if channels == 3 and data.startswith(_TIFF):  # OpenCV 5 mixes up the channels of a 16-bit TIFF asked for as RGB
        return cv2.cvtColor(_decode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | exif), cv2.COLOR_BGR2RGB)
    if channels == 3:
        return _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | exif)
    if channels == 1:
        return _decode(path, data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | exif)
    if channels != 4 and path.suffix.lower() in (".tif", ".tiff"):
        return _decode_bands(path, data)
    image = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image


def _decode_bands(path: Path, data: bytes) -> Array:
    """A TIFF of many bands, which OpenCV does not read."""
    try:
        tifffile: Any = importlib.import_module("tifffile")
    except ImportError:
        text = "more than 4 channels in a TIFF need `pip install tifffile`; or store the images as .npy"
        raise DatasetError(f"{path}: {text}") from None
    try:
        bands: Array = tifffile.imread(BytesIO(data))
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        raise DatasetError(f"{path}: cannot be decoded ({error})") from None
    if bands.ndim == 3 and bands.shape[0] < min(bands.shape[1:]):
        bands = bands.transpose(1, 2, 0)  # band after band
    return bands


def _decode_label(path: Path, data: bytes) -> Array:
    if data.startswith(_JPEG):
        raise DatasetError(f"{path}: a JPEG changes label values; store labels as PNG")
    bits, color_type = (data[24], data[25]) if data.startswith(_PNG) else (8, _GRAY)
    if color_type == _PALETTE:
        return _palette_indices(path, data)  # OpenCV would turn them into colours
    label = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if bits < 8:
        label = label // (255 // (2**bits - 1))  # OpenCV spreads grey of few bits over 0..255
    if label.ndim == 3:
        label = _one_channel(path, label)
    return label


def _palette_indices(path: Path, data: bytes) -> Array:
    try:
        with Image.open(BytesIO(data)) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DatasetError(f"{path}: cannot be decoded ({error})") from None


def _one_channel(path: Path, label: Array) -> Array:
    """Grey stored as colour, with or without alpha, is grey; anything else is a colour mask."""
    first = label[:, :, 0]
    if label.shape[2] >= 3 and not ((first == label[:, :, 1]).all() and (first == label[:, :, 2]).all()):
        raise ColorLabelError(
            f"{path}: is a colour image, not class ids; a FolderDataset reads it with label_format: color and colors: "
            "one RGB triple for each class",
            path,
        )
    return np.ascontiguousarray(first)


def _load_npy(path: Path, data: bytes) -> Array:
    try:
        array: Array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: is no plain array file ({error})") from None
    return array
