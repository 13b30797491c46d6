"""Rasters by windows: read, segmented without seams, taken up, written with colours and place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.checkpoints import write_untrained
from support.runs import tiny_config

import segkit
from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.errors import DatasetError
from segkit.inference.predictor import Predictor
from segkit.inference.rasters import segment, source, target
from segkit.inference.rasters.source import RasterioRaster, open_raster
from segkit.inference.rasters.tiff_source import TiffRaster
from segkit.ops.windows import Window

rasterio = pytest.importorskip("rasterio")
tifffile = pytest.importorskip("tifffile")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PLACE = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
SLIDE = InferenceConfig(mode="slide", crop_size=(32, 48), stride=(21, 32))
LAYOUTS = {
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 48, "compress": "deflate"},
    "strips": {"compress": "deflate", "blockysize": 7},
    "bare": {},
    "planes": {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "interleave": "band"},
    "predicted": {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "predictor": 2},
}
readers = pytest.mark.parametrize("reader", [RasterioRaster, TiffRaster])


def pixels(channels: int = 3, dtype: Any = np.uint8, size: tuple[int, int] = (101, 143)) -> NDArray[Any]:
    """(H, W, C): coarse patches with some noise."""
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    coarse = rng.integers(1, top // 2, (size[0] // 12 + 1, size[1] // 12 + 1, channels))
    fine = coarse.repeat(12, 0).repeat(12, 1)[: size[0], : size[1]]
    return (fine + rng.integers(0, top // 8, fine.shape)).astype(dtype)


def write(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """A GeoTIFF."""
    height, width, count = array.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": array.dtype}
    profile |= {"interleave": "pixel", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(path, "w", **(profile | options)) as file:
        file.write(np.moveaxis(array, -1, 0))
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("run") / "best.pt", tiny_config(inference=SLIDE))


@pytest.fixture
def predictor(checkpoint: Path) -> Predictor:
    return segkit.load(checkpoint, device="cpu")


def ids(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as file:
        return file.read(1)


@readers
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (5, np.uint16)])
def test_windows_are_parts_of_the_whole(tmp_path: Path, reader: Any, layout: str, channels: int, dtype: Any) -> None:
    array = pixels(channels, dtype)
    path = write(tmp_path / "a.tif", array, **LAYOUTS[layout])
    with reader(path) as raster:
        assert (raster.size, raster.channels, raster.dtype) == ((101, 143), channels, np.dtype(dtype))
        for window in (Window(0, 0, 101, 143), Window(30, 31, 40, 50), Window(100, 142, 1, 1), Window(47, 0, 2, 143)):
            part = array[window.top : window.bottom, window.left : window.right]
            np.testing.assert_array_equal(raster.read(window), part)
            assert raster.valid(window) is None


@readers
def test_nodata_and_alpha_tell_where_there_is_nothing(tmp_path: Path, reader: Any) -> None:
    array = pixels()
    array[10:30, 20:60] = 0
    expected = np.ones((101, 143), bool)
    expected[10:30, 20:60] = False
    marked = write(tmp_path / "nodata.tif", array, nodata=0)
    alpha = np.where(expected, 255, 0).astype(np.uint8)[:, :, None]
    veiled = write(
        tmp_path / "alpha.tif", np.concatenate([array, alpha], 2), photometric="rgb", alpha="non-premultiplied"
    )
    for path in (marked, veiled):
        with reader(path) as raster:
            assert raster.channels == 3
            np.testing.assert_array_equal(raster.valid(Window(0, 0, 101, 143)), expected)
            np.testing.assert_array_equal(raster.valid(Window(5, 15, 20, 20)), expected[5:25, 15:35])


def test_zarr_is_read_in_both_orders(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    array = pixels()
    for name, data in (("last", array), ("first", np.moveaxis(array, -1, 0)), ("grey", array[..., 0])):
        zarr.create_array(tmp_path / f"{name}.zarr", data=np.ascontiguousarray(data), chunks=(32,) * data.ndim)
        with open_raster(tmp_path / f"{name}.zarr") as raster:
            expected = array if data.ndim == 3 else array[..., :1]
            np.testing.assert_array_equal(raster.read(Window(20, 30, 50, 60)), expected[20:70, 30:90])


@pytest.mark.parametrize("strip_bytes", [2**28, 1])
@pytest.mark.parametrize("blend", ["uniform", "gaussian"])
def test_a_raster_has_no_seams(
    predictor: Predictor, tmp_path: Path, strip_bytes: int, blend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "STRIP_BYTES", strip_bytes)
    predictor.options = replace(predictor.options, blend=blend)
    path = write(tmp_path / "a.tif", pixels(size=(131, 260)))
    shares: list[float] = []
    result = predictor.segment_raster(path, tmp_path / "b.tif", on_progress=shares.append)
    expected = predictor(path).mask
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), expected)
    assert len(np.unique(expected)) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1
    counts = np.bincount(expected.ravel(), minlength=7) / expected.size
    assert result.shares == {n: pytest.approx(c) for n, c in zip(predictor.info.names, counts, strict=True) if c}
    grid = segment.Grid.over((131, 260), predictor.options)
    assert len(segment.strips(grid, 7)) == (1 if strip_bytes > 1 else 3)


@pytest.mark.parametrize("size", [(20, 30), (32, 48), (33, 300)])
def test_small_and_narrow_rasters_are_done_too(predictor: Predictor, tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path / "a.tif", pixels(size=size))
    predictor.segment_raster(path, tmp_path / "b.tif")
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), predictor(path).mask)


def test_several_looks_are_taken_at_each_window(checkpoint: Path, tmp_path: Path) -> None:
    predictor = segkit.load(checkpoint, device="cpu", tta=True, changes=["inference.tta.flip=true"])
    assert predictor.options.tta == TTAConfig(flip=True, swaps=())
    predictor.options = replace(predictor.options, crop_size=(101, 143), stride=(101, 143))
    path = write(tmp_path / "a.tif", pixels())
    predictor.segment_raster(path, tmp_path / "b.tif")
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), predictor(path).mask)


@pytest.mark.parametrize("library", ["rasterio", "tifffile"])
def test_the_result_has_colours_a_place_and_tiles(
    predictor: Predictor, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library == "tifffile":  # as on a machine without GDAL
        for module in (source, target):
            monkeypatch.setattr(module, "find_spec", lambda name: None if name == "rasterio" else object())
    array = pixels(size=(600, 700))
    array[:200, :100] = 0
    path = write(tmp_path / "a.tif", array, nodata=0, **LAYOUTS["tiled"])
    predictor.options = replace(predictor.options, crop_size=(256, 256), stride=(200, 200))
    predictor.segment_raster(path, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert (file.crs, file.transform, file.nodata) == ("EPSG:32633", PLACE, 255)
        assert [file.colormap(1)[i][:3] for i in range(7)] == list(predictor.info.palette)
        assert (file.block_shapes, file.compression.name) == ([(512, 512)], "deflate")
        found = file.read(1)
    assert (found[:200, :100] == 255).all()
    outside = np.ones_like(found, bool)
    outside[:200, :100] = False
    np.testing.assert_array_equal(found[outside], predictor(path).mask[outside])


def test_windows_without_data_are_not_looked_at(predictor: Predictor, tmp_path: Path) -> None:
    array = np.zeros((400, 200, 3), np.uint8)
    array[250:290] = pixels(size=(40, 200))
    path = write(tmp_path / "a.tif", array, nodata=0)
    seen: list[int] = []
    forward: Callable[..., Any] = predictor.model.forward
    predictor.model.forward = lambda x: seen.append(len(x)) or forward(x)  # type: ignore[func-returns-value]
    predictor.segment_raster(path, tmp_path / "b.tif")
    found = ids(tmp_path / "b.tif")
    assert sum(seen) == 3 * 6  # rows of windows at 231, 252, 273; of 19
    np.testing.assert_array_equal(found[250:290], predictor(path).mask[250:290])
    assert (np.delete(found, slice(250, 290), axis=0) == 255).all()
    (tmp_path / "c").mkdir()
    empty = write(tmp_path / "c" / "empty.tif", np.zeros((50, 60, 3), np.uint8), nodata=0)
    assert predictor.segment_raster(empty, tmp_path / "c" / "d.tif").shares == {}
    assert (ids(tmp_path / "c" / "d.tif") == 255).all()


def test_what_was_cut_off_is_taken_up(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "STRIP_BYTES", 1)
    path = write(tmp_path / "a.tif", pixels(size=(131, 260)))

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictor.segment_raster(path, tmp_path / "b.tif", on_progress=stop)
    assert not (tmp_path / "b.tif").exists()
    seen: list[int] = []
    forward: Callable[..., Any] = predictor.model.forward
    predictor.model.forward = lambda x: seen.append(len(x)) or forward(x)  # type: ignore[func-returns-value]
    predictor.segment_raster(path, tmp_path / "b.tif")
    assert sum(seen) < 0.7 * len(segment.Grid.over((131, 260), predictor.options).places)
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), predictor(path).mask)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_other_options_begin_anew(predictor: Predictor, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels())

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictor.segment_raster(path, tmp_path / "b.tif", on_progress=stop)
    predictor.options = replace(predictor.options, stride=(32, 48))
    predictor.segment_raster(path, tmp_path / "b.tif")
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), predictor(path).mask)


def test_sixteen_bit_and_many_channels(tmp_path: Path) -> None:
    from segkit.config.datasets import FolderDatasetConfig
    from segkit.config.transforms import NormalizeConfig

    steps = {"normalize": NormalizeConfig(mean=(20000.0,) * 5, std=(9000.0,) * 5)}
    data = FolderDatasetConfig(class_names=("a", "b", "c"), channels=5, train_transforms=steps, val_transforms=steps)
    path = write_untrained(tmp_path / "best.pt", tiny_config(dataset=data, inference=SLIDE))
    predictor = segkit.load(path, device="cpu")
    raster = write(tmp_path / "a.tif", pixels(5, np.uint16))
    predictor.segment_raster(raster, tmp_path / "b.tif")
    np.testing.assert_array_equal(ids(tmp_path / "b.tif"), predictor(pixels(5, np.uint16)).mask)


@readers
def test_bad_rasters_are_told(predictor: Predictor, tmp_path: Path, reader: Any) -> None:
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(DatasetError, match=r"text\.tif: cannot be read"):
        reader(tmp_path / "text.tif")
    with pytest.raises(DatasetError, match=r"none\.tif: no such file"):
        predictor.segment_raster(tmp_path / "none.tif", tmp_path / "b.tif")
    write(tmp_path / "two.tif", pixels(2))
    with pytest.raises(DatasetError, match="has 2 channels, expected 3"):
        predictor.segment_raster(tmp_path / "two.tif", tmp_path / "b.tif")
    write(tmp_path / "float.tif", pixels().astype(np.float32))
    with pytest.raises(DatasetError, match="pixels are float32, expected uint8 or uint16"):
        predictor.segment_raster(tmp_path / "float.tif", tmp_path / "b.tif")
    torn = write(tmp_path / "torn.tif", pixels(size=(600, 700)), **LAYOUTS["tiled"])
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    with pytest.raises(DatasetError, match=r"torn\.tif"), reader(torn) as raster:
        raster.read(Window(500, 500, 100, 100))
    assert not (tmp_path / "b.tif").exists()
