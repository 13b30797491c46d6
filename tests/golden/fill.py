"""The deterministic weights and inputs, called "v1", that the golden numbers were computed with.

Every tensor has a generator of its own, seeded by its name, so that it does not depend on the others. All is float32.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def fill_tensor(name: str, shape: Sequence[int], gain: float = 1.0) -> Array:
    """The value of one parameter or buffer."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    noise = np.asarray(normal, np.float32)
    if name.endswith("running_var"):
        return np.float32(1) + np.float32(0.2) * np.abs(noise)
    if name.endswith("running_mean"):
        return np.float32(0.1) * noise
    if noise.ndim >= 2:
        return np.float32(gain) * (noise / np.float32(np.sqrt(np.prod(shape[1:], dtype=np.float64))))
    return np.asarray(np.float32(name.endswith("weight")) + np.float32(0.1) * noise)  # of a scalar: no array else


def fill_state(
    state: Iterable[Sequence[Any]], constant: Iterable[Sequence[Any]] = (), gain: float = 1.0
) -> Mapping[str, Array]:
    """All tensors of ``state`` ([name, shape], ...) but those in ``constant``, which a model builds by itself."""
    skip = {entry[0] for entry in constant}
    return {name: fill_tensor(name, shape, gain) for name, shape, *_ in state if name not in skip}


def image(shape: Sequence[int], seed: int = 0) -> Array:
    """Standard normal noise."""
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)


def target(n: int, h: int, w: int, num_classes: int, ignore_index: int = 255, seed: int = 1) -> Array:
    """Uniform labels, every seventh pixel ignored."""
    labels = np.random.RandomState(seed).randint(0, num_classes, (n, h, w)).astype(np.int64)
    labels.reshape(-1)[::7] = ignore_index
    return labels


def edge_target(n: int, h: int, w: int, ignore_index: int = 255) -> Array:
    """Uniform edges, 0 or 1, every seventh pixel ignored."""
    return target(n, h, w, 2, ignore_index, seed=2)
