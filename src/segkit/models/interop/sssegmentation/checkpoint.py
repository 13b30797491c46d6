"""A checkpoint file of SSSegmentation to our state_dict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from segkit.config.component import type_name
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import CheckpointError
from segkit.models.interop.sssegmentation.backbones import backbone_maps
from segkit.models.interop.sssegmentation.heads import SEGMENTORS
from segkit.models.interop.sssegmentation.state import convert_state
from segkit.tensor_files import read_tensor_file

Weights = Literal["model", "ema"]
_KEYS: Mapping[str, tuple[str, ...]] = {"model": ("model", "state_dict"), "ema": ("model_ema", "ema")}


def convert_checkpoint(
    source: str | Path | Mapping[str, Any],
    config: SegmentorConfig,
    *,
    weights: Weights = "model",
    expected: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The weights of an SSSegmentation checkpoint under our names, for ``load_state_dict``.

    Args:
        source: the file, read with ``weights_only=True``, or what it holds: a state_dict, alone or under ``model``,
            ``state_dict`` or ``model_ema``, with or without the prefix of DistributedDataParallel.
        config: ours, of the same model: its head, backbone, neck, auxiliary heads and number of classes are read.
        weights: those that were trained, or their average.
        expected: the state_dict of ``build_segmentor(config)``; names and shapes are then compared with it, and values
            take its dtypes. Without it, missing names are found by ``load_state_dict``.

    Raises:
        CheckpointError: if the file cannot be read, the toolkit has no such model, or names do not fit: all that are
            unknown, missing or misshapen in one error.
    """
    where = "" if isinstance(source, Mapping) else f"{source}: "
    payload = source if isinstance(source, Mapping) else read_tensor_file(Path(source))
    try:
        _require_known(config)
        state = unwrap(payload, weights)
        converted = convert_state(state, config, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{where}{error}") from error
    if expected is None:
        return converted
    return {name: value.to(expected[name].dtype) for name, value in converted.items()}


def unwrap(payload: Any, weights: Weights = "model") -> dict[str, Tensor]:
    """The state_dict in what a checkpoint holds.

    Raises:
        CheckpointError: there is none, or the file is ours.
    """
    if not isinstance(payload, Mapping):
        raise CheckpointError(f"holds a {type(payload).__name__}, not weights")
    if payload.get("format") == "segkit":
        raise CheckpointError("is a segkit checkpoint already")
    state: Any = next((payload[key] for key in _KEYS[weights] if isinstance(payload.get(key), Mapping)), None)
    if state is None and weights == "model":
        state = payload
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        wanted = " or ".join(_KEYS[weights])
        held = ", ".join(map(str, list(payload)[:6])) or "nothing"
        raise CheckpointError(f"no weights under {wanted}; it holds {held}")
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module.") if wrapped else name: value for name, value in state.items()}


def _require_known(config: SegmentorConfig) -> None:
    for part, known in (
        (config.head, {entry.config for entry in SEGMENTORS.values()}),
        (config.backbone, {entry.config for entry in backbone_maps().values()}),
    ):
        if type(part) not in known:
            raise CheckpointError(f"SSSegmentation has no {type_name(type(part))} that is the same as ours")
