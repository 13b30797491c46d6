"""One optimiser step: forward, losses, backward over the parts of its batch, clipping, update."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from segkit import dist
from segkit.config.training import TrainerConfig
from segkit.data.batch_transforms.base import BatchMixer, Mixture, neighbours
from segkit.engine.amp import Precision
from segkit.models.segmentor import Segmentor
from segkit.ops.labels import classes_present
from segkit.types import IGNORE_INDEX, Batch, StepInfo


class TrainModel(nn.Module):
    """Segmentor and criterion as one module, so that DDP sees one forward pass.

    Args:
        segmentor: its ``outputs(images, step)`` are the logits by name.
        criterion: (outputs, target) -> the weighted terms of the loss, by name.
        precision: of the segmentor; the losses stay in float32.

    Shape:
        - Input: (N, C, H, W) normalised images and (N, H, W) int64 target; epoch, rate and edges as in StepInfo; the
          share of the loss of each image's own labels, a scalar, where the other labels of its pair count too.
        - Output: name -> scalar.
    """

    def __init__(self, segmentor: Segmentor, criterion: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.criterion = criterion
        self.precision = precision

    def forward(
        self,
        images: Tensor,
        target: Tensor,
        epoch: int = 1,
        learning_rate: float = 0.0,
        edges: Tensor | None = None,
        share: Tensor | None = None,
    ) -> dict[str, Tensor]:
        with self.precision.autocast():
            outputs = self.segmentor.outputs(images, StepInfo(target, epoch, learning_rate, edges))
        terms: dict[str, Tensor] = self.criterion(outputs, target)
        if share is None:
            return terms
        others = self.criterion(outputs, neighbours(target))
        return {name: torch.lerp(others[name], term, share) for name, term in terms.items()}

    def compile_network(self, **options: Any) -> None:
        """Compiles all but the losses, which take gradients in bands as they go: no graph holds that.

        Args:
            options: of ``torch.compile``.
        """
        # Here and not as a decorator, which would import the compiler in every process.
        self.criterion.forward = torch.compiler.disable(self.criterion.forward)
        self.compile(**options)


@dataclass(frozen=True)
class StepOutcome:
    """What a step tells the log; nothing here waits for the device.

    Attributes:
        terms: the terms of the loss of this process's part of the batch, on the device; the loss is their sum.
        seen: (255,) bool, the class ids that occur in this process's part of the batch.
        grad_norm: norm of the gradients before clipping, over all parameters; None where it was not needed.
        skipped: whether the update was left out, because a gradient was not finite.
    """

    terms: dict[str, Tensor]
    seen: Tensor
    grad_norm: Tensor | None = None
    skipped: bool = False


class TrainStep:
    """Takes one optimiser step.

    Args:
        model: a :class:`TrainModel`, or DDP around one.
        preprocess: (images uint8 or float, boxes) -> normalised images; runs on the device.
        optimizer: updates the model.
        precision: autocast and scaler.
        config: clipping, and what to do with gradients that are not finite.
        device: where to compute.
        mixer: of the images of a batch; None mixes nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: nn.Module,
        optimizer: Optimizer,
        precision: Precision,
        config: TrainerConfig,
        device: torch.device,
        mixer: BatchMixer | None = None,
    ) -> None:
        self.mixer = mixer
        self.model = model
        self.preprocess = preprocess
        self.optimizer = optimizer
        self.precision = precision
        self.config = config
        self.device = device
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(
        self,
        parts: Sequence[Batch],
        *,
        position: int | None = None,
        epoch: int = 1,
        learning_rate: float = 0.0,
        want_norm: bool = False,
    ) -> StepOutcome:
        """Steps on the gradient of the mean loss over ``parts``, which together are this process's batch.

        Args:
            parts: batches of the same number of images.
            position: the step's number, from 0, by which images are mixed; None leaves them.
            epoch: the pass over the data, from 1, and
            learning_rate: the schedule's rate; heads with a memory may go by them.
            want_norm: tell the norm of the gradients even where clipping does not need it.
        """
        self.optimizer.zero_grad(set_to_none=True)
        targets = [self._target(part) for part in parts]
        mixtures = [self._mixture(target, position, index) for index, target in enumerate(targets)]
        shares = self._shares([mixture.target for mixture in mixtures])
        total: dict[str, Tensor] = {}
        for index, (part, mixture) in enumerate(zip(parts, mixtures, strict=True)):
            last = index == len(parts) - 1
            with nullcontext() if last else self._no_sync():  # gradients travel once a step
                images = mixture.images(self._images(part))
                own = None if mixture.share is None else images.new_tensor(mixture.share)
                inputs = (images, mixture.target, epoch, learning_rate, self._edges(part), own)
                terms = self._backward(inputs, None if shares is None else shares[index])
            total = {name: total[name] + term if name in total else term for name, term in terms.items()}
        seen = torch.cat([classes_present(target, IGNORE_INDEX) for target in targets]).any(dim=0)
        norm = self._norm() if want_norm else None
        outcome = self._update(total, seen)
        return outcome if outcome.grad_norm is not None else replace(outcome, grad_norm=norm)

    def _target(self, part: Batch) -> Tensor:
        """(N, H, W) int64 on the device."""
        if part.masks is None:
            raise TypeError("a training batch without labels")
        return part.masks.to(self.device, non_blocking=True).long()

    def _mixture(self, target: Tensor, position: int | None, part: int) -> Mixture:
        if self.mixer is None or position is None:
            return Mixture(target)
        return self.mixer(target, step=position, part=part)

    def _edges(self, part: Batch) -> Tensor | None:
        return None if part.edges is None else part.edges.to(self.device, non_blocking=True)

    def _shares(self, targets: Sequence[Tensor]) -> Tensor | None:
        """What each part weighs: its share of the labelled pixels of all processes, so that splitting changes nothing.

        Each part's loss is a mean over its own pixels; the loss of the whole batch is the mean over all.
        """
        if len(targets) == 1:
            return None
        counts = torch.stack([(target != IGNORE_INDEX).sum() for target in targets])
        counts = dist.sum_over_ranks(counts).float()
        return counts / counts.sum().clamp(min=1)

    def _no_sync(self) -> AbstractContextManager[None]:
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()

    def _images(self, part: Batch) -> Tensor:
        """(N, C, H, W), normalised."""
        images, boxes = part.images.to(self.device, non_blocking=True), part.boxes.to(self.device, non_blocking=True)
        return self.preprocess(images, boxes)

    def _backward(self, inputs: Sequence[Any], share: Tensor | None) -> dict[str, Tensor]:
        """Adds the gradients of one part; returns its terms, weighted by its share."""
        terms = self.model(*inputs)
        if share is not None:
            terms = {name: term * share for name, term in terms.items()}
        loss = torch.stack(list(terms.values())).sum()
        self.precision.scaler.scale(loss).backward()
        return {name: term.detach() for name, term in terms.items()}

    def _norm(self) -> Tensor:
        """Norm of all gradients, without the scaler's factor."""
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        return norm / self.precision.scaler.get_scale() if self.precision.scales else norm

    def _update(self, terms: dict[str, Tensor], seen: Tensor) -> StepOutcome:
        scaler, limit = self.precision.scaler, self.config.clip_grad_norm
        skip_bad = self.config.non_finite == "skip" and not self.precision.scales  # the scaler skips by itself
        norm = None
        if limit is not None or skip_bad:
            scaler.unscale_(self.optimizer)
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            norm = get_total_norm(gradients)
            if skip_bad and not math.isfinite(norm.item()):  # the one place that waits, and only if configured
                return StepOutcome(terms, seen, norm, skipped=True)
            if limit is not None:
                clip_grads_with_norm_(self.parameters, limit, norm)
        scaler.step(self.optimizer)
        scaler.update()
        return StepOutcome(terms, seen, norm)
