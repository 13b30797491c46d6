"""The first weights of a training, from the checkpoint of another one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from segkit.checkpoint import load_weights, read_checkpoint, shape_text
from segkit.errors import CheckpointError, some_of

LEAST_BACKBONE = 0.9
"""Share of the backbone's weights that must fit: below it, the file is of another backbone."""
_SHOWN = 12


def init_weights(model: nn.Module, path: Path, *, strict: bool = False) -> str:
    """Loads a checkpoint's weights for fine-tuning; their average where there is one.

    Args:
        model: the segmentor.
        path: of the checkpoint, or of what ``segkit-checkpoint publish`` made of one.
        strict: every weight must fit; otherwise, those that do not start anew.

    Returns:
        What was loaded and what was not, in a few lines.

    Raises:
        CheckpointError: nothing sensible would be loaded, as the backbone is absent or another one, or a weight does
            not fit where all must; nothing is loaded then.
    """
    payload = read_checkpoint(path)
    weights: Mapping[str, Tensor] = payload.get("ema") or payload["model"]
    own = model.state_dict()
    if strict:
        try:
            load_weights(model, weights, path)
        except CheckpointError as error:
            text = "trainer.init_strict=false lets what does not fit start anew"
            raise CheckpointError(f"{error}; {text}") from error
        return f"{path}: loaded all {len(own)} weights"
    fitting = {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}
    backbone = [name for name in own if name.startswith("backbone.")]
    lost = [name for name in backbone if name not in fitting]
    if len(lost) > (1 - LEAST_BACKBONE) * len(backbone):
        text = f"{len(lost)} of {len(backbone)} weights of the backbone are absent or of another shape"
        raise CheckpointError(f"{path}: not a checkpoint of this backbone: {text}: {some_of(lost, 3, between='; ')}")
    model.load_state_dict(fitting, strict=False)
    return "\n".join((f"{path}: loaded {_parts(own, fitting)}", *_rest(own, weights, fitting)))


def _parts(own: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> str:
    """How much was loaded of each part of the model."""
    parts: dict[str, list[str]] = {}
    for name in own:
        parts.setdefault(name.partition(".")[0], []).append(name)
    counts = ", ".join(f"{part} {sum(n in fitting for n in names)} of {len(names)}" for part, names in parts.items())
    return f"{len(fitting)} of {len(own)} weights ({counts})"


def _rest(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> list[str]:
    """What was not loaded: of the model, and of the file."""
    anew = [
        f"{name} ({shape_text(theirs[name])} -> {shape_text(value)})" if name in theirs else f"{name} (absent)"
        for name, value in own.items()
        if name not in fitting
    ]
    spare = [f"{name} ({shape_text(value)})" for name, value in theirs.items() if name not in own]
    return [*_listed("these start anew", anew), *_listed("in the file, but not in the model", spare)]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"  {title}: {some_of(lines, _SHOWN, between='; ')}"] if lines else []
