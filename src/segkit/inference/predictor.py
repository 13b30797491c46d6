"""The predictor for everyday use: images in, masks out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segkit.build import build_pipeline, build_preprocessor
from segkit.config.transforms import PaddingConfig
from segkit.data.io import read_image
from segkit.data.loader import collate, to_batch
from segkit.errors import ConfigError, DatasetError, Problem
from segkit.inference.drawing import Pixels, color_mask, mask_classes, overlay
from segkit.inference.options import inference_options
from segkit.inference.precision import autocast
from segkit.inference.predict import predict_batch, predict_probs
from segkit.inference.saved import SavedModel, Weights
from segkit.types import ClassInfo, Sample

Source = str | Path | Image.Image | NDArray[Any]
"""What can be predicted: a file, a PIL image, or (H, W, C) uint8 or uint16 pixels, RGB where C is 3."""


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

    def colors(self) -> Pixels:
        """(H, W, 3) RGB of the mask."""
        return color_mask(self.mask, self.info)

    def overlay(self, opacity: float = 0.5) -> Pixels:
        """(H, W, 3) RGB: the image under the classes' colours; see :func:`segkit.inference.drawing.overlay`."""
        return overlay(self.image, self.mask, self.info, opacity=opacity)

    def save_mask(self, path: str | Path) -> None:
        """Writes the class ids as a PNG with a palette, which viewers show in the classes' colours."""
        image = Image.fromarray(self.mask)
        image.putpalette([value for color in self.palette for value in color])
        image.save(path)

    def save_overlay(self, path: str | Path, opacity: float = 0.5) -> None:
        """Writes the overlay; the suffix tells the format."""
        Image.fromarray(self.overlay(opacity)).save(path, quality=92)  # of a JPEG; a PNG has none


class Predictor:
    """Segments images with a trained model.

    Args:
        saved: the checkpoint.
        device: where to compute; None takes the GPU if there is one.
        weights: which weights to take.
        tta: take several looks at each image, as ``inference.tta`` says.

    Attributes:
        info: names and colours of the classes.

    Raises:
        SegkitError: the checkpoint does not allow what is asked for.
    """

    def __init__(
        self,
        saved: SavedModel,
        *,
        device: str | torch.device | None = None,
        weights: Weights = "auto",
        tta: bool = False,
    ) -> None:
        self.config = saved.config
        self.info = saved.info
        self.device = pick_device(device)
        self.options = inference_options(saved.config, tta=tta)
        self.batch_size = saved.config.dataloader.val_batch_size
        self.model = saved.build(self.device, weights)
        self.preprocess = build_preprocessor(saved.config).to(self.device)
        self.pipeline = build_pipeline(saved.config, "val")
        padding = [t.output_size for t in saved.config.dataset.val_transforms.values() if isinstance(t, PaddingConfig)]
        self._pad_to = padding[-1] if padding else None

    @overload
    def __call__(self, images: Source) -> Prediction: ...
    @overload
    def __call__(self, images: list[Source] | tuple[Source, ...]) -> list[Prediction]: ...
    def __call__(self, images: Source | list[Source] | tuple[Source, ...]) -> Prediction | list[Prediction]:
        """Segments one image, or several.

        Raises:
            DatasetError: a file is missing or torn, or pixels are not what the model was trained on.
        """
        if isinstance(images, (list, tuple)):
            return list(self.stream(images))
        return next(self.stream([images]))

    def stream(self, images: Iterable[Source]) -> Iterator[Prediction]:
        """Segments images as they come, ``dataloader.val_batch_size`` at a time; in their order."""
        samples = (self.read(image, str(number)) for number, image in enumerate(images))
        while batch := list(islice(samples, self.batch_size)):
            yield from self.predict(batch)

    def read(self, image: Source, name: str = "image") -> Sample:
        """The pixels of one image, as :meth:`predict` takes them.

        Args:
            image: what to read.
            name: of an image that has no file.

        Raises:
            DatasetError: as when called.
        """
        channels, upright = self.config.dataset.image_channels, self.config.dataset.apply_exif
        path = None
        if isinstance(image, (str, Path)):
            path = Path(image)
            name, pixels = path.stem, read_image(path, channels=channels, apply_exif=upright)
        elif isinstance(image, Image.Image):
            pixels = _from_pil(image, channels, apply_exif=upright)
        else:
            pixels = _from_array(image, channels)
        return Sample(name, pixels, None, path=path, size=(pixels.shape[0], pixels.shape[1]))

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Segments samples; those that are equally large after the transforms go through the model together."""
        ready = [self.pipeline(sample, np.random.default_rng(0)) for sample in samples]
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, sample in enumerate(ready):
            groups.setdefault(sample.image.shape, []).append(index)
        masks: dict[int, Pixels] = {}
        for indices in groups.values():
            images, boxes = self._inputs([ready[i] for i in indices])
            sizes = [samples[i].size for i in indices]
            with autocast(self.config.amp, self.device):
                found = predict_batch(self.model, images, self.options, sizes=sizes, boxes=boxes)
            masks |= {i: mask.cpu().numpy() for i, mask in zip(indices, found, strict=True)}
        return [self._prediction(sample, masks[i]) for i, sample in enumerate(samples)]

    def _prediction(self, sample: Sample, mask: Pixels) -> Prediction:
        return Prediction(sample.name, mask, self.info, sample.image, lambda: self._probs(sample))

    def _probs(self, sample: Sample) -> NDArray[np.float32]:
        images, boxes = self._inputs([self.pipeline(sample, np.random.default_rng(0))])
        top, left, height, width = boxes[0].tolist()
        with autocast(self.config.amp, self.device):
            probs = predict_probs(self.model, images, self.options, size=sample.size, box=(top, left, height, width))
        return probs[0].cpu().numpy()

    def _inputs(self, samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, H, W) normalised images on the device, and their boxes."""
        batch = to_batch(collate(samples, self._pad_to))
        boxes = batch.boxes.to(self.device)
        return self.preprocess(batch.images.to(self.device), boxes), boxes


