"""Evaluation while training: every process takes its share, one all-reduce joins the counts."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segkit import dist
from segkit.config.inference import InferenceConfig
from segkit.data.loader import EvalLoader, collate, to_batch
from segkit.data.sampler import Key
from segkit.engine.amp import Precision
from segkit.errors import DatasetError
from segkit.inference.predict import labels_of, predict_batch
from segkit.metrics.confusion import ConfusionMatrix
from segkit.metrics.scores import Scores, compute_scores
from segkit.types import Batch

Pixels = NDArray[np.uint8]


class Evaluator:
    """Scores models on the validation split.

    The memory does not depend on the number of images. The models run bare, without DDP, and a process may have any
    number of images, none included: nothing is sent before the counts are summed at the end.

    Args:
        loader: this process's share of the split.
        preprocess: (images, boxes) -> normalised images.
        config: the way of looking.
        num_classes: K.
        precision: of the models.
        device: where to compute.
    """

    def __init__(
        self,
        loader: EvalLoader,
        preprocess: nn.Module,
        config: InferenceConfig,
        *,
        num_classes: int,
        precision: Precision,
        device: torch.device,
    ) -> None:
        self.loader = loader
        self.preprocess = preprocess
        self.config = config
        self.num_classes = num_classes
        self.precision = precision
        self.device = device

    @torch.no_grad()
    def __call__(
        self,
        models: Mapping[str, nn.Module],
        *,
        check: Callable[[], None] = lambda: None,
        meet: Callable[[], None] = lambda: None,
        limit: int | None = None,
    ) -> dict[str, Scores]:
        """Scores of each model; images are read once for all.

        Args:
            models: by name; put into eval mode, and left there.
            check: called before each batch; may raise to leave.
            meet: called when this process's share is done, before it waits for the others; may raise to leave.
            limit: batches to look at; None looks at all.
        """
        matrices = {name: ConfusionMatrix(self.num_classes, self.device) for name in models}
        for model in models.values():
            model.eval()
            dist.broadcast_buffers(model)  # plain batch norm has statistics of its own on each rank
        for batch in islice(self.loader, limit):
            check()
            if batch.masks is None:
                raise DatasetError(f"no labels to evaluate on: {', '.join(batch.names)}")
            targets = [target.to(self.device, non_blocking=True) for target in labels_of(batch)]
            images = self._images(batch)
            for name, model in models.items():
                preds = self._classes(model, images, batch)
                for pred, target in zip(preds, targets, strict=True):
                    matrices[name].update(pred, target)
        meet()
        return {name: compute_scores(matrix.sum_over_ranks()) for name, matrix in matrices.items()}

    @torch.no_grad()
    def examples(self, model: nn.Module, count: int) -> list[tuple[NDArray[Any], Pixels | None, Pixels]]:
        """(image, label, prediction) of samples from all over the split, whatever the process's share."""
        source = self.loader.source
        total = len(source.dataset)
        model.eval()
        rows = []
        for index in np.unique(np.linspace(0, total - 1, min(count, total), dtype=int)).tolist():
            raw = source.dataset[index]
            batch = to_batch(collate([source.load(Key(0, index, index), [])], source.pad_to))
            (preds,) = self.predict(model, batch)
            rows.append((raw.image, raw.mask, preds.cpu().numpy()))
        return rows

    @torch.no_grad()
    def predict(self, model: nn.Module, batch: Batch) -> list[Tensor]:
        """The classes of each image, (height, width) uint8, as large as it was read; the model is in eval mode."""
        return self._classes(model, self._images(batch), batch)

    def _images(self, batch: Batch) -> Tensor:
        images: Tensor = self.preprocess(
            batch.images.to(self.device, non_blocking=True), batch.boxes.to(self.device, non_blocking=True)
        )
        return images

    def _classes(self, model: nn.Module, images: Tensor, batch: Batch) -> list[Tensor]:
        """(height, width) uint8 of each image, as large as it was read."""
        with self.precision.autocast():
            return predict_batch(model, images, self.config, sizes=batch.sizes, boxes=batch.boxes)  # type: ignore[arg-type]
