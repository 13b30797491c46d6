"""How many windows go through a model together."""

from collections.abc import Callable
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from segkit.errors import SegkitError

Work = Callable[[Tensor], Tensor]

_CPU_PIXELS = 2**18
"""One window of 512 x 512: a processor gains nothing from more, and its memory is everybody's."""
_GPU_PIXELS = 2**22
"""16 windows of 512 x 512: more fill no GPU better, and a fixed number gives the same bits whatever else is running."""
_SHARE = 0.7
"""Of the free memory; the allocator's blocks are never all in use."""

_learned: "WeakKeyDictionary[object, dict[tuple[object, ...], int]]" = WeakKeyDictionary()
"""Largest batches by model and what it looks at, so that each is found out once."""


class WindowBatch:
    """Calls a model on windows, as many at a time as its memory holds.

    Args:
        model: whose limit it is.
        wanted: windows at a time; "auto" goes by the free memory.

    Attributes:
        limit: windows at a time. Halved when memory runs out, for this model and these windows from then on.
    """

    def __init__(self, model: object, wanted: int | Literal["auto"], windows: Tensor, work: Work) -> None:
        """``windows`` (N, C, h, w) are some of those to come, on their device; ``work`` is tried on one if need be."""
        self.work = work
        half = torch.is_autocast_enabled(windows.device.type)
        self._key = (wanted, tuple(windows.shape[1:]), windows.dtype, windows.device, half)
        self._limits = _learned.setdefault(model, {})
        if self._key not in self._limits:
            self._limits[self._key] = wanted if wanted != "auto" else _affordable(work, windows[:1])

    @property
    def limit(self) -> int:
        """Windows at a time."""
        return self._limits[self._key]

    def __call__(self, windows: Tensor) -> Tensor:
        """``work(windows)``, in parts if need be.

        Raises:
            SegkitError: a single window is too large.
        """
        parts: list[Tensor] = []
        start = 0
        while start < len(windows):
            try:
                parts.append(self.work(windows[start : start + self.limit]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(windows, error)
            else:
                start += len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _halve(self, windows: Tensor, error: Exception) -> None:
        tried = min(self.limit, len(windows))
        if tried == 1:
            raise too_large(windows) from error
        self._limits[self._key] = tried // 2


def too_large(windows: Tensor) -> SegkitError:
    """What is told when not even one window fits."""
    height, width = windows.shape[2:]
    text = f"{height} x {width} pixels at once are too many for the memory of {windows.device}"
    return SegkitError(f"{text}; use inference.mode=slide with a smaller inference.crop_size")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ended, of whichever device."""
    # The allocator of the CPU has no error class of its own.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)


def _affordable(work: Work, window: Tensor) -> int:
    """How many windows like this one are worth taking together."""
    pixels = window.shape[2] * window.shape[3]
    if window.device.type != "cuda":
        return max(_CPU_PIXELS // pixels, 1)
    torch.cuda.empty_cache()  # so that what the window needs shows as growth
    before = torch.cuda.memory_reserved(window.device)
    try:
        work(window)
    except torch.OutOfMemoryError as error:
        raise too_large(window) from error
    needed = torch.cuda.memory_reserved(window.device) - before
    free = torch.cuda.mem_get_info(window.device)[0] + needed
    return fitting(free, needed, pixels)


def fitting(free: int, needed: int, pixels: int) -> int:
    """Windows that fit into ``free`` bytes where one needs ``needed``, and no more than fill a GPU."""
    return max(min(int(_SHARE * free) // max(needed, 1), _GPU_PIXELS // pixels), 1)