def load(
    path: str | Path,
    *,
    device: str | torch.device | None = None,
    weights: Weights = "auto",
    tta: bool = False,
) -> Predictor:
    """A predictor from a checkpoint.

    Args:
        path: the file, such as ``runs/<name>/<date>/checkpoints/best.pt``.
        device: where to compute; None takes the GPU if there is one.
        weights: ``model`` are those trained, ``ema`` their average; ``auto`` takes what ``trainer.monitor`` judged.
        tta: take several looks at each image, as ``inference.tta`` says.

    Raises:
        CheckpointError: the file is missing, torn or foreign.
    """
    return Predictor(SavedModel.read(path), device=device, weights=weights, tta=tta)


def pick_device(name: str | torch.device | None) -> torch.device:
    """The device called ``name``; None is the GPU if there is one, else the CPU.

    Raises:
        ConfigError: there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError([Problem("device", f"must be cpu, cuda, cuda:1, ... (got {name!r})")]) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ConfigError([Problem("device", f"there is no {device}; {found} GPUs are visible to torch")])
    return device


def _from_pil(image: Image.Image, channels: int, *, apply_exif: bool) -> NDArray[Any]:
    if apply_exif:
        image = ImageOps.exif_transpose(image)
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise DatasetError(f"a PIL image has no {channels} channels, as the model needs; give an array or a file")
    pixels = np.asarray(image.convert(modes[channels]))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _from_array(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """(H, W, channels) uint8 or uint16; grey is repeated where the model wants RGB."""
    got = f"{' x '.join(map(str, pixels.shape))} {pixels.dtype}"
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"pixels must be uint8 or uint16, 0 to 255 or 65535 (got {got})")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3 if channels == 3 else 1, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != channels or not pixels.size:
        raise DatasetError(f"pixels must be height x width x {channels} (got {got})")
    return np.ascontiguousarray(pixels)
