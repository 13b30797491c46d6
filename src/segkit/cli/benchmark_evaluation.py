"""How long it takes to count a prediction of 1024 x 2048 pixels against its label."""

import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from segkit.metrics import ConfusionMatrix, compute_scores
from segkit.types import IGNORE_INDEX

_SIZE = (1024, 2048)
_BLOCK = 16  # side of the patches of one class: real labels are smooth, which a processor's caches feel
_BAR = 10


def run(repeats: int = 9) -> None:
    """Prints the best time of one image for segkit and for two usual ways, all of which must count the same."""
    table = Table("classes", "way", "ms", "times segkit's", f"bar {_BAR}", title="evaluation of 1024 x 2048, CPU")
    for num_classes in (19, 150):
        preds, target = _example(num_classes)
        matrix = ConfusionMatrix(num_classes)
        peers: dict[str, Callable[[], Tensor]] = {
            "torch.histc of hits, predictions, labels": partial(_histograms, preds, target, num_classes),
        }
        if num_classes < 100:  # it would take half a minute
            peers["a loop over the classes"] = partial(_loop, preds, target, num_classes)
        _require_same(preds, target, num_classes, peers)
        ours = _best_ms(partial(matrix.update, preds, target), repeats)
        table.add_row(str(num_classes), "segkit", f"{ours:.1f}", "1", "")
        for name, peer in peers.items():
            theirs = _best_ms(peer, 3)
            verdict = "met" if theirs >= _BAR * ours else "missed"
            table.add_row(str(num_classes), name, f"{theirs:.1f}", f"{theirs / ours:.1f}", verdict)
        table.add_row(
            str(num_classes), "all scores, once a split", f"{_best_ms(partial(compute_scores, matrix), 3):.2f}"
        )
        table.add_section()
    Console().print(table)


def _example(num_classes: int) -> tuple[Tensor, Tensor]:
    """Patchy labels with an ignored margin, and predictions that are right for nine pixels in ten."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, num_classes, [side // _BLOCK for side in _SIZE], generator=generator, dtype=torch.uint8)
    target = cells.repeat_interleave(_BLOCK, 0).repeat_interleave(_BLOCK, 1)
    others = torch.randint(0, num_classes, _SIZE, generator=generator, dtype=torch.uint8)
    preds = torch.where(torch.rand(_SIZE, generator=generator) < 0.9, target, others)
    target[:, : _SIZE[1] // 20] = IGNORE_INDEX
    return preds, target


def _histograms(preds: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """(3, K): hits, predictions and labels of each class."""
    valid = target != IGNORE_INDEX
    preds, target = preds[valid], target[valid]
    values = (preds[preds == target], preds, target)
    return torch.stack([torch.histc(v.float(), num_classes, min=0, max=num_classes - 1) for v in values])


def _loop(preds: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """(3, K), as :func:`_histograms`."""
    valid = target != IGNORE_INDEX
    counts = torch.zeros(3, num_classes)
    for index in range(num_classes):
        predicted, labelled = (preds == index) & valid, target == index
        counts[:, index] = torch.stack([(predicted & labelled).sum(), predicted.sum(), labelled.sum()])
    return counts


def _require_same(preds: Tensor, target: Tensor, num_classes: int, peers: dict[str, Callable[[], Tensor]]) -> None:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(preds, target)
    counts = matrix.counts.float()
    ours = torch.stack([counts.diagonal(), counts.sum(0), counts.sum(1)])
    for name, peer in peers.items():
        if not torch.equal(peer(), ours):
            raise RuntimeError(f"{name} counts something else than segkit")


def _best_ms(work: Callable[[], object], repeats: int) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - began)

    once()
    return min(once() for _ in range(repeats))
