"""JPEG files as views: decoded where they are read, and no larger than that needs."""

from dataclasses import dataclass, field
from pathlib import Path

from segkit.data.io import Array, decode_image, is_jpeg, read_bytes
from segkit.data.jpeg import jpeg_header
from segkit.data.views import Box, Pixels, Shrunk, Size, View
from segkit.errors import DatasetError

_SHRINKS = (8, 4, 2)


@dataclass
class Encoded:
    """The RGB pixels of a JPEG file in memory.

    Attributes:
        path: for messages.
        data: the file.
        size: (height, width), as its header says.
        apply_exif: as for ``read_image``; the orientation is 1.
    """

    path: Path
    data: bytes
    size: Size
    apply_exif: bool
    _whole: Array | None = field(default=None, repr=False)

    def read(self, box: Box) -> Array:
        if self._whole is None:
            self._whole = decode_image(self.path, self.data, channels=3, apply_exif=self.apply_exif)
            if self._whole.shape[:2] != self.size:
                raise DatasetError(f"{self.path}: is damaged: its header claims another size than it has")
        return Pixels(self._whole).read(box)

    def at_least(self, size: Size, *, even: bool) -> Shrunk | None:
        """The image at 1/2, 1/4 or 1/8.

        The decoder leaves out the frequencies that the smaller image cannot show: means over blocks, not samples.
        """
        height, width = self.size
        for shrink in _SHRINKS if self._whole is None else ():
            uneven = height % shrink or width % shrink
            if size[0] * shrink <= height and size[1] * shrink <= width and not (even and uneven):
                small = decode_image(self.path, self.data, channels=3, apply_exif=self.apply_exif, shrink=shrink)
                return Shrunk(Pixels(small), (height / shrink, width / shrink))
        return None


def open_image(path: Path, *, channels: int, apply_exif: bool) -> View:
    """The pixels of an image file; those of an upright RGB JPEG are not decoded yet.

    Raises:
        DatasetError: as :func:`segkit.data.io.read_image`; a JPEG's damage may show only when it is read.
    """
    data = read_bytes(path)
    if channels == 3 and is_jpeg(data):
        header = jpeg_header(data)
        if header.size is not None and (header.orientation == 1 or not apply_exif):
            return Encoded(path, data, header.size, apply_exif)
    return Pixels(decode_image(path, data, channels=channels, apply_exif=apply_exif))
