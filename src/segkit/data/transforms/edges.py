"""Edges between the classes of a label, on the host."""

from dataclasses import replace

import numpy as np
import torch

from segkit.config.transforms import EdgeExtractorConfig
from segkit.ops.edges import meeting_pixels
from segkit.registry import TRANSFORMS
from segkit.types import IGNORE_INDEX, Sample


@TRANSFORMS.register(EdgeExtractorConfig)
class EdgeExtractor:
    """Adds ``Sample.edges``: 1 where classes meet, 0 elsewhere, ignored pixels among them."""

    def __init__(self, config: EdgeExtractorConfig) -> None:
        self.config = config

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if sample.mask is None:
            return sample
        labels = torch.from_numpy(sample.mask).unsqueeze(0)
        edges = meeting_pixels(labels, width=self.config.edge_width, ignore_index=IGNORE_INDEX)
        return replace(sample, edges=edges[0].numpy().astype(np.uint8))
