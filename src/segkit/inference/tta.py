"""Several looks at an image: scaled, mirrored."""

from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor

from segkit.config.inference import InferenceConfig
from segkit.inference.look import Look, Model
from segkit.inference.slide import slide_look
from segkit.inference.whole import whole_look


def looks(model: Model, images: Tensor, config: InferenceConfig) -> Iterator[Look]:
    """One look for each scale, and after it the mirrored one, if any; scores are mirrored back.

    Args:
        images: (N, C, H, W), normalised.
    """
    look = slide_look if config.mode == "slide" else whole_look
    for scale in config.tta.scales:
        scaled = _scaled(images, scale, align_corners=model.align_corners)
        yield look(model, scaled, config)
        if config.tta.flip:
            yield _mirrored(look(model, scaled.flip(-1), config), config.tta.swaps or ())


def _scaled(images: Tensor, scale: float, *, align_corners: bool) -> Tensor:
    if scale == 1:
        return images
    # By factor, not by size: where the size is rounded they differ, and published figures were taken by factor.
    return F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=align_corners)


def _mirrored(look: Look, swaps: Sequence[tuple[int, int]]) -> Look:
    """Mirrors scores back, exchanging the classes of each pair."""

    def turn(band: Tensor) -> Tensor:
        order = list(range(band.shape[1]))
        for left, right in swaps:
            order[left], order[right] = right, left
        return band.flip(-1)[:, order] if swaps else band.flip(-1)

    return Look(look.height, map(turn, look.bands))
