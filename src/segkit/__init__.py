"""segkit: semantic segmentation in PyTorch. Names are imported when first used, so that start-up is quick."""

import importlib
from typing import Any

_NAMES = {
    "SegmentorConfig": "segkit.config.segmentor",
    "compose": "segkit.config.compose",
    "build_segmentor": "segkit.build",
    "train": "segkit.engine.launch",
    "load": "segkit.inference.predictor",
}
__all__ = ["SegmentorConfig", "build_segmentor", "compose", "load", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'segkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)
