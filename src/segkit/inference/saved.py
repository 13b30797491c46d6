"""From a checkpoint to a model that is ready to use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from segkit.build import build_segmentor, memory_format
from segkit.checkpoint import load_weights, read_checkpoint
from segkit.config.segmentor import SegmentorConfig
from segkit.config.transforms import NormalizeConfig
from segkit.config.validate import validate
from segkit.errors import CheckpointError, ConfigError, Problem
from segkit.models.segmentor import Segmentor
from segkit.types import ClassInfo

Weights = Literal["auto", "model", "ema"]
"""The weights as trained, their average, or (auto) those that ``trainer.monitor`` judged checkpoints by."""
Tree = dict[str, Any]


@dataclass(frozen=True)
class SavedModel:
    """A checkpoint, read and understood.

    Attributes:
        path: the file.
        config: what it was trained with, as far as a use asks for it, with the changes of that use.
        info: names and colours of the classes.
        payload: all that the file holds.
    """

    path: Path
    config: SegmentorConfig
    info: ClassInfo
    payload: Mapping[str, Any]

    @classmethod
    def read(cls, path: str | Path, change: Callable[[Tree], None] | None = None) -> Self:
        """Reads a checkpoint.

        Args:
            path: the file.
            change: alters the plain configuration before it is validated.

        Raises:
            CheckpointError: the file is no checkpoint, or its configuration does not fit this segkit.
            ConfigError: ``change`` makes the configuration wrong.
        """
        path = Path(path)
        payload = read_checkpoint(path)
        config = _understand(payload["config"], path, None)
        if change is not None:
            config = _changed(config, payload["config"], path, change)
        if list(config.dataset.classes) != payload["classes"]:
            text = f"has {len(config.dataset.classes)} classes that are not the {len(payload['classes'])} of {path}"
            raise ConfigError([Problem("dataset", text)])
        palette = tuple((r, g, b) for r, g, b in payload["palette"])
        values = payload.get("label_values") or {}
        return cls(path, config, ClassInfo(tuple(payload["classes"]), palette, values), payload)

    def choose(self, weights: Weights = "auto") -> Literal["model", "ema"]:
        """Which weights a use takes.

        Raises:
            CheckpointError: the average is wanted, and there is none.
        """
        return choose_weights(self.payload, self.config.trainer.monitor, weights, self.path)

    def build(self, device: torch.device, weights: Weights = "auto") -> Segmentor:
        """The model with its weights, in eval mode.

        Raises:
            CheckpointError: the weights are of another model, or the average is wanted and there is none.
        """
        chosen = self.choose(weights)
        model = build_segmentor(self.config)
        load_weights(model, self.payload[chosen], self.path)
        layout = memory_format(self.config, device)
        return model.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]


def choose_weights(
    payload: Mapping[str, Any], monitor: str, weights: Weights, path: str | Path
) -> Literal["model", "ema"]:
    """Which weights of a checkpoint to take, where ``monitor`` is the metric that its training judged by.

    Raises:
        CheckpointError: the average is wanted, and there is none.
    """
    has_average = payload.get("ema") is not None
    if weights == "auto":
        return "ema" if has_average and monitor.startswith("ema/") else "model"
    if weights == "ema" and not has_average:
        raise CheckpointError(f"{path}: has no averaged weights; it was trained with ema.enabled=false")
    return weights


def _changed(
    before: SegmentorConfig, saved: Mapping[str, Any], path: Path, change: Callable[[Tree], None]
) -> SegmentorConfig:
    """The configuration with its changes, which must leave the model the input that it knows."""
    config = _understand(saved, path, change)
    known = _normalization(before)
    if _normalization(config) != known:
        wanted = "no Normalize" if known is None else f"Normalize with mean {list(known.mean)}, std {list(known.std)}"
        raise ConfigError([Problem("dataset.val_transforms", f"must hold {wanted}, as the model was trained with")])
    return config


def _normalization(config: SegmentorConfig) -> NormalizeConfig | None:
    steps = (*config.dataset.val_transforms.values(), *config.dataset.train_transforms.values())
    return next((step for step in steps if isinstance(step, NormalizeConfig)), None)


def _understand(saved: Mapping[str, Any], path: Path, change: Callable[[Tree], None] | None) -> SegmentorConfig:
    """Validates a saved configuration, less what only the start of its training needed.

    Files of first weights need not be here, and ``plugins`` are left out, because nothing that a checkpoint names is
    ever imported.
    """
    tree: Tree = {key: dict(value) if isinstance(value, Mapping) else value for key, value in saved.items()}
    plugins = tree.pop("plugins", None) or ()
    if isinstance(tree.get("backbone"), dict):
        tree["backbone"] |= {"pretrained": False, "weights": None}
    if change is not None:
        change(tree)
    try:
        return validate(tree, training=False)
    except ConfigError as error:
        if plugins and not tree.get("plugins"):
            names = ", ".join(map(str, plugins))
            text = f"{path}: was trained with plug-ins; if you trust them, say plugins=[{names}], or import them first"
            raise CheckpointError(f"{text} ({error.problems[0]})") from None
        if change is None:
            raise CheckpointError(f"{path}: its configuration does not fit this segkit: {error.problems[0]}") from None
        raise
