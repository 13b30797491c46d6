"""Procedural scenes that need no file: the data of the quickstart and of most tests."""

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import ShapesConfig
from segkit.data.io import Array
from segkit.errors import ConfigError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX, ClassInfo, Sample

Rng = np.random.Generator
Image = NDArray[np.uint8]
Points = NDArray[np.float64]

_FRACTION_BITS = 4  # of the fixed-point coordinates in OpenCV's drawing
_TURN = 2 * np.pi


@DATASETS.register(ShapesConfig)
class Shapes:
    """Scenes of discs, squares, triangles, stars, rings and crosses that hide each other.

    The outline tells the class; the colour is a hint that is sometimes wrong, and texture, clutter and light are none.
    A thin border around each shape is ignored, as in hand-made labels. Sample ``i`` depends on (seed, split, i) alone.
    """

    def __init__(self, config: ShapesConfig, split: str) -> None:
        streams = {"test": 2, config.val_split: 1, config.train_split: 0}
        if split not in streams:
            raise ConfigError(f"dataset: Shapes has no split {split!r}; one of {', '.join(streams)}")
        self.config = config
        self.split = split
        self._stream = streams[split]
        self.info = ClassInfo(config.classes, config.palette, {i: i for i in range(len(config.classes))})

    def __len__(self) -> int:
        return self.config.num_train if self._stream == 0 else self.config.num_val

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng(np.random.SeedSequence((self.config.seed, index), spawn_key=(self._stream,)))
        image, mask = draw_scene(rng, self.config.image_size)
        return Sample(f"{self.split}_{index:05d}", image, mask, size=self.config.image_size)


def draw_scene(rng: Rng, size: tuple[int, int]) -> tuple[Image, Image]:
    """A random scene: (H, W, 3) uint8 RGB and (H, W) uint8 class ids."""
    image = _texture(rng, size, rng.uniform(50, 200) + rng.uniform(-20, 20, 3), contrast=60)
    mask = np.zeros(size, np.uint8)
    _draw_clutter(image, rng)
    for _ in range(rng.integers(2, 6)):
        kind = int(rng.integers(len(_OUTLINES)))
        _paint(image, mask, _place(_OUTLINES[kind], rng, size), kind + 1, _texture(rng, size, _color(rng, kind), 40))
    return _photograph(image, rng), mask


def _ellipse(radius: float) -> Points:
    angle = np.linspace(0, _TURN, 40, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _polygon(corners: int, inner: float = 1.0) -> Points:
    """Regular polygon, or with ``inner`` below 1 a star whose notches lie at that radius."""
    count = corners if inner == 1.0 else 2 * corners
    angle = np.linspace(0, _TURN, count, endpoint=False)
    radius = np.where(np.arange(count) % 2 == 0, 1.0, inner)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _cross(arm: float) -> Points:
    corner = np.array([[1.0, -arm], [1.0, arm], [arm, arm]])
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    return np.concatenate([corner @ np.linalg.matrix_power(quarter, i).T for i in range(4)])


_OUTLINES: tuple[tuple[Points, ...], ...] = (
    (_ellipse(0.9),),
    (_polygon(4),),
    (_polygon(3),),
    (_polygon(5, inner=0.42),),
    (_ellipse(0.95), _ellipse(0.5)),
    (_cross(0.33),),
)
"""Contours of the classes 1 to 6, of radius 1; a second contour is a hole."""

_HUES = np.arange(len(_OUTLINES)) * 30.0


def _place(contours: tuple[Points, ...], rng: Rng, size: tuple[int, int]) -> list[Points]:
    """Turns, stretches and moves contours at random: points (x, y) in pixels."""
    angle, stretch = rng.uniform(0, _TURN), rng.uniform(0.85, 1.18)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    grow = min(size) * rng.uniform(0.17, 0.34) * np.diag([stretch, 1 / stretch])
    centre = rng.uniform(0.05, 0.95, 2) * size[::-1]
    return [c @ (turn @ grow).T + centre for c in contours]


def _paint(image: Image, mask: Image, contours: list[Points], label: int, fill: Image) -> None:
    """Draws one shape over what is there; pixels that it covers in part are ignored."""
    corners = np.concatenate(contours)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, mask.shape[::-1])
    if (high <= low).any():
        return
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    inside, cover = mask[window], np.zeros(tuple(high - low)[::-1], np.uint8)
    points = [np.round((c - low) * (1 << _FRACTION_BITS)).astype(np.int32) for c in contours]
    cv2.fillPoly(cover, points, (255,), cv2.LINE_AA, _FRACTION_BITS)
    solid = cover > 127
    np.copyto(image[window], fill[window], where=solid[:, :, None])
    inside[solid] = label
    inside[(cover > 0) & (cover < 255)] = IGNORE_INDEX


def _color(rng: Rng, kind: int) -> NDArray[np.float64]:
    """A colour near the class's own hue, most of the time."""
    hue = _HUES[kind] + rng.normal(0, 7) if rng.random() < 0.95 else rng.uniform(0, 180)
    pixel = np.array([[[hue % 180, rng.integers(110, 256), rng.integers(110, 256)]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def _texture(rng: Rng, size: tuple[int, int], color: NDArray[np.float64], contrast: float) -> Image:
    """Smooth random blotches around a colour: (H, W, 3)."""
    cells = int(rng.integers(3, 12))
    coarse = color + rng.uniform(-contrast, contrast, (cells, cells, 1)) + rng.uniform(-12, 12, (cells, cells, 3))
    fine: Array = cv2.resize(np.clip(coarse, 0, 255).astype(np.uint8), size[::-1], interpolation=cv2.INTER_LINEAR)
    return fine


def _draw_clutter(image: Image, rng: Rng) -> None:
    """Lines and specks that belong to the background."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(4, 12)):
        ends = rng.integers(-10, (width + 10, height + 10), (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], rng.integers(0, 256, 3).tolist(), int(rng.integers(1, 3)), cv2.LINE_AA)
    for _ in range(rng.integers(4, 12)):
        centre = rng.integers(0, (width, height)).tolist()
        cv2.circle(image, centre, int(rng.integers(1, 4)), rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)


def _photograph(image: Image, rng: Rng) -> Image:
    """Uneven light, blur and sensor noise."""
    height, width = image.shape[:2]
    corners = rng.uniform(0.6, 1.2, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    if rng.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)
    noise = rng.integers(0, 256, image.shape, np.uint8).astype(np.float32) - 127.5
    lit: Image = np.clip(image * light + noise * rng.uniform(0.05, 0.2), 0, 255).astype(np.uint8)
    return lit
