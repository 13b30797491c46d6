"""One model in several processes."""

from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from segkit.layers.norm import SyncBatchNorm2d


def distribute(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    """DDP; it sends rank 0's running statistics around only if the processes have their own."""
    own_statistics = any(
        isinstance(m, _BatchNorm) and not isinstance(m, SyncBatchNorm2d) and m.track_running_stats
        for m in model.modules()
    )
    # The name since torch 2.15; the older one warns there.
    names = ("forward_sync_buffers", "broadcast_buffers")
    name = next(name for name in names if name in signature(DistributedDataParallel).parameters)
    options: dict[str, Any] = {name: own_statistics, "gradient_as_bucket_view": True}
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None, **options)
