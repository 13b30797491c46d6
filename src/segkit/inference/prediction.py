"""What a model sees in one image, and how it is written down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.config.spelling import hint
from segkit.errors import SegkitError
from segkit.inference.drawing import Pixels, color_mask, mask_classes, overlay, shares_of
from segkit.inference.rle import instances
from segkit.types import IGNORE_INDEX, ClassInfo


@dataclass(frozen=True, eq=False)  # arrays have no plain answer to ==
class Prediction:
    """What the model sees in one image.

    Attributes:
        name: the file's name without suffix, or the image's number in the call.
        mask: (H, W) uint8 class ids, as large as the image. Of a single class, 1 is that and 0 is the rest.
        info: names and colours of the model's classes.
        image: (H, W, C) pixels as read.
    """

    name: str
    mask: Pixels
    info: ClassInfo = field(repr=False)
    image: NDArray[Any] = field(repr=False)
    _look: Callable[[], NDArray[np.float32]] = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by id; a single class comes after ``background``."""
        return mask_classes(self.info).names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB by id."""
        return mask_classes(self.info).palette

    @cached_property
    def probs(self) -> NDArray[np.float32]:
        """(K, H, W) probabilities of the classes, by a second look at the image, taken when first asked for.

        A single class has one map, its own.
        """
        return self._look()

    def prob(self, name: str) -> NDArray[np.float32]:
        """(H, W) probabilities of the class with this name.

        Raises:
            SegkitError: there is no such class.
        """
        if name not in self.info.names:
            raise SegkitError(f"no class is called {name!r}{hint(name, self.info.names)}")
        return self.probs[self.info.names.index(name)]

    def shares(self) -> Mapping[str, float]:
        """The share of the image that each class takes, 0 to 1, for those that are seen; the largest first."""
        return shares_of(np.bincount(self.mask.ravel(), minlength=256), self.classes)

    def colors(self) -> Pixels:
        """(H, W, 3) RGB of the mask."""
        return color_mask(self.mask, self.info)

    def overlay(self, opacity: float = 0.5) -> Pixels:
        """(H, W, 3) RGB: the image under the classes' colours; see :func:`segkit.inference.drawing.overlay`."""
        return overlay(self.image, self.mask, self.info, opacity=opacity)

    def coco(self) -> list[dict[str, Any]]:
        """The classes as COCO's segments: ``category_id``, ``category``, ``segmentation`` (RLE), ``area``, ``bbox``."""
        return instances(self.mask, self.classes, ignore=IGNORE_INDEX)

    def mask_image(self) -> Image.Image:
        """The class ids with a palette, which viewers show in the classes' colours."""
        image = Image.fromarray(self.mask)
        image.putpalette([value for color in self.palette for value in color])
        return image

    def save_mask(self, path: str | Path) -> None:
        """Writes the class ids as a PNG with a palette."""
        self.mask_image().save(path)

    def save_overlay(self, path: str | Path, opacity: float = 0.5) -> None:
        """Writes the overlay; the suffix tells the format."""
        Image.fromarray(self.overlay(opacity)).save(path, quality=92)  # of a JPEG; a PNG has none

    def save_probs(self, path: str | Path, *, half: bool = False) -> None:
        """Writes ``probs`` (K, H, W) and ``classes`` (K names) as a compressed .npz, float16 where ``half``."""
        probs = self.probs.astype(np.float16) if half else self.probs
        np.savez_compressed(path, probs=probs, classes=np.array(self.info.names))
