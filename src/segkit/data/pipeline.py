"""The host's part of the way from file to batch: named transforms, computed together where that saves work."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from segkit.data.transforms.base import Frame, Geometric, Mixing, Opened, frame_of, render
from segkit.types import Sample, Transform

Draw = Callable[[np.random.Generator], Sample | Opened]
"""Reads another sample of the split, chosen by the generator."""


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

    def __call__(self, sample: Sample | Opened, rng: np.random.Generator, draw: Draw | None = None) -> Sample:
        """The sample after all steps.

        Args:
            sample: as read, or as opened.
            rng: all randomness comes from it, that of further samples included.
            draw: where steps that mix samples get others from; without it, they mix the sample with itself.
        """
        if self.keep_masks and isinstance(sample, Sample) and sample.mask is not None:
            return replace(self._run(replace(sample, mask=None), rng, draw), mask=sample.mask)
        return self._run(sample, rng, draw)

    def _run(self, sample: Sample | Opened, rng: np.random.Generator, draw: Draw | None) -> Sample:
        planned, frame = self._plan(sample, rng, draw, len(self.transforms))
        return planned if frame is None else render(frame, planned)

    def _plan(
        self, given: Sample | Opened, rng: np.random.Generator, draw: Draw | None, count: int
    ) -> tuple[Sample, Frame | None]:
        """The sample after the first ``count`` steps, and the frame that is still to be rendered from it, if any."""
        sample, frame = given if isinstance(given, Opened) else (given, None)
        for position, transform in enumerate(self.transforms[:count]):
            if isinstance(transform, Geometric):
                frame = transform.plan(frame_of(sample) if frame is None else frame, rng)
            elif isinstance(transform, Mixing):
                if transform.acts(rng):
                    own = frame_of(sample) if frame is None else frame
                    others = [self._other(own, rng, draw, position) for _ in range(transform.others)]
                    frame = transform.mix([own, *others], rng)
            else:
                if frame is not None:
                    sample, frame = render(frame, sample), None
                sample = transform(sample, rng)
        return sample, frame

    def _other(self, own: Frame, rng: np.random.Generator, draw: Draw | None, position: int) -> Frame:
        """Another sample of the split, after the steps before ``position``."""
        if draw is None:
            return own
        sample, frame = self._plan(draw(rng), rng, draw, position)
        return frame_of(sample) if frame is None else frame
