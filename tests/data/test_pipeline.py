"""The planned pipeline equals its transforms, called one by one with the same generator."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from segkit.config.photometric import PhotoMetricDistortionConfig
from segkit.config.transforms import (
    RandomChoiceResizeConfig,
    RandomCropConfig,
    RandomCutOutConfig,
    RandomFlipConfig,
    RandomMosaicConfig,
    RandomRotationConfig,
    RandomShortestEdgeResizeConfig,
    ResizeConfig,
    ResizeShortestEdgeConfig,
    TransformConfig,
)
from segkit.data.pipeline import Pipeline
from segkit.registry import TRANSFORMS
from segkit.types import Sample

Photo = Callable[..., np.ndarray]

RESIZE = ResizeConfig(output_size=(400, 150))
CROP = RandomCropConfig(crop_size=(128, 128))
FLIP = RandomFlipConfig(swaps=((1, 2),))
TURN = RandomRotationConfig(prob=0.8)
COLOR = PhotoMetricDistortionConfig()

# Chains that resample at most once inside a window are exact but for the window's grid; so are those of whole images.
CHAINS: dict[str, tuple[TransformConfig, ...]] = {
    "published": (RESIZE, CROP, FLIP, COLOR),
    "bicubic": (ResizeConfig(output_size=(400, 150), interpolation="bicubic"), CROP, FLIP, COLOR),
    "area": (ResizeConfig(output_size=(400, 150), interpolation="area"), CROP, FLIP, COLOR),
    "nearest": (ResizeConfig(output_size=(400, 150), interpolation="nearest"), CROP, COLOR, FLIP),
    "flip first": (FLIP, RESIZE, FLIP, CROP, FLIP),
    "crop first": (CROP, FLIP, RESIZE, RandomCropConfig(crop_size=(64, 100))),
    "rotation last": (RESIZE, CROP, FLIP, TURN, COLOR),
    "two resizes": (RESIZE, ResizeShortestEdgeConfig(short_edge_length=140), CROP, FLIP),
    "cut out between": (RESIZE, CROP, RandomCutOutConfig(), FLIP, COLOR),
    "any crop": (RESIZE, RandomCropConfig(crop_size=(128, 128), one_category_max_ratio=None), FLIP),
    "choices": (RandomChoiceResizeConfig(scales=(100, 200)), CROP, RandomShortestEdgeResizeConfig(), FLIP),
    "mosaic": (FLIP, RandomMosaicConfig(img_scale=(120, 160)), CROP, COLOR),
    "stretched": (ResizeConfig(output_size=(260, 200), keep_ratio=False), CROP, FLIP),
}


def build(configs: Sequence[TransformConfig]) -> list:
    return [TRANSFORMS.build(config) for config in configs]


def both(configs: Sequence[TransformConfig], sample: Sample, seed: int) -> tuple[Sample, Sample]:
    """The planned result and the one of calling the transforms in turn, with what they leave of the randomness."""
    planned_rng, step_rng = np.random.default_rng(seed), np.random.default_rng(seed)
    planned = Pipeline(build(configs))(sample, planned_rng)
    steps = sample
    for transform in build(configs):
        steps = transform(steps, step_rng)
    assert planned_rng.bit_generator.state == step_rng.bit_generator.state
    return planned, steps


@pytest.fixture(params=[(160, 214), (214, 160), (90, 300)], ids=lambda s: f"{s[0]}x{s[1]}")
def scene(request: pytest.FixtureRequest, photo: Photo, labels: Photo) -> Sample:
    return Sample("x", photo(*request.param), labels(*request.param))


@pytest.mark.parametrize("chain", CHAINS)
def test_planned_equals_step_by_step(chain: str, scene: Sample) -> None:
    for seed in range(30):
        planned, steps = both(CHAINS[chain], scene, seed)
        np.testing.assert_array_equal(planned.mask, steps.mask)
        difference = np.abs(planned.image.astype(int) - steps.image)
        assert np.percentile(difference, 99.9) <= 1, seed


def random_chain(rng: np.random.Generator) -> list[TransformConfig]:
    """Up to six steps in any order; a turn comes after the last resize and crop, see below for other turns."""
    interpolation = str(rng.choice(["bilinear", "bicubic", "nearest", "area", "lanczos"]))
    low = float(rng.uniform(0.4, 1.2))
    steps: list[TransformConfig] = [
        ResizeConfig(
            output_size=(int(rng.integers(100, 400)), int(rng.integers(60, 200))),
            keep_ratio=bool(rng.integers(2)),
            scale_range=(low, low + float(rng.uniform(0, 1))),
            interpolation=interpolation,
        ),
        RandomCropConfig(crop_size=(int(rng.integers(20, 160)), int(rng.integers(20, 160)))),
        RandomFlipConfig(prob=0.5, swaps=((0, 3),)),
        RandomCropConfig(crop_size=(int(rng.integers(20, 90)), int(rng.integers(20, 90))), one_category_max_ratio=None),
        RandomCutOutConfig(),
    ]
    chosen = [steps[i] for i in rng.permutation(len(steps))[: rng.integers(1, len(steps) + 1)]]
    return [*chosen, *([TURN] if rng.integers(3) == 0 else []), *([COLOR] if rng.integers(2) else [])]


@pytest.mark.parametrize("seed", range(60))
def test_any_chain_equals_its_steps(seed: int, scene: Sample) -> None:
    planned, steps = both(random_chain(np.random.default_rng(seed)), scene, seed)
    np.testing.assert_array_equal(planned.mask, steps.mask)
    assert np.percentile(np.abs(planned.image.astype(int) - steps.image), 99.9) <= 1


@pytest.mark.parametrize("chain", ["area", "nearest", "any crop"])
def test_where_windows_need_no_grid_it_is_exact(chain: str, scene: Sample) -> None:
    configs = [c for c in CHAINS[chain] if not isinstance(c, RandomCropConfig)]
    for seed in range(20):
        planned, steps = both(configs, scene, seed)
        np.testing.assert_array_equal(planned.image, steps.image)


def test_a_rotated_crop_is_as_near_as_rounding_allows(scene: Sample) -> None:
    # Rotated windows round their coordinates elsewhere than the whole image, so single labels may fall to a neighbour;
    # OpenCV 4 rounds them to 1/32 of a pixel.
    limit = 1 if int(cv2.__version__[0]) >= 5 else 2
    for seed in range(30):
        planned, steps = both((RESIZE, TURN, CROP, FLIP), scene, seed)
        if planned.image.shape == steps.image.shape:
            assert (planned.mask != steps.mask).mean() < 0.001
            assert np.percentile(np.abs(planned.image.astype(int) - steps.image), 99.9) <= limit


def test_real_photographs(shared: Callable[..., object]) -> None:
    from segkit.config.datasets import CamVidDatasetConfig
    from segkit.data.datasets.published import PublishedDataset

    dataset = PublishedDataset(CamVidDatasetConfig(root=shared("data", "camvid")), "train")
    configs = (ResizeConfig(output_size=(480, 360)), RandomCropConfig(crop_size=(256, 256)), FLIP, COLOR)
    for seed in range(40):
        planned, steps = both(configs, dataset[seed * 9], seed)
        np.testing.assert_array_equal(planned.mask, steps.mask)
        assert np.percentile(np.abs(planned.image.astype(int) - steps.image), 99.9) <= 1


def test_evaluation_keeps_the_labels(scene: Sample) -> None:
    out = Pipeline(build((ResizeConfig(output_size=(100, 80), scale_range=None),)), keep_masks=True)(
        scene, np.random.default_rng(0)
    )
    assert out.image.shape != scene.image.shape
    assert out.mask is scene.mask


def test_no_labels_no_steps_and_odd_types_pass(scene: Sample) -> None:
    rng = np.random.default_rng(0)
    assert Pipeline([])(scene, rng) is scene
    assert Pipeline(build(CHAINS["published"]))(replace(scene, mask=None), rng).mask is None
    deep = replace(scene, image=np.dstack([scene.image.astype(np.uint16)] * 2))
    out = Pipeline(build((RESIZE, CROP, FLIP, TURN)))(deep, rng)
    assert (out.image.dtype, out.image.shape[2]) == (np.uint16, 6)
    assert out.image.flags.c_contiguous


def test_a_mosaic_takes_further_samples_through_the_steps_before_it(photo: Photo, labels: Photo) -> None:
    scenes = [Sample(str(i), photo(60, 80, seed=i), labels(60, 80, seed=i)) for i in range(5)]
    mosaic = RandomMosaicConfig(prob=1.0, img_scale=(60, 80), center_ratio_range=(1.0, 1.0))
    reads: list[str] = []

    def draw(rng: np.random.Generator) -> Sample:
        reads.append(scenes[int(rng.integers(5))].name)
        return scenes[int(reads[-1])]

    out = Pipeline(build((RandomFlipConfig(prob=1.0), mosaic)))(scenes[0], np.random.default_rng(1), draw)
    quarters = [out.image[r : r + 60, c : c + 80] for r in (0, 60) for c in (0, 80)]
    for quarter, name in zip(quarters, ["0", *reads], strict=True):
        np.testing.assert_array_equal(quarter, scenes[int(name)].image[:, ::-1])
    assert out.name == "0"
    again = Pipeline(build((RandomFlipConfig(prob=1.0), mosaic)))(scenes[0], np.random.default_rng(1), draw)
    np.testing.assert_array_equal(again.image, out.image)
    reads.clear()
    Pipeline(build((RandomMosaicConfig(prob=0.0),)))(scenes[0], np.random.default_rng(1), draw)
    assert reads == []
