"""Writing a model in a format, checked before it takes its name."""

from collections.abc import Sequence
from pathlib import Path

from segkit.errors import ExportError, SegkitError
from segkit.export.deployable import Deployment
from segkit.export.formats import EVERYTHING, FORMATS, Dynamic
from segkit.export.verify import Trial, first_line, other_shapes, verify
from segkit.files import whole_file


def export(
    deployment: Deployment,
    path: Path,
    *,
    kind: str,
    size: tuple[int, int],
    batch: int = 2,
    dynamic: Dynamic = EVERYTHING,
    shapes: Sequence[tuple[int, int, int]] | None = None,
) -> list[Trial]:
    """Writes a file and compares it with the model, mostly at sizes that it was not made at.

    Args:
        deployment: what to export.
        path: the file; it is written whole, and only if it passes.
        kind: a key of ``FORMATS``.
        size: (height, width) of the example that the model is traced with.
        batch: images of the example; with a dynamic batch at least 2, as 1 would be taken for a constant.
        dynamic: what may differ later.
        shapes: (N, H, W) to try; None chooses.

    Raises:
        ExportError: the model cannot be exported so, or the file does something else.
    """
    form = FORMATS[kind]
    example = deployment.example(size, max(batch, 2) if dynamic.batch else batch)
    try:
        with whole_file(path, form.suffix) as temporary:
            _write(kind, deployment, example, dynamic, temporary)
            tried = other_shapes(size, len(example), dynamic) if shapes is None else shapes
            return verify(deployment, form.load(temporary), tried)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror or error})") from error


def _write(kind: str, deployment: Deployment, example: object, dynamic: Dynamic, path: Path) -> None:
    try:
        FORMATS[kind].write(deployment, example, dynamic, path)  # type: ignore[arg-type]
    except (SegkitError, OSError):
        raise
    except Exception as error:
        fixed = "" if not dynamic.size else "; --fixed-size may help where sizes are the obstacle"
        raise ExportError(
            f"{deployment.facts['head']}: cannot be exported as {kind}: {first_line(error)}{fixed}"
        ) from error
