"""Reading files: right pixels, or a DatasetError that names the file; never a crash, never silent damage."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segkit.data.io import read_color_label, read_image, read_label
from segkit.errors import DatasetError

Photo = Callable[..., np.ndarray]


def encoded(suffix: str, array: np.ndarray) -> bytes:
    return cv2.imencode(suffix, array)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_lossless_formats_give_the_same_rgb(tmp_path: Path, photo: Photo, suffix: str) -> None:
    image = photo(20, 30)
    Image.fromarray(image).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), image)


def test_jpeg_is_rgb(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    Image.fromarray(red).save(tmp_path / "red.jpg")
    pixel = read_image(tmp_path / "red.jpg")[8, 8].astype(int)
    assert pixel[0] > 240
    assert pixel[2] < 20


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.97])
def test_truncated_files_are_refused_with_their_path(tmp_path: Path, photo: Photo, suffix: str, share: float) -> None:
    whole = encoded(suffix, photo(64, 64))
    path = tmp_path / f"torn{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DatasetError, match=r"torn\.\w+: .*(truncated|damaged|empty)"):
        read_image(path)


def test_a_thumbnail_s_end_does_not_hide_a_truncation(tmp_path: Path, photo: Photo) -> None:
    whole = encoded(".jpg", photo(64, 64))
    thumbnail = encoded(".jpg", photo(8, 8))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    path = tmp_path / "with_thumbnail.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:])
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes((whole[:2] + segment + whole[2:])[:-200])
    with pytest.raises(DatasetError, match="truncated"):
        read_image(path)


def test_bytes_after_the_end_do_no_harm(tmp_path: Path, photo: Photo) -> None:
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"padded{suffix}"
        path.write_bytes(encoded(suffix, photo(32, 32)) + b"\0" * 5000)
        assert read_image(path).shape == (32, 32, 3)


def test_damaged_bytes_never_crash(tmp_path: Path, photo: Photo) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    for trial in range(60):
        data = bytearray(encoded((".jpg", ".png")[trial % 2], photo(40, 40)))
        for place in rng.integers(0, len(data), 5):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        for read in (read_image, read_label, read_color_label):
            try:
                assert read(path).size > 0
            except DatasetError as error:
                assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_files_that_are_no_images_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for read in (read_image, read_label, read_color_label):
        with pytest.raises(DatasetError, match=r"x\.png"):
            read(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_image(tmp_path)


def test_names_may_hold_any_character(tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "Straße 道路 #1, neu.png"
    Image.fromarray(photo(9, 11)).save(path)
    assert read_image(path).shape == (9, 11, 3)


def test_alpha_is_dropped_and_grey_is_repeated(tmp_path: Path, photo: Photo) -> None:
    rgba = np.dstack([photo(10, 12), np.full((10, 12), 7, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgba[..., :3])
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png", channels=4), rgba)
    grey = photo(10, 12, 1)
    Image.fromarray(grey[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), grey.repeat(3, axis=2))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", channels=1), grey)


def test_16_bit_images_keep_their_bits(tmp_path: Path) -> None:
    deep = np.arange(6 * 5 * 3, dtype=np.uint16).reshape(6, 5, 3) * 500
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), deep)
    cv2.imwrite(str(tmp_path / "grey.tif"), deep[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.tif", channels=1), deep[..., :1])


def test_arrays_hold_any_number_of_channels(tmp_path: Path) -> None:
    bands = np.arange(4 * 5 * 7, dtype=np.uint16).reshape(4, 5, 7)
    np.save(tmp_path / "bands.npy", bands)
    np.testing.assert_array_equal(read_image(tmp_path / "bands.npy", channels=7), bands)
    with pytest.raises(DatasetError, match="has 7 channels, expected 3"):
        read_image(tmp_path / "bands.npy")
    np.save(tmp_path / "complex.npy", bands.astype(np.complex64))
    with pytest.raises(DatasetError, match="pixels are complex64"):
        read_image(tmp_path / "complex.npy", channels=7)
    for shape in ((3,), (2, 2, 2, 2)):
        np.save(tmp_path / "shape.npy", np.zeros(shape))
        with pytest.raises(DatasetError, match="two or three dimensions"):
            read_image(tmp_path / "shape.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DatasetError, match="no plain array"):
        read_image(tmp_path / "objects.npy")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_tiffs_of_any_bands_and_numbers(tmp_path: Path, dtype: str, bands: int, planar: str) -> None:
    image = (np.random.default_rng(0).random((16, 20, bands)) * 200).astype(dtype)
    stored = image[:, :, 0] if bands == 1 else image if planar == "contig" else np.moveaxis(image, 2, 0)
    kind = "rgb" if bands == 3 and dtype.startswith("u") else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=kind, planarconfig=planar if bands > 1 else None)
    read = read_image(tmp_path / "a.tif", channels=bands)
    assert read.dtype == (dtype if dtype.startswith("u") else np.float32)
    np.testing.assert_array_equal(read, image.astype(np.float32))
    if bands == 1:
        assert read_image(tmp_path / "a.tif").shape == (16, 20, 3)
    elif bands != 4:
        with pytest.raises(DatasetError, match=f"has {bands} channels, expected 6"):
            read_image(tmp_path / "a.tif", channels=6)


def test_tiffs_of_pages_palettes_and_wide_labels(tmp_path: Path) -> None:
    pages = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "pages.tif", channels=5), np.moveaxis(pages, 0, 2))
    label = (np.arange(30) % 7).reshape(5, 6)
    colors = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", label.astype(np.uint8), photometric="palette", colormap=colors)
    tifffile.imwrite(tmp_path / "wide.tif", label.astype(np.int32))
    for name in ("palette.tif", "wide.tif"):
        np.testing.assert_array_equal(read_label(tmp_path / name), label)
    packed = Image.fromarray(label.astype(np.uint8))
    packed.save(tmp_path / "packed.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_label(tmp_path / "packed.tif"), label)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    image = np.zeros((4, 5, 2), np.float32)
    image[1, 2] = np.nan
    np.save(tmp_path / "nodata.npy", image)
    with pytest.raises(DatasetError, match=r"nodata\.npy: 2 values are not finite"):
        read_image(tmp_path / "nodata.npy", channels=2)


def test_exif_turns_the_image_unless_told_not_to(tmp_path: Path, photo: Photo) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(photo(20, 40)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (40, 20, 3)
    assert read_image(tmp_path / "turned.jpg", apply_exif=False).shape == (20, 40, 3)


def test_one_pixel(tmp_path: Path) -> None:
    Image.fromarray(np.full((1, 1, 3), 9, np.uint8)).save(tmp_path / "dot.png")
    assert read_image(tmp_path / "dot.png").tolist() == [[[9, 9, 9]]]
    Image.fromarray(np.full((1, 1), 3, np.uint8)).save(tmp_path / "label.png")
    assert read_label(tmp_path / "label.png").tolist() == [[3]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_labels_are_indices_not_colours(tmp_path: Path, bits: int) -> None:
    label = (np.arange(30) % 2**bits).astype(np.uint8).reshape(5, 6)
    image = Image.fromarray(label).convert("P")
    image.putpalette([(7 * i + c * 50) % 256 for i in range(2**bits) for c in range(3)])
    image.putdata(label.ravel().tolist())
    image.save(tmp_path / "label.png", bits=bits)
    np.testing.assert_array_equal(read_label(tmp_path / "label.png"), label)


def test_grey_labels_of_one_bit_are_0_and_1(tmp_path: Path) -> None:
    label = np.eye(9, dtype=bool)
    Image.fromarray(label).save(tmp_path / "label.png")
    np.testing.assert_array_equal(read_label(tmp_path / "label.png"), label.astype(np.uint8))


def test_labels_of_16_bit_and_of_grey_stored_as_colour(tmp_path: Path) -> None:
    deep = np.array([[0, 300], [40000, 7]], np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(read_label(tmp_path / "deep.png"), deep)
    np.save(tmp_path / "deep.npy", deep.astype(np.int64))
    np.testing.assert_array_equal(read_label(tmp_path / "deep.npy"), deep)
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "rgb.png")
    np.testing.assert_array_equal(read_label(tmp_path / "rgb.png"), grey)


def test_colour_masks_and_jpegs_are_no_labels(tmp_path: Path, photo: Photo) -> None:
    Image.fromarray(photo(8, 8)).save(tmp_path / "color.png")
    with pytest.raises(DatasetError, match=r"color\.png: is a colour image.*label_format: color"):
        read_label(tmp_path / "color.png")
    Image.fromarray(photo(8, 8)).save(tmp_path / "lossy.jpg")
    for read in (read_label, read_color_label):
        with pytest.raises(DatasetError, match="store labels as PNG"):
            read(tmp_path / "lossy.jpg")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_rgb_of_any_depth_keeps_its_channels_apart(tmp_path: Path, dtype: type, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 28, 3)).astype(dtype)
    cv2.imwrite(str(tmp_path / f"x{suffix}"), image[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}"), image)
