"""Reads images and label images from files, and refuses torn or unsuitable ones with their path."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.data.jpeg import jpeg_header
from segkit.data.tiff import MAGIC as TIFF
from segkit.data.tiff import read_tiff
from segkit.errors import ColorLabelError, DatasetError

Array = NDArray[Any]

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it prints what is raised here with the file's name

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GRAY, _RGB, _PALETTE = 0, 2, 3  # PNG colour types
_MOST_PIXELS_A_BYTE = 16384
"""Of a whole file: PNG packs 8 pixels of one bit into a byte, and up to 1032 such bytes into one."""


def read_image(path: Path, *, channels: int = 3, apply_exif: bool = True) -> Array:
    """Reads an image.

    Three channels are RGB (grey files are repeated, alpha is dropped), one is grey, four are RGBA. Other numbers come
    from TIFF or ``.npy`` files.

    Args:
        path: JPEG, PNG, TIFF, BMP, WebP or ``.npy`` file; its name may hold any character.
        channels: how many the caller wants.
        apply_exif: turn the image as its EXIF orientation says, as viewers and labelling tools do.

    Returns:
        (H, W, channels) uint8, uint16 or float32; other signed and floating numbers become float32.

    Raises:
        DatasetError: the file is missing, torn, no image, has another number of channels or type, or holds numbers that
            are not finite.
    """
    return decode_image(path, read_bytes(path), channels=channels, apply_exif=apply_exif)


def decode_image(path: Path, data: bytes, *, channels: int, apply_exif: bool, shrink: int = 1) -> Array:
    """:func:`read_image` of a file's content.

    Args:
        path: for messages, and the kind of the file.
        data: its content.
        channels: as in :func:`read_image`.
        apply_exif: likewise.
        shrink: 2, 4 or 8 decodes a JPEG of three channels at that part of its size, in a fraction of the time.
    """
    if path.suffix.lower() == ".npy":
        image = _load_npy(path, data)
    else:
        _check_whole(path, data)
        image = _decode_image(path, data, channels, apply_exif, shrink)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] != channels:
        raise DatasetError(f"{path}: has {image.shape[2]} channels, expected {channels}")
    return np.ascontiguousarray(_in_known_type(path, image))


def _in_known_type(path: Path, image: Array) -> Array:
    """uint8, uint16 or float32, which all steps of the pipeline can handle."""
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype not in (np.int16, np.float16, np.float32, np.float64):
        raise DatasetError(f"{path}: pixels are {image.dtype}; 8 and 16 bit integers and floating numbers are read")
    image = image.astype(np.float32, copy=False)
    finite = np.isfinite(image)
    if not finite.all():
        text = "fill them (0, or the mean) and ignore them in the labels"
        raise DatasetError(f"{path}: {image.size - np.count_nonzero(finite)} values are not finite numbers; {text}")
    return image


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
    else:
        _check_whole(path, data)
        label = _decode_label(path, data)
    wider = np.issubdtype(label.dtype, np.integer) and label.dtype not in (np.uint8, np.uint16)
    if wider and label.size and label.min() >= 0 and label.max() <= 65535:
        label = label.astype(np.uint16)
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


def is_jpeg(data: bytes) -> bool:
    """Whether a file's content begins as a JPEG does."""
    return data.startswith(_JPEG)


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
        header = jpeg_header(data)
        # Past the headers, since a thumbnail in them has an end marker of its own.
        whole, size = data.rfind(b"\xff\xd9", header.scan) >= 0, header.size
    elif data.startswith(_PNG):
        whole, size = data.rfind(b"IEND") >= 0, _png_size(data)
    else:
        return
    if size is not None and size[0] * size[1] > _MOST_PIXELS_A_BYTE * len(data):
        raise DatasetError(f"{path}: is damaged: it claims {size[0]} x {size[1]} pixels in {len(data)} bytes")
    if not whole:
        raise DatasetError(f"{path}: the file is truncated ({len(data)} bytes); copy or download it again")


def _png_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as a PNG's header says."""
    if len(data) < 24:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


_DECODED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND"))
"""Parts of a PNG that the pixels depend on; of the others libpng prints a line for each small fault in each read."""


def _essential(data: bytes) -> bytes:
    """A PNG without the parts that are not decoded; anything else as it is."""
    if not data.startswith(_PNG):
        return data
    at, kept, dropped = len(_PNG), [data[: len(_PNG)]], False
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in _DECODED:
            kept.append(data[at:end])
        else:
            dropped = True
        at = end
    return b"".join(kept) if dropped else data


def _decode(path: Path, data: bytes, flags: int) -> Array:
    try:
        image = cv2.imdecode(np.frombuffer(_essential(data), np.uint8), flags)
    except cv2.error as error:
        raise DatasetError(f"{path}: cannot be decoded ({error.err})") from None
    if image is None:
        raise DatasetError(f"{path}: is damaged or no image that OpenCV reads")
    return image


_SHRUNK = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def _decode_image(path: Path, data: bytes, channels: int, apply_exif: bool, shrink: int) -> Array:
    exif = 0 if apply_exif else cv2.IMREAD_IGNORE_ORIENTATION
    if data.startswith(TIFF):
        if (bands := read_tiff(path, data)) is not None:
            return _as_image(bands, channels)
        if channels == 3:  # OpenCV 5 mixes up the channels of a 16-bit TIFF asked for as RGB
            return cv2.cvtColor(_decode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | exif), cv2.COLOR_BGR2RGB)
    if shrink > 1:
        return cv2.cvtColor(_decode(path, data, _SHRUNK[shrink] | exif), cv2.COLOR_BGR2RGB)
    if channels == 3:
        return _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | exif)
    if channels == 1:
        return _decode(path, data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | exif)
    return _unchanged(path, data)


def _unchanged(path: Path, data: bytes) -> Array:
    """All channels as they are, RGB first."""
    image = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.shape[2] in (3, 4):
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return image


def _as_image(bands: Array, channels: int) -> Array:
    """Bands as they are, or as in other formats: for three channels grey is repeated and alpha dropped."""
    if channels == 3 and bands.ndim == 2:
        return np.repeat(bands[:, :, None], 3, axis=2)
    if channels == 1 and bands.ndim == 3 and bands.shape[2] == 3:
        return cv2.cvtColor(bands, cv2.COLOR_RGB2GRAY)
    return bands[:, :, :3] if channels == 3 and bands.shape[2] == 4 else bands


def _decode_label(path: Path, data: bytes) -> Array:
    if data.startswith(_JPEG):
        raise DatasetError(f"{path}: a JPEG changes label values; store labels as PNG")
    if data.startswith(TIFF) and (values := read_tiff(path, data)) is not None:
        return values
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
        array: Any = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, OverflowError, MemoryError, SyntaxError, BadZipFile) as error:
        raise DatasetError(f"{path}: is no plain array file ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        raise DatasetError(f"{path}: is no array of two or three dimensions")
    return array
