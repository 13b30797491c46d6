"""The predictor for everyday use: images in, masks out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segkit.build import build_pipeline, build_preprocessor, memory_format
from segkit.config.overrides import changes as read_changes
from segkit.config.transforms import PaddingConfig
from segkit.data.loader import collate, to_batch
from segkit.errors import ConfigError, Problem
from segkit.inference.batches import is_out_of_memory, too_large
from segkit.inference.drawing import Pixels
from segkit.inference.options import inference_options
from segkit.inference.pixels import Source, pixels_of
from segkit.inference.precision import autocast
from segkit.inference.predict import predict_batch, predict_probs
from segkit.inference.prediction import Prediction
from segkit.inference.rasters.segment import RasterResult, segment_raster
from segkit.inference.rasters.source import open_raster
from segkit.inference.saved import SavedModel, Weights
from segkit.inference.video import Video, is_video
from segkit.types import Sample


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
        layout = memory_format(saved.config, self.device)
        self.preprocess = build_preprocessor(saved.config, layout).to(self.device)
        self.pipeline = build_pipeline(saved.config, "val")
        padding = [t.output_size for t in saved.config.dataset.val_transforms.values() if isinstance(t, PaddingConfig)]
        self._pad_to = padding[-1] if padding else None

    def __repr__(self) -> str:
        parts: Sequence[Any] = (self.config.head, self.config.backbone)
        model = " on ".join(part.type for part in parts)
        return f"Predictor({model}, {len(self.info.names)} classes, on {self.device})"

    @overload
    def __call__(self, images: Source) -> Prediction: ...
    @overload
    def __call__(self, images: list[Source] | tuple[Source, ...]) -> list[Prediction]: ...
    @overload
    def __call__(self, images: Iterator[Source]) -> Iterator[Prediction]: ...
    def __call__(
        self, images: Source | list[Source] | tuple[Source, ...] | Iterator[Source]
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Segments one image, or several.

        A list, a tuple or a tensor (N, C, H, W) gives a list; an iterator, such as a generator, gives an iterator that
        reads on as it is read; so does the path of a video, frame by frame.

        Raises:
            DatasetError: a file is missing or torn, or pixels are not what the model was trained on.
        """
        if isinstance(images, Tensor) and images.ndim == 4:
            images = list(images)
        if isinstance(images, (list, tuple)):
            return list(self.stream(images))
        if isinstance(images, Iterator):
            return self.stream(images)
        if is_video(images):
            return self.stream(Image.fromarray(frame) for frame in Video.open(images).frames())
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
        path = Path(image) if isinstance(image, (str, Path)) else None
        pixels = pixels_of(image, self.config.dataset)
        size = (pixels.shape[0], pixels.shape[1])
        return Sample(name if path is None else path.stem, pixels, None, path=path, size=size)

    def segment_raster(
        self, source: str | Path, target: str | Path, *, on_progress: Callable[[float], None] | None = None
    ) -> RasterResult:
        """Segments a TIFF or Zarr raster of any size into a TIFF.

        See :func:`segkit.inference.rasters.segment.segment_raster`.
        """
        with open_raster(Path(source)) as raster:
            return segment_raster(self, raster, Path(target), on_progress=on_progress)

    def predict(self, samples: Sequence[Sample], *, probs: bool = False) -> list[Prediction]:
        """Segments samples; those that are equally large after the transforms go through the model together.

        Args:
            samples: of :meth:`read`.
            probs: keep the probabilities, so that asking for them costs no second look.
        """
        if probs:
            return [self._with_probs(sample) for sample in samples]
        ready = [self.pipeline(sample, np.random.default_rng(0)) for sample in samples]
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, sample in enumerate(ready):
            groups.setdefault(sample.image.shape, []).append(index)
        masks: dict[int, Pixels] = {}
        for indices in groups.values():
            found = self._masks([ready[i] for i in indices], [samples[i].size for i in indices])
            masks |= dict(zip(indices, found, strict=True))
        return [self._prediction(sample, masks[i]) for i, sample in enumerate(samples)]

    def _masks(self, samples: Sequence[Sample], sizes: Sequence[tuple[int, int]]) -> list[Pixels]:
        """Class ids of transformed samples; half of them at a time where memory ends."""
        images, boxes = self._inputs(samples)
        try:
            with autocast(self.config.amp, self.device):
                found = predict_batch(self.model, images, self.options, sizes=sizes, boxes=boxes)
            return [mask.cpu().numpy() for mask in found]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(samples) == 1:
                raise too_large(images) from error
        del images  # before the next attempt
        half = len(samples) // 2
        return self._masks(samples[:half], sizes[:half]) + self._masks(samples[half:], sizes[half:])

    def _prediction(self, sample: Sample, mask: Pixels) -> Prediction:
        return Prediction(sample.name, mask, self.info, sample.image, lambda: self._probs(sample))

    def _with_probs(self, sample: Sample) -> Prediction:
        probs = self._probs(sample)
        mask = probs.argmax(axis=0) if len(probs) > 1 else probs[0] >= self.options.threshold
        return Prediction(sample.name, mask.astype(np.uint8), self.info, sample.image, lambda: probs)

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
    changes: Sequence[str] = (),
) -> Predictor:
    """A predictor from a checkpoint.

    Args:
        path: the file, such as ``runs/<name>/<date>/checkpoints/best.pt``.
        device: where to compute; None takes the GPU if there is one.
        weights: ``model`` are those trained, ``ema`` their average; ``auto`` takes what ``trainer.monitor`` judged.
        tta: take several looks at each image, as ``inference.tta`` says.
        changes: of its configuration, as on the command line: ``["inference=slide_512x1024", "amp=bf16"]``.

    Raises:
        CheckpointError: the file is missing, torn or foreign.
        ConfigError: a change is wrong.
    """
    saved = SavedModel.read(path, read_changes(changes) if changes else None)
    return Predictor(saved, device=device, weights=weights, tta=tta)


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
