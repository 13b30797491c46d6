"""INT8 by onnxruntime's static quantisation, calibrated on images of the data set, and what that costs in mIoU."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.build import build_loader, build_preprocessor
from segkit.export.deployable import Deployment
from segkit.export.formats import Runner, require
from segkit.inference.options import inference_options
from segkit.inference.predict import labels_of, predict_batch
from segkit.inference.saved import SavedModel
from segkit.metrics.confusion import ConfusionMatrix
from segkit.metrics.scores import Scores, compute_scores
from segkit.types import Batch

_QUANTIZED = ("Conv", "MatMul", "Gemm")
"""Where nearly all of the time goes; the rest stays in float32."""


def quantize(source: Path, target: Path, images: Iterable[Tensor]) -> None:
    """Writes an INT8 form of an ONNX file: weights for each channel, activations by their range on ``images``.

    Args:
        source: an ONNX file of float32.
        target: what to write.
        images: batches, as the file takes them.

    Raises:
        ExportError: onnxruntime is not installed.
    """
    tools = require("onnxruntime.quantization", "export")
    prepared = target.with_name(f".{target.stem}.prepared.onnx")
    try:
        # Joins what runs as one; symbolic shapes need a further package, and only serve dynamic slicing.
        tools.shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        _quantize(tools, prepared, target, images)
    finally:
        prepared.unlink(missing_ok=True)


def _quantize(tools: Any, source: Path, target: Path, images: Iterable[Tensor]) -> None:
    tools.quantize_static(
        str(source),
        str(target),
        _Reader(_input_name(source), images),
        quant_format=tools.QuantFormat.QDQ,
        per_channel=True,
        weight_type=tools.QuantType.QInt8,
        activation_type=tools.QuantType.QUInt8,
        op_types_to_quantize=list(_QUANTIZED),
    )


def calibration_images(saved: SavedModel, deployment: Deployment, count: int) -> Iterator[Tensor]:
    """Batches of the validation split, as the exported file takes them; ``count`` images in all, or what there is."""
    left = count
    prepare = _preparation(saved, deployment)
    for batch in build_loader(saved.config, "val"):
        yield prepare(batch)[:left]
        left -= len(batch.names)
        if left <= 0:
            return


def score(saved: SavedModel, deployment: Deployment, run: Runner, *, limit: int | None = None) -> Scores:
    """Figures of an exported file on the validation split, as segkit-test takes them.

    Args:
        saved: the checkpoint that it came from; tells the data.
        deployment: what was exported.
        run: the file.
        limit: batches to look at; None looks at all.
    """
    classes = len(saved.info.names)
    matrix = ConfusionMatrix(classes)
    model: Any = _Answers(run, deployment, classes)
    prepare, options = _preparation(saved, deployment), inference_options(saved.config)
    for batch in islice(build_loader(saved.config, "val"), limit):
        found = predict_batch(model, prepare(batch), options, sizes=batch.sizes, boxes=batch.boxes)
        for preds, target in zip(found, labels_of(batch), strict=True):
            matrix.update(preds, target)
    return compute_scores(matrix)


class _Answers:
    """A file as inference asks models: scores of every class, whatever comes out of the file."""

    def __init__(self, run: Runner, deployment: Deployment, num_classes: int) -> None:
        self.run = run
        self.output = deployment.module.output
        self.threshold = deployment.module.threshold
        self.num_classes = num_classes
        self.align_corners = deployment.module.align_corners

    def __call__(self, images: Tensor) -> Tensor:
        found = self.run(images.contiguous())
        if self.output == "logits":
            return found
        if self.output == "probs":
            return found.clamp(1e-7, 1 - 1e-7).logit() if self.num_classes == 1 else found.clamp(min=1e-12).log()
        if self.num_classes == 1:
            return torch.where(found.unsqueeze(1) == 1, 20.0, -20.0)
        return F.one_hot(found.long(), self.num_classes).movedim(-1, 1).float()


class _Reader:
    """Batches one by one, as onnxruntime's calibration reads them."""

    def __init__(self, name: str, images: Iterable[Tensor]) -> None:
        self.name = name
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        batch = next(self.images, None)
        return None if batch is None else {self.name: batch.contiguous().numpy()}


def _preparation(saved: SavedModel, deployment: Deployment) -> Any:
    """Batch -> the tensor that the file takes."""
    if deployment.takes_pixels:
        return lambda batch: batch.images
    normalize = build_preprocessor(saved.config)

    def prepare(batch: Batch) -> Tensor:
        images: Tensor = normalize(batch.images, batch.boxes)
        return images

    return prepare


def _input_name(path: Path) -> str:
    name: str = require("onnx", "export").load(str(path), load_external_data=False).graph.input[0].name
    return name
