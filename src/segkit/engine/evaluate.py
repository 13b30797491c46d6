"""Evaluating a checkpoint: the code path of the training's own evaluation, in one process or in several."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as torch_dist

from segkit.build import build_loader, build_preprocessor, memory_format
from segkit.config.component import to_plain
from segkit.engine.amp import Precision
from segkit.engine.apart import run_apart
from segkit.engine.devices import choose_device, set_backends, share_of_threads
from segkit.engine.evaluator import Evaluator
from segkit.engine.meters import peak_memory_gb
from segkit.engine.process import is_external, open_store, process_group
from segkit.errors import DatasetError
from segkit.inference.gallery import Exhibit, Gallery
from segkit.inference.options import inference_options
from segkit.inference.predictor import pick_device
from segkit.inference.saved import SavedModel, Weights
from segkit.metrics.further import Further, FurtherScores
from segkit.metrics.scores import Scores
from segkit.registry import DATASETS
from segkit.types import Dataset


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
        split: of the data set; None takes the validation split.
        weights: which weights to take.
        tta: take several looks at each image.
        device: where to compute in one process; None goes by ``trainer.accelerator``.
        processes: how many share the work.
        further: figures beside those of the confusion matrix, of :data:`segkit.metrics.further.NAMES`.
        ranked: how many of the worst and of the best images to keep.
    """

    split: str | None = None
    weights: Weights = "auto"
    tta: bool = False
    device: str | None = None
    processes: int = 1
    further: tuple[str, ...] = ()
    ranked: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        scores: figures of the confusion matrix and, per class and overall, of the boundaries and the calibration.
        further: what was asked for beside them.
        worst: the images seen worst, the worst first, and
        best: those seen best; as many as asked for.
        image_s: seconds that a process took for an image, from file to counts; of the process that tells.
        memory_gb: the most memory that it held: of its GPU, else its own.
    """

    scores: Scores
    further: FurtherScores
    worst: tuple[Exhibit, ...] = ()
    best: tuple[Exhibit, ...] = ()
    image_s: float = 0.0
    memory_gb: float = 0.0


def evaluate(
    saved: SavedModel, request: Request, *, on_batch: Callable[[int], None] | None = None
) -> Evaluation | None:
    """Scores of a checkpoint's weights on a split.

    Args:
        saved: the checkpoint.
        request: what to evaluate.
        on_batch: called before each batch with the number of batches; in one process only.

    Returns:
        The figures; None on all but one process of an external torchrun.

    Raises:
        SegkitError: the data or the weights are not what is asked for.
    """
    if is_external():
        with process_group(saved.config, *open_store()):
            device = choose_device(saved.config.trainer, int(os.environ["LOCAL_RANK"]))
            found = _evaluate_here(saved, request, device)
            return found if torch_dist.get_rank() == 0 else None
    if request.processes > 1:
        return _evaluate_apart(saved, request)
    return _evaluate_here(saved, request, choose(saved, request), on_batch)


def choose(saved: SavedModel, request: Request) -> torch.device:
    """The device of a single process, its backends set."""
    device = choose_device(saved.config.trainer, 0) if request.device is None else pick_device(request.device)
    set_backends(saved.config.trainer, saved.config.trainer.num_threads or None)
    return device


def prepare(saved: SavedModel, request: Request, device: torch.device) -> tuple[Dataset, Evaluator]:
    """The split, and what looks at this process's share of it.

    Raises:
        SegkitError: files are missing.
    """
    config = saved.config
    config.dataset.require_root()
    dataset: Dataset = DATASETS.build(config.dataset, request.split or config.dataset.val_split)
    evaluator = Evaluator(
        build_loader(config, "val", dataset),
        build_preprocessor(config, memory_format(config, device)).to(device),
        inference_options(config, tta=request.tta),
        num_classes=len(saved.info.names),
        precision=Precision(config.amp, device),
        device=device,
    )
    return dataset, evaluator


def _evaluate_here(
    saved: SavedModel, request: Request, device: torch.device, on_batch: Callable[[int], None] | None = None
) -> Evaluation:
    """The figures of all processes, from this one's share of the split."""
    dataset, evaluator = prepare(saved, request, device)
    if dataset[0].mask is None:
        split = request.split or saved.config.dataset.val_split
        text = "--submission FILE.zip writes the predictions as its benchmark wants them"
        raise DatasetError(f"split {split!r} has no labels to compare with; {text}")
    count = len(evaluator.loader.batches)
    check = (lambda: None) if on_batch is None else (lambda: on_batch(count))
    further = Further(request.further, len(saved.info.names), device)
    gallery = Gallery((), request.ranked)
    model = saved.build(device, request.weights)
    began = time.perf_counter()
    scores = evaluator({"": model}, check=check, gallery=gallery, further=further)[""]
    image_s = (time.perf_counter() - began) / max(evaluator.loader.num_samples, 1)
    more = further.gather()
    joined = replace(
        scores, per_class={**scores.per_class, **more.per_class}, overall={**scores.overall, **more.overall}
    )
    return Evaluation(joined, more, tuple(gallery.worst), tuple(gallery.best), image_s, peak_memory_gb())


def _evaluate_apart(saved: SavedModel, request: Request) -> Evaluation:
    """Starts the processes and waits for them."""
    arguments = (str(saved.path), to_plain(saved.config), request)
    found: Evaluation = run_apart(_process, arguments, request.processes)
    return found


def _process(rank: int, folder: str, checkpoint: str, tree: dict[str, Any], request: Request) -> Evaluation:
    """One of several processes."""
    saved = SavedModel.read(checkpoint, lambda current: current.update(tree))
    trainer = saved.config.trainer
    set_backends(trainer, share_of_threads(trainer, request.processes))
    store = torch_dist.FileStore(f"{folder}/store", request.processes)  # type: ignore[attr-defined]
    with process_group(saved.config, store, rank, request.processes):
        return _evaluate_here(saved, request, choose_device(trainer, rank))
