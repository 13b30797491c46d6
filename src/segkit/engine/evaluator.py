"""Evaluation while training: every process takes its share, one all-reduce joins the counts."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from segkit import dist
from segkit.config.inference import InferenceConfig
from segkit.data.loader import EvalLoader, collate, to_batch
from segkit.data.sampler import Key
from segkit.engine.amp import Precision
from segkit.errors import DatasetError
from segkit.inference.gallery import Exhibit, Gallery, make_exhibit
from segkit.inference.predict import decided_and_sure, labels_of, predict_batch
from segkit.metrics.confusion import ConfusionMatrix, mean_iou
from segkit.metrics.further import Further
from segkit.metrics.scores import Scores, compute_scores
from segkit.types import Batch


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
        tell: Callable[[int, int], None] = lambda done, total: None,
        limit: int | None = None,
        gallery: Gallery | None = None,
        shown: str = "",
        further: Further | None = None,
    ) -> dict[str, Scores]:
        """Scores of each model; images are read once for all.

        Args:
            models: by name; put into eval mode, and left there.
            check: called before each batch; may raise to leave.
            meet: called when this process's share is done, before it waits for the others; may raise to leave.
            tell: called after each batch with the images seen and all of this process's.
            limit: batches to look at; None looks at all.
            gallery: chooses images to keep; all processes have one, or none.
            shown: the model whose predictions it gets.
            further: counts more of the predictions of ``shown``.
        """
        matrices = {name: ConfusionMatrix(self.num_classes, self.device) for name in models}
        for model in models.values():
            model.eval()
            dist.broadcast_buffers(model)  # plain batch norm has statistics of its own on each rank
        seen = 0
        for batch in islice(self.loader, limit):
            check()
            if batch.masks is None:
                raise DatasetError(f"no labels to evaluate on: {', '.join(batch.names)}")
            targets = [target.to(self.device, non_blocking=True) for target in labels_of(batch)]
            images = self._images(batch)
            for name, model in models.items():
                if further is not None and name == shown and further.calibration is not None:
                    preds, sure = self._sure_classes(model, images, batch)
                else:
                    preds, sure = self._classes(model, images, batch), None
                counts = [matrices[name].update(*pair) for pair in zip(preds, targets, strict=True)]
                if gallery is not None and name == shown:
                    gallery.see(batch, preds, [mean_iou(count) for count in counts])
                if further is not None and name == shown:
                    further.see(batch.names, preds, targets, counts=counts, sure=sure)
            seen += len(batch.names)
            tell(seen, self.loader.num_samples)
        meet()
        if gallery is not None:
            gallery.gather()
        return {name: compute_scores(matrix.sum_over_ranks()) for name, matrix in matrices.items()}

    @torch.no_grad()
    def examples(self, model: nn.Module, places: Iterable[int]) -> list[Exhibit]:
        """Samples by their numbers in the split, whatever the process's share, as the model sees them."""
        source, kept = self.loader.source, []
        model.eval()
        for place in dict.fromkeys(places):
            batch = to_batch(collate([source.load(Key(0, place, place), [])], source.pad_to) | {"samples": [place]})
            (preds,) = self.predict(model, batch)
            (target,) = labels_of(batch)
            score = mean_iou(ConfusionMatrix(self.num_classes, self.device).update(preds, target)).item()
            kept.append(make_exhibit(batch, 0, preds, score))
        return kept

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

    def _sure_classes(self, model: nn.Module, images: Tensor, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """The same, and the probability of each, (height, width) float32."""
        with self.precision.autocast():
            both = predict_batch(
                model,  # type: ignore[arg-type]
                images,
                self.config,
                sizes=batch.sizes,
                boxes=batch.boxes,
                decide=decided_and_sure,
            )
        return [pair[..., 0].to(torch.uint8) for pair in both], [pair[..., 1] for pair in both]
