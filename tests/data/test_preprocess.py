"""The device's half equals the named transforms of the host."""

import numpy as np
import pytest
import torch

from segkit.config.transforms import NormalizeConfig, PaddingConfig
from segkit.data.loader import collate, to_batch
from segkit.data.preprocess import Preprocessor
from segkit.registry import TRANSFORMS
from segkit.types import Sample

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.mark.parametrize("fill", [0.0, -1.5])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_equals_normalize_and_padding(sample: Sample, fill: float, order: torch.memory_format) -> None:
    rng = np.random.default_rng(0)
    wanted = TRANSFORMS.build(NormalizeConfig(mean=MEAN, std=STD))(sample, rng)
    wanted = TRANSFORMS.build(PaddingConfig(output_size=(120, 150), fill=fill))(wanted, rng)
    batch = to_batch(collate([sample, sample], (120, 150)))
    x = Preprocessor(MEAN, STD, fill=fill, memory_format=order)(batch.images, batch.boxes)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=order)
    for image, mask in zip(x, batch.masks, strict=True):
        np.testing.assert_allclose(image.movedim(0, -1).numpy(), wanted.image, atol=2e-6)
        np.testing.assert_array_equal(mask.numpy(), wanted.mask)


def test_without_boxes_nothing_is_filled() -> None:
    x = Preprocessor((1.0,), (2.0,), fill=9.0)(torch.full((1, 1, 2, 2), 5.0))
    assert x.unique().tolist() == [2.0]


def test_statistics_travel_with_the_model() -> None:
    preprocessor = Preprocessor(MEAN, STD)
    assert sorted(preprocessor.state_dict()) == ["mean", "std"]
    assert preprocessor.to("meta").mean.device.type == "meta"
