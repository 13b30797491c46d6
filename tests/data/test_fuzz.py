"""Files as they come: the right pixels or one clear error; no crash, no warnings, nothing printed by the decoders."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segkit.data.encoded import open_image
from segkit.data.io import read_color_label, read_image, read_label
from segkit.data.views import read_all
from segkit.errors import DatasetError

Photo = Callable[..., np.ndarray]
TRIALS = 400


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def array_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tiff_bytes(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(height: int, width: int) -> bytes:
    """A valid file but for its size."""
    rows = zlib.compress(b"\0" * 2000)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def files(photo: Photo) -> dict[str, bytes]:
    """Files of many kinds, 24 x 32 each."""
    rgb = photo(24, 32)
    image, gray = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 8
    return {
        "plain.jpg": saved(image, "JPEG"),
        "progressive.jpg": saved(image, "JPEG", progressive=True),
        "exif.jpg": saved(image, "JPEG", exif=exif),
        "gray.jpg": saved(gray, "JPEG"),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "plain.png": saved(image, "PNG"),
        "alpha.png": saved(image.convert("RGBA"), "PNG"),
        "gray_alpha.png": saved(gray.convert("LA"), "PNG"),
        "palette.png": saved(image.quantize(16), "PNG"),
        "bilevel.png": saved(gray.convert("1"), "PNG"),
        "deep.png": cv2.imencode(".png", rgb.astype(np.uint16) * 257)[1].tobytes(),
        "plain.bmp": saved(image, "BMP"),
        "plain.webp": saved(image, "WEBP"),
        "plain.gif": saved(image, "GIF"),
        "plain.tif": saved(image, "TIFF"),
        "packed.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "bands.tif": tiff_bytes(np.dstack([rgb, rgb]), photometric="minisblack", planarconfig="contig"),
        "float.tif": tiff_bytes(rgb.astype(np.float32), photometric="rgb"),
        "plain.npy": array_bytes(rgb),
        "label.npy": array_bytes(rgb[..., 0].astype(np.int64)),
    }


KINDS = sorted(files(lambda *size: np.zeros((*size, 3), np.uint8)))


def read_lazily(path: Path) -> np.ndarray:
    return read_all(open_image(path, channels=3, apply_exif=True))


def attempt(path: Path) -> list[str]:
    """What each reader says of a file: a shape, or its error; any other exception is a failure."""
    outcomes = []
    for read in (read_image, read_lazily, read_label, read_color_label):
        try:
            outcomes.append(str(read(path).shape))
        except DatasetError as error:
            outcomes.append(str(error))
    assert all(o.startswith("(") or (str(path) in o and "\n" not in o) for o in outcomes), outcomes
    return outcomes


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_read_or_refused(
    tmp_path: Path, photo: Photo, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / f"Straße 道 {name}"
    path.write_bytes(files(photo)[name])
    image = attempt(path)[0]
    wanted = "(32, 24, 3)" if name == "exif.jpg" else "(24, 32, 3)"
    others = {"bands.tif": "has 6 channels, expected 3", "label.npy": "has 1 channels, expected 3"}
    assert image == wanted or (name in others and others[name] in image)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", KINDS)
def test_cut_files_never_crash(tmp_path: Path, photo: Photo, capfd: pytest.CaptureFixture[str], name: str) -> None:
    whole = files(photo)[name]
    path = tmp_path / name
    for length in sorted({0, 1, 2, 8, 24, len(whole) // 2, len(whole) - 1}):
        path.write_bytes(whole[:length])
        image = attempt(path)[0]
        if name.endswith((".jpg", ".png", ".npy")) and length < len(whole) - 1:
            assert not image.startswith("(")
    assert_quiet(capfd)


def assert_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing but a line that a C library prints of damaged pixels; OpenCV, Pillow and tifffile say nothing."""
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("[") or "Warning" in line or "global" in line] == []
    assert err.count("\n") < 2 * TRIALS


def test_damaged_bytes_never_crash_nor_shout(tmp_path: Path, photo: Photo, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    whole = files(photo)
    for trial in range(TRIALS):
        name = KINDS[trial % len(KINDS)]
        data = bytearray(whole[name])
        for place in rng.integers(0, min(len(data), 10 ** rng.integers(1, 5)), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        path = tmp_path / name
        path.write_bytes(bytes(data))
        attempt(path)
    assert_quiet(capfd)


FAULTS = {
    "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"junk")),
    "text": b"\0\0\0\4tEXtabcd\0\0\0\0",
    "gamma": chunk(b"gAMA", b"abc"),
    "twice": 2 * chunk(b"sRGB", b"\0"),
    "unknown": chunk(b"abCd", bytes(9)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_beside_the_pixels_are_no_matter(
    tmp_path: Path, photo: Photo, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    whole = files(photo)["plain.png"]
    at = whole.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(whole[:at] + FAULTS[fault] + whole[at:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), photo(24, 32))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"\0", bytes(1000), b"\xff" * 1000, b"\xff\xd8\xff" + bytes(50) + b"\xff\xd9"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".npy"])
def test_nonsense_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert all(str(path) in outcome for outcome in attempt(path))


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (0, 5)])
def test_headers_that_claim_too_much_are_refused_at_once(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_claiming(*size))
    assert all(str(path) in outcome for outcome in attempt(path))


def test_a_jpeg_that_claims_too_much_is_refused(tmp_path: Path, photo: Photo) -> None:
    data = bytearray(files(photo)["plain.jpg"])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    (tmp_path / "a.jpg").write_bytes(bytes(data))
    with pytest.raises(DatasetError, match=r"a\.jpg: is damaged: it claims 65000 x 65000 pixels in \d+ bytes"):
        read_image(tmp_path / "a.jpg")


def test_an_array_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    data = array_bytes(np.zeros((4, 4, 3), np.uint8)).replace(b"(4, 4, 3), }", b"(400000, 400000, 3), }")
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DatasetError, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["bilevel.png", "palette.png", "gray_alpha.png", "plain.bmp"])
def test_interlaced_and_one_pixel(tmp_path: Path, name: str) -> None:
    mode = {"bilevel.png": "1", "palette.png": "P", "gray_alpha.png": "LA", "plain.bmp": "L"}[name]
    path = tmp_path / name
    Image.new(mode, (1, 1), 1 if mode != "LA" else (1, 255)).save(path)
    assert read_label(path).tolist() == [[1]]
    assert read_image(path).shape == (1, 1, 3)
