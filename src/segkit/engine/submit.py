"""Predictions of a checkpoint on a split without labels, written as its benchmark wants them."""

from collections.abc import Callable
from pathlib import Path

from segkit.config.datasets import Submission
from segkit.data.submission import SubmissionWriter
from segkit.data.target import check_target
from segkit.engine.evaluate import Request, choose, prepare
from segkit.errors import ConfigError, Problem
from segkit.inference.saved import SavedModel


def submit(
    saved: SavedModel, request: Request, path: Path, *, on_batch: Callable[[int], None] | None = None
) -> SubmissionWriter:
    """Predicts a split and writes the submission.

    Args:
        saved: the checkpoint.
        request: the split, and how to look at its images; one process does it.
        path: a new folder or archive.
        on_batch: called before each batch with the number of batches.

    Returns:
        The writer, done: it knows where and how many.

    Raises:
        SegkitError: the data, the weights or the path are not what is asked for.
    """
    check_target(path)
    if request.processes > 1:
        raise ConfigError([Problem("trainer.devices", f"must be 1 for a submission (got {request.processes})")])
    device = choose(saved, request)
    dataset, evaluator = prepare(saved, request, device)
    facts = saved.config.dataset.facts
    split = request.split or saved.config.dataset.val_split
    model = saved.build(device, request.weights)
    with SubmissionWriter(path, facts.submission if facts else Submission(), dataset.info, split) as writer:
        for batch in evaluator.loader:
            if on_batch is not None:
                on_batch(len(evaluator.loader.batches))
            for name, mask in zip(batch.names, evaluator.predict(model, batch), strict=True):
                writer.add(name, mask.cpu().numpy())
    return writer
