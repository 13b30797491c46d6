"""What every transform promises, and what single ones do. The reference's numbers are in tests/golden."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from segkit.config.photometric import (
    AdjustGammaConfig,
    CLAHEConfig,
    PhotometricConfig,
    PhotoMetricDistortionConfig,
    PILRandomGaussianBlurConfig,
    RandomGaussianBlurConfig,
    RerangeConfig,
    RGB2GrayConfig,
)
from segkit.config.transforms import (
    AlbumentationsWrapperConfig,
    EdgeExtractorConfig,
    NormalizeConfig,
    PaddingConfig,
    RandomChoiceResizeConfig,
    RandomCropConfig,
    RandomCutOutConfig,
    RandomFlipConfig,
    RandomMosaicConfig,
    RandomRotationConfig,
    RandomShortestEdgeResizeConfig,
    ResizeConfig,
    ResizeShortestEdgeConfig,
)
from segkit.data.transforms.base import Frame, frame_of
from segkit.data.transforms.photometric import Line
from segkit.data.views import read_all
from segkit.errors import ConfigError
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample, Transform

CONFIGS: dict[str, Any] = {
    "AlbumentationsWrapper": AlbumentationsWrapperConfig(name="RandomRotate90", kwargs={"p": 1.0}),
    "CLAHE": CLAHEConfig(tile_grid_size=(4, 4)),
    "Padding": PaddingConfig(output_size=(150, 140)),
    "RandomCrop": RandomCropConfig(crop_size=(40, 50)),
    "RandomMosaic": RandomMosaicConfig(prob=0.7, img_scale=(60, 70)),
    "Resize": ResizeConfig(output_size=(120, 90)),
    "ResizeShortestEdge": ResizeShortestEdgeConfig(short_edge_length=60),
}
FLOATING = {"Normalize", "RGB2Gray", "Rerange", "ToTensor"}
every_transform = pytest.mark.parametrize("name", TRANSFORMS.names())


def build(name: str) -> Transform:
    return TRANSFORMS.build(CONFIGS.get(name) or TRANSFORMS.config(name)())


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@every_transform
def test_image_and_mask_stay_together(name: str, sample: Sample) -> None:
    transform = build(name)
    for seed in range(10):
        out = transform(sample, rng(seed))
        assert out.mask is not None
        assert out.mask.shape == out.image.shape[:2]
        assert out.mask.dtype == np.uint8
        assert out.image.dtype == (np.float32 if name in FLOATING else np.uint8)
        assert set(np.unique(out.mask)) <= set(np.unique(sample.mask)) | {IGNORE_INDEX}
        assert (out.name, out.size) == (sample.name, sample.size)


@every_transform
def test_the_same_generator_gives_the_same_result(name: str, sample: Sample) -> None:
    transform = build(name)
    first = transform(sample, rng(3))
    transform(sample, rng(4))
    again = pickle.loads(pickle.dumps(transform))(sample, rng(3))  # as a spawned worker would
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)


@every_transform
def test_global_generators_are_left_alone(name: str, sample: Sample) -> None:
    transform = build(name)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    transform(sample, rng())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@every_transform
def test_the_input_is_not_written_to(name: str, sample: Sample) -> None:
    kept = copy.deepcopy(sample)
    for seed in range(6):
        build(name)(sample, rng(seed))
    np.testing.assert_array_equal(sample.image, kept.image)
    np.testing.assert_array_equal(sample.mask, kept.mask)


@every_transform
def test_samples_without_labels_pass(name: str, sample: Sample) -> None:
    assert build(name)(replace(sample, mask=None), rng()).mask is None


@every_transform
def test_one_pixel_passes(name: str) -> None:
    dot = Sample("dot", np.full((1, 1, 3), 9, np.uint8), np.ones((1, 1), np.uint8))
    for seed in range(6):
        assert build(name)(dot, rng(seed)).image.size > 0


@pytest.mark.parametrize(
    ("size", "bounds", "scaled"),
    [((512, 683), (2048, 512), (512, 683)), ((37, 53), (80, 60), (56, 80)), ((53, 37), (60, 80), (80, 56))],
)
def test_resize_fits_into_its_bounds(size: tuple[int, int], bounds: tuple[int, int], scaled: tuple[int, int]) -> None:
    config = ResizeConfig(output_size=bounds, scale_range=None)
    out = TRANSFORMS.build(config)(Sample("x", np.zeros((*size, 3), np.uint8), None), rng())
    assert out.image.shape[:2] == scaled


def test_resize_draws_its_scale_evenly(sample: Sample) -> None:
    config = ResizeConfig(output_size=(131, 97), scale_range=(0.5, 2.0))
    draws = rng()
    heights = [TRANSFORMS.build(config)(sample, draws).image.shape[0] / 97 for _ in range(400)]
    assert 0.49 <= min(heights) < 0.55
    assert 1.95 < max(heights) <= 2.0
    assert np.mean(heights) == pytest.approx(1.25, abs=0.06)


def test_crop_takes_a_window_that_no_class_fills() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[:, 80:] = 1
    sample = Sample("x", np.dstack([mask] * 3), mask)
    crop = TRANSFORMS.build(RandomCropConfig(crop_size=(20, 20), one_category_max_ratio=0.75))
    anywhere = TRANSFORMS.build(RandomCropConfig(crop_size=(20, 20), one_category_max_ratio=None))
    mixed, plain = ([0 < t(sample, rng(seed)).mask.mean() < 1 for seed in range(200)] for t in (crop, anywhere))
    assert np.mean(plain) < 0.35
    assert np.mean(mixed) > 0.6  # 10 tries of 9 in 81 windows: 69 %


def test_crop_that_finds_no_mixed_window_takes_the_last_try() -> None:
    for value in (3, IGNORE_INDEX):
        sample = Sample("x", np.zeros((50, 60, 3), np.uint8), np.full((50, 60), value, np.uint8))
        assert TRANSFORMS.build(RandomCropConfig(crop_size=(20, 30)))(sample, rng()).image.shape == (20, 30, 3)


def test_crop_reaches_every_corner(sample: Sample) -> None:
    positions = np.arange(97 * 131, dtype=np.uint16).reshape(97, 131, 1)
    crop = TRANSFORMS.build(RandomCropConfig(crop_size=(95, 129), one_category_max_ratio=None))
    firsts = {int(crop(replace(sample, image=positions), rng(seed)).image[0, 0, 0]) for seed in range(200)}
    assert firsts == {row * 131 + col for row in range(3) for col in range(3)}


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_flip_exchanges_sides_and_classes(prob: float, sample: Sample) -> None:
    out = TRANSFORMS.build(RandomFlipConfig(prob=prob, swaps=((0, 1),)))(sample, rng())
    assert sample.mask is not None
    swapped = np.select([sample.mask == 0, sample.mask == 1], [1, 0], sample.mask.astype(int))
    np.testing.assert_array_equal(out.image, sample.image[:, ::-1] if prob else sample.image)
    np.testing.assert_array_equal(out.mask, swapped[:, ::-1] if prob else sample.mask)


def test_rotation_equals_opencv_and_draws_both_bounds(sample: Sample) -> None:
    config = RandomRotationConfig(prob=1.0, max_angle=1)
    images = {TRANSFORMS.build(config)(sample, rng(seed)).image.tobytes() for seed in range(40)}
    assert len(images) == 3  # -1, 0 and 1 degrees
    quarter = cv2.getRotationMatrix2D((131 / 2, 97 / 2), 1, 1.0)
    assert cv2.warpAffine(sample.image, quarter, (131, 97), flags=cv2.INTER_CUBIC).tobytes() in images


def test_rotation_ignores_what_comes_from_outside(photo: Callable[..., np.ndarray]) -> None:
    sample = Sample("x", photo(60, 60), np.zeros((60, 60), np.uint8))
    config = RandomRotationConfig(prob=1.0, max_angle=180, fill=7.0)
    outs = [TRANSFORMS.build(config)(sample, rng(seed)) for seed in range(8)]
    assert any((out.mask == IGNORE_INDEX).any() for out in outs)
    for out in outs:
        deep = cv2.erode((out.mask == IGNORE_INDEX).astype(np.uint8), np.ones((5, 5))) > 0
        assert (out.image[deep] == 7).all()


def reference_distortion(
    image: np.ndarray, config: PhotoMetricDistortionConfig, draw: np.random.Generator
) -> np.ndarray:
    """Step by step in floats, each step cut to 0..255 and its fraction dropped; HSV once for saturation and hue."""

    def cut(values: np.ndarray) -> np.ndarray:
        return np.clip(values, 0, 255).astype(np.uint8)

    if draw.integers(2):
        image = cut(image.astype(np.float32) + draw.uniform(-config.brightness_delta, config.brightness_delta))
    contrast_first = draw.integers(2)
    if contrast_first and draw.integers(2):
        image = cut(image.astype(np.float32) * draw.uniform(*config.contrast_range))
    saturation = draw.uniform(*config.saturation_range) if draw.integers(2) else None
    shift = draw.integers(-config.hue_delta, config.hue_delta, endpoint=True) if draw.integers(2) else None
    if saturation is not None or shift is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        if saturation is not None:
            hsv[..., 1] = cut(hsv[..., 1].astype(np.float32) * saturation)
        if shift is not None:
            hsv[..., 0] = (hsv[..., 0].astype(int) + shift) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if not contrast_first and draw.integers(2):
        image = cut(image.astype(np.float32) * draw.uniform(*config.contrast_range))
    return image


def test_tables_equal_arithmetic(sample: Sample) -> None:
    config = PhotoMetricDistortionConfig()
    for seed in range(60):
        ours = TRANSFORMS.build(config)(sample, rng(seed)).image
        np.testing.assert_array_equal(ours, reference_distortion(sample.image, config, rng(seed)))


def test_vectorised_lines_equal_their_tables_at_every_level() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.dstack([levels, levels[::-1], levels.T])
    draw = rng()
    lines = [Line(1.0, draw.uniform(-40, 40)) for _ in range(300)] + [
        Line(draw.uniform(0, 3), 0.0) for _ in range(2000)
    ]
    lines += [Line(f, 0.0) for f in (0.0, 0.25, 0.5, 1.5, 2.0, 1e6)] + [
        Line(1.0, b) for b in (0.0, -5.0, 7.0, 1e-9, -1e-9)
    ]
    lines += [Line(1.25, -30.0), Line(0.7, 12.3)]
    for line in lines:
        np.testing.assert_array_equal(line(image), line.table()[image], err_msg=str(line))


@pytest.mark.parametrize("limit", [0.4, 0.5, 0.75, 1.0, 1.5])
def test_the_test_of_a_crop_is_exact(limit: float) -> None:
    crop = TRANSFORMS.build(RandomCropConfig(crop_size=(40, 40), one_category_max_ratio=limit))
    draw = rng()
    found = set()
    for _ in range(300):
        classes = draw.choice(6, size=(24, 24), p=draw.dirichlet(np.full(6, 0.3))).astype(np.uint8)
        classes[draw.random((24, 24)) < draw.choice([0.0, 0.4, 1.0], p=[0.5, 0.4, 0.1])] = IGNORE_INDEX
        counts = np.bincount(classes.ravel(), minlength=256)[:IGNORE_INDEX]
        assert crop._is_mixed(classes) == (counts.max() < limit * counts.sum())
        found.add(crop._is_mixed(classes))
    assert found == {True, False} or limit > 1


FIVE = {"AdjustGamma", "CLAHE", "PILRandomGaussianBlur", "RandomGaussianBlur", "Rerange"}
"""Photometric steps that take any number of channels."""
DEEP = {"AdjustGamma", "CLAHE", "RandomGaussianBlur", "Rerange", "RGB2Gray"}
"""Those that take 16 bits."""
photometric = pytest.mark.parametrize(
    "name", [n for n in TRANSFORMS.names() if issubclass(TRANSFORMS.config(n), PhotometricConfig)]
)


@photometric
def test_steps_take_what_they_can_or_say_what_they_cannot(name: str, sample: Sample) -> None:
    wide = replace(sample, image=np.dstack([sample.image, sample.image[..., :2]]))
    deep = replace(sample, image=sample.image.astype(np.uint16) * 257)
    single = replace(sample, image=sample.image[..., :1])
    for given, allowed in ((wide, FIVE), (single, FIVE), (deep, DEEP)):
        if name not in allowed:
            with pytest.raises(ConfigError, match=f"{name} works on .*scene .*take {name} out"):
                [build(name)(given, rng(seed)) for seed in range(6)]
            continue
        for seed in range(4):
            out = build(name)(given, rng(seed))
            assert out.image.shape == given.image.shape
            assert out.image.dtype == (np.float32 if name in FLOATING else given.image.dtype)


@photometric
def test_photometric_steps_leave_labels_alone(name: str, sample: Sample) -> None:
    assert build(name)(sample, rng()).mask is sample.mask
    assert not TRANSFORMS.config(name).changes_labels


def test_gamma_of_16_bits_is_that_of_8_with_finer_steps(sample: Sample) -> None:
    gamma = TRANSFORMS.build(AdjustGammaConfig(gamma=2.2))
    deep = gamma(replace(sample, image=sample.image.astype(np.uint16) * 257), rng()).image / 257
    assert np.abs(deep - gamma(sample, rng()).image).max() <= 1


def test_blur_is_of_the_drawn_width(sample: Sample) -> None:
    blur = RandomGaussianBlurConfig(prob=1.0, sigma=(0.7, 0.7), kernel_size=5)
    wanted = cv2.GaussianBlur(sample.image, (5, 5), 0.7)
    np.testing.assert_array_equal(TRANSFORMS.build(blur)(sample, rng()).image, wanted)
    for config in (
        RandomGaussianBlurConfig(prob=1.0, sigma=(0.0, 0.0)),
        PILRandomGaussianBlurConfig(prob=1.0, radius=(0, 0)),
    ):
        np.testing.assert_array_equal(TRANSFORMS.build(config)(sample, rng()).image, sample.image)


def test_rerange_of_one_value(sample: Sample) -> None:
    flat = replace(sample, image=np.full_like(sample.image, 7))
    assert (TRANSFORMS.build(RerangeConfig(min_value=-1, max_value=1))(flat, rng()).image == -1).all()


def test_gray_has_the_asked_for_channels(sample: Sample) -> None:
    out = TRANSFORMS.build(RGB2GrayConfig(out_channels=1))(sample, rng()).image
    assert out.shape == (97, 131, 1)
    np.testing.assert_allclose(out[..., 0], sample.image @ np.array([0.299, 0.587, 0.114]), rtol=1e-5)


def test_shortest_edges_are_drawn_below_the_second_bound(sample: Sample) -> None:
    config = RandomShortestEdgeResizeConfig(short_edge_range=(20, 23), max_size=1000)
    draws = rng()
    found = {min(TRANSFORMS.build(config)(sample, draws).image.shape[:2]) for _ in range(60)}
    assert found == {20, 21, 22}


def test_choices_are_sizes_of_either_resize(sample: Sample) -> None:
    shortest = RandomChoiceResizeConfig(scales=(20, 30))
    boxes = RandomChoiceResizeConfig(scales=((40, 40), (80, 20)), resize_type="Resize", keep_ratio=False)
    draws = rng()
    assert {TRANSFORMS.build(shortest)(sample, draws).image.shape[:2] for _ in range(30)} == {(20, 27), (30, 41)}
    assert {TRANSFORMS.build(boxes)(sample, draws).image.shape[:2] for _ in range(30)} == {(40, 40), (20, 80)}
    with pytest.raises(ValueError, match="takes single numbers"):
        RandomChoiceResizeConfig(scales=((40, 40),))


def test_edges_follow_the_labels() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[:, 5:] = 1
    mask[0] = IGNORE_INDEX
    sample = Sample("x", np.dstack([mask] * 3), mask)
    out = TRANSFORMS.build(EdgeExtractorConfig(edge_width=1))(sample, rng())
    assert out.edges is not None
    assert out.edges.dtype == np.uint8
    assert (out.edges[1:, 4] == 1).all()
    assert out.edges.sum() >= 8
    assert out.edges[0].sum() == 0
    assert TRANSFORMS.build(EdgeExtractorConfig())(replace(sample, mask=None), rng()).edges is None


def test_a_mosaic_shows_four_images_around_its_centre() -> None:
    def flat(value: int) -> Frame:
        pixels = np.full((30, 40, 3), value, np.uint8)
        return frame_of(Sample("x", pixels, pixels[..., 0]))

    config = RandomMosaicConfig(prob=1.0, img_scale=(30, 40), center_ratio_range=(1.0, 1.0), fill=9)
    mosaic = TRANSFORMS.build(config).mix([flat(v) for v in (1, 2, 3, 4)], rng())
    image, mask = read_all(mosaic.image)[..., 0], read_all(mosaic.mask)
    np.testing.assert_array_equal(image, np.block([[np.full((30, 40), 2 * r + c + 1) for c in (0, 1)] for r in (0, 1)]))
    np.testing.assert_array_equal(mask, image)
    wide = RandomMosaicConfig(prob=1.0, img_scale=(50, 50), fill=9)
    for seed in range(20):
        mosaic = TRANSFORMS.build(wide).mix([flat(v) for v in (1, 2, 3, 4)], rng(seed))
        image, mask = read_all(mosaic.image)[..., 0], read_all(mosaic.mask)
        assert image.shape == (100, 100)
        assert ((image == 9) == (mask == IGNORE_INDEX)).all()
        assert {1, 2, 3, 4, 9} == set(np.unique(image).tolist())
        rows = [np.flatnonzero((image == v).any(axis=1)) for v in (1, 2, 3, 4)]
        assert rows[0][-1] == rows[1][-1] == rows[2][0] - 1 == rows[3][0] - 1


def test_cutout_blanks_what_it_says(sample: Sample) -> None:
    config = RandomCutOutConfig(prob=1.0, n_holes=(1, 1), cutout_shape=((10, 6),), fill=(1.0, 2.0, 3.0))
    for seed in range(20):
        out = TRANSFORMS.build(config)(sample, rng(seed))
        changed = (out.image != sample.image).any(axis=2)
        assert 0 < changed.sum() <= 60
        assert (out.image[changed] == (1, 2, 3)).all()
        assert (out.mask[changed] == IGNORE_INDEX).all()


def test_padding_keeps_the_image_in_the_middle(sample: Sample) -> None:
    out = TRANSFORMS.build(PaddingConfig(output_size=(100, 120), fill=5))(sample, rng())
    assert out.image.shape == (100, 131, 3)  # a longer side keeps its length
    np.testing.assert_array_equal(out.image[1:98], sample.image)
    assert (out.image[[0, 98, 99]] == 5).all()
    assert (out.mask[[0, 98, 99]] == IGNORE_INDEX).all()


def test_normalize(sample: Sample) -> None:
    out = TRANSFORMS.build(NormalizeConfig(mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0)))(sample, rng())
    wanted = (sample.image - np.array([1.0, 2.0, 3.0])) / np.array([2.0, 4.0, 8.0])
    np.testing.assert_allclose(out.image, wanted, atol=1e-4)


def test_albumentations_is_seeded_by_the_sample(sample: Sample) -> None:
    config = AlbumentationsWrapperConfig(name="RandomRotate90", kwargs={"p": 1.0})
    images = [TRANSFORMS.build(config)(sample, rng(seed)).image.tobytes() for seed in range(20)]
    assert len(set(images)) == 4


def test_albumentations_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="no transform 'HorizontalFlop', did you mean 'HorizontalFlip'"):
        TRANSFORMS.build(AlbumentationsWrapperConfig(name="HorizontalFlop"))
    with pytest.raises(ConfigError, match="no transform 'Compose'"):
        TRANSFORMS.build(AlbumentationsWrapperConfig(name="Compose"))
    with pytest.raises(ConfigError, match="HorizontalFlip"):
        TRANSFORMS.build(AlbumentationsWrapperConfig(name="HorizontalFlip", kwargs={"p": 7}))
    with pytest.raises(ConfigError, match="sigma_limitt"):
        TRANSFORMS.build(AlbumentationsWrapperConfig(name="GaussianBlur", kwargs={"sigma_limitt": 1}))
