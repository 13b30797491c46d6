"""Checkpoints of untrained models, for tests of what reads them."""

from pathlib import Path
from typing import Any

import torch

from segkit.build import build_segmentor
from segkit.checkpoint import write_checkpoint
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig


def write_untrained(path: Path, config: SegmentorConfig, /, **changes: Any) -> Path:
    """A checkpoint of a model whose logits differ from place to place; ``changes`` replace parts of the payload."""
    torch.manual_seed(0)
    model = build_segmentor(config)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    payload = {
        "config": to_plain(config),
        "classes": list(config.dataset.classes),
        "palette": [list(color) for color in config.dataset.palette],
        "label_values": {},
        "model": model.state_dict(),
        "ema": None,
    }
    write_checkpoint(path, payload | changes)
    return path
