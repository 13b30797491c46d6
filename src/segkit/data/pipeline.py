"""The host's part of the way from file to batch: named transforms, computed together where that saves work."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segkit.data.transforms.base import Geometric, frame_of, render
from segkit.types import Sample, Transform


class Pipeline:
    """Applies transforms in order; runs of geometric ones are planned first and sampled once.

    The result is that of calling the transforms one by one with the same generator, bit for bit where OpenCV's
    interpolation allows it, and within a grey level elsewhere.

    Args:
        transforms: the steps, without those of the preprocessor.
        keep_masks: leave the labels out, as evaluation does: predictions are compared at the labels' own size.
    """

    def __init__(self, transforms: Sequence[Transform], *, keep_masks: bool = False) -> None:
        self.transforms = tuple(transforms)
        self.keep_masks = keep_masks

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.keep_masks and sample.mask is not None:
            return replace(self._run(replace(sample, mask=None), rng), mask=sample.mask)
        return self._run(sample, rng)

    def _run(self, sample: Sample, rng: np.random.Generator) -> Sample:
        frame = None
        for transform in self.transforms:
            if isinstance(transform, Geometric):
                frame = transform.plan(frame_of(sample) if frame is None else frame, rng)
                continue
            if frame is not None:
                sample, frame = render(frame, sample), None
            sample = transform(sample, rng)
        return sample if frame is None else render(frame, sample)
