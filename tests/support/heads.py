"""Small heads on small features."""

from collections.abc import Sequence
from typing import Any

import torch

from segkit.config.layers import GroupNormConfig
from segkit.models.heads.base import Head
from segkit.registry import HEADS
from segkit.types import FeatureSpec

SPECS = tuple(FeatureSpec(channels=8 * 2**i, stride=4 * 2**i) for i in range(4))
SMALL = {"channels": 16, "scale_head_channels": 8, "shortcut_channels": 4, "branch_channels": (4, 8)}
SMALL |= {"attention_channels": 8, "out_channels": 16, "coarse_channels": 16}
SMALL |= {"query_channels": 16, "mask_channels": 8, "feedforward_channels": 16, "encoder_feedforward_channels": 16}
SMALL_TOO = {"Mask2Former": {"norm": GroupNormConfig(num_groups=4)}}


def build(name: str, features: Sequence[FeatureSpec] = SPECS, **options: Any) -> Head:
    torch.manual_seed(0)
    config = HEADS.config(name)
    known = {key: value for key, value in SMALL.items() if key in config.__dataclass_fields__}
    return HEADS.build(config(**known | SMALL_TOO.get(name, {}) | options), features, 5)
