"""What a JPEG file says of itself before it is decoded."""

import struct
from typing import NamedTuple

_SCAN, _EXIF = 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment with the image's size."""
_ORIENTATION = 0x0112


class JpegHeader(NamedTuple):
    """The segments before the first scan.

    Attributes:
        scan: where the scan begins, in bytes; the end of what could be read where there is none.
        size: (height, width) as stored; None where the file does not say.
        orientation: how EXIF wants the image turned, 1 to 8; 1 is not at all.
    """

    scan: int
    size: tuple[int, int] | None
    orientation: int


def jpeg_header(data: bytes) -> JpegHeader:
    """Reads the segments of a JPEG; of a damaged one as far as it goes."""
    at, size, orientation = 2, None, 1
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        if data[at + 1] in _FRAMES and at + 9 <= len(data):
            size = struct.unpack_from(">HH", data, at + 5)
        if data[at + 1] == _EXIF and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(data, at + 10)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return JpegHeader(at, size, orientation)


def _orientation(data: bytes, start: int) -> int:
    """The orientation in the first directory of an EXIF block that begins at ``start``."""
    order = "<" if data[start : start + 2] == b"II" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", data, start + 4)
        (entries,) = struct.unpack_from(order + "H", data, start + directory)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, start + directory + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:  # a torn block; the image may be whole
        pass
    return 1
