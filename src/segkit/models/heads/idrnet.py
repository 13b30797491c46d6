"""IDRNet's head: relations of classes, learnt by leaving classes out (Jin et al., 2023, arXiv:2310.10755)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segkit.config.heads import IDRNetConfig
from segkit.dist import gather_over_ranks, rank, sum_over_ranks
from segkit.layers.classifier import ConvClassifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.pyramid import FusedPyramid
from segkit.layers.relation import Relation
from segkit.layers.topdown import TopDownStack
from segkit.models.heads.base import Head
from segkit.ops.classes import class_sums, class_vectors, flat_labels, spread
from segkit.ops.resize import resize, resize_like
from segkit.registry import HEADS
from segkit.types import FeatureSpec, StepInfo


class _Cells(NamedTuple):
    """What is known of each cell before classes are related.

    Attributes:
        pixels: (N, C, h, w).
        context: coarse context, None without one.
        coarse: (N, K, h, w) logits.
        known: (N, 2C, h, w): pixels, and the mean feature that training has met of the class they seem to be.
    """

    pixels: Tensor
    context: Tensor | None
    coarse: Tensor
    known: Tensor


@HEADS.register(IDRNetConfig)
class IDRNet(Head):
    """Classes of an image exchange features by relations; a relation is what leaving a class out costs another.

    Training leaves one class of each image out, and keeps how much that changes the loss of the others: mean and
    variance, a K x K matrix each. All statistics are those of all processes together.

    Args:
        config: the options.
        features: what the backbone returns, finest first; the last is read, and with a pyramid all.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, H_last, W_last), with a pyramid (N, K, H_0, W_0); ``outputs`` adds coarse logits, ``stage1``.
    """

    relation_mean: Tensor
    relation_var: Tensor
    times_left_out: Tensor
    class_means: Tensor

    def __init__(self, config: IDRNetConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.config = config
        width = config.channels
        self.reduce = ConvNormAct(features[-1].channels, width, 3)
        around = self._add_context([spec.channels for spec in features[:-1]])
        coarse_in = around.coarse if around.coarse and not config.coarse_by_pixels else width
        self.coarse = ConvClassifier(coarse_in, width, num_classes, config.dropout)
        self.relate = Relation(6 * width, 6 * width, config.attention_channels, width)
        self.classify = ConvClassifier(2 * width + around.final, width, num_classes, config.dropout)
        self.register_buffer("relation_mean", torch.eye(num_classes))
        self.register_buffer("relation_var", torch.eye(num_classes))
        self.register_buffer("times_left_out", torch.full((num_classes,), 1e-6))
        self.register_buffer("class_means", torch.zeros(num_classes, width))

    def _add_context(self, lower: Sequence[int]) -> "_Widths":
        """Builds the coarse context, and returns its widths."""
        config = self.config
        self.context: nn.Module | None = None
        self.refine: nn.Module | None = None
        self.pyramid: TopDownStack | None = None
        if config.context is None:
            return _Widths(0, 0)
        width = config.channels if config.pyramid_channels is None else config.pyramid_channels
        self.context = FusedPyramid(config.context, config.channels, width, config)
        coarse = final = width
        if config.pyramid_channels is not None and (config.pyramid_first or config.pyramid_last):
            self.pyramid = TopDownStack(lower, width, config.pyramid_out_channels, align_corners=config.align_corners)
            final = self.pyramid.out_channels
            coarse = final if config.pyramid_first else width
        if config.refine is not None:
            refined = coarse if config.refine == "after" else width
            self.refine = Relation(refined, refined, config.context_attention_channels, refined)
        return _Widths(coarse, final)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.outputs(features)["main"]

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        cells = self._look(features)
        context = self._finest(features, cells.context)
        return {"main": self._predict(cells, context, left_out=None), "stage1": cells.coarse}

    def learn(self, features: Sequence[Tensor], step: StepInfo) -> dict[str, Tensor]:
        cells = self._look(features)
        context = self._finest(features, cells.context)
        dropped = self._dropout_mask(cells.pixels)
        main = self._predict(cells, context, left_out=None, mask=dropped)
        self.remember(cells, context, main, step, mask=dropped)
        return {"main": main, "stage1": cells.coarse}

    def _look(self, features: Sequence[Tensor]) -> _Cells:
        config = self.config
        pixels = self.reduce(features[-1])
        context = None if self.context is None else self.context(pixels)
        if context is not None and self.refine is not None and config.refine == "before":
            context = self.refine(context, context)
        if context is not None and self.pyramid is not None and config.pyramid_first:
            context = self.pyramid(features[:-1], context)
        coarse = self.coarse(pixels if context is None or config.coarse_by_pixels else context)
        if coarse.shape[-2:] != pixels.shape[-2:]:
            coarse = resize_like(coarse, pixels, align_corners=self.align_corners)
        if context is not None and self.refine is not None and config.refine == "after":
            context = self.refine(context, context)
        met = F.embedding(coarse.argmax(dim=1), self.class_means.clone()).movedim(-1, 1)  # a copy: written in training
        return _Cells(pixels, context, coarse, torch.cat([pixels, met.to(pixels.dtype)], dim=1))

    def _finest(self, features: Sequence[Tensor], context: Tensor | None) -> Tensor | None:
        """The context that the final logits see."""
        if context is None or self.pyramid is None or self.config.pyramid_first:
            return context
        return self.pyramid(features[:-1], context)

    def _predict(
        self, cells: _Cells, context: Tensor | None, *, left_out: Tensor | None, mask: Tensor | None = None
    ) -> Tensor:
        """The final logits.

        Args:
            cells: of the image.
            context: from :meth:`_finest`.
            left_out: (N,) a class of each image that relates to none; None relates all.
            mask: from :meth:`_dropout_mask`; None draws one.
        """
        vectors, labels = class_vectors(cells.known, cells.coarse)  # (N, K, 2C), (N, h, w)
        present = _classes_of(labels, cells.coarse.shape[1])  # (N, K)
        if left_out is not None:
            present = present.scatter(1, left_out[:, None], value=False)
        mean = self.relation_mean.masked_fill(self.relation_mean <= 0, -1e16)  # whom it never helped counts last
        mixed = (_exchange(vectors, relation, present) for relation in (mean, self.relation_var.clone()))
        related = torch.cat([cells.known, *(spread(x, labels) for x in mixed)], dim=1)
        parts = [cells.pixels, self.relate(related, related)]
        if context is not None:
            if context.shape[-2:] != cells.pixels.shape[-2:]:
                parts = [resize_like(x, context, align_corners=self.align_corners) for x in parts]
            parts.append(context)
        x = self.classify.conv(torch.cat(parts, dim=1))
        drop, classify = self.classify.classify
        return classify(drop(x) if mask is None else x * mask)

    def _dropout_mask(self, like: Tensor) -> Tensor:
        """(N, C, 1, 1) factors of channels: the predictions that are compared drop the same ones."""
        ones = like.new_ones(len(like), self.config.channels, 1, 1)
        return F.dropout2d(ones, self.config.dropout, self.training)

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Uniform numbers in [0, 1) that choose the class left out of each image: (count,) float64."""
        return torch.rand(count, dtype=torch.float64, device=device)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def remember(self, cells: _Cells, context: Tensor | None, logits: Tensor, step: StepInfo, *, mask: Tensor) -> None:
        """Updates the relations by what leaving a class out costs, and the classes' mean features.

        Args:
            cells: of the images.
            context: from :meth:`_finest`.
            logits: the prediction with all classes.
            step: its target has the size of the images.
            mask: the channels that ``logits`` dropped.
        """
        present = _classes_of(cells.coarse.argmax(dim=1), cells.coarse.shape[1])
        left_out = self._choose(present)
        with _kept_statistics(self.relate, self.classify):
            without = self._predict(cells, context, left_out=left_out, mask=mask)
        with torch.autocast(logits.device.type, enabled=False):
            after, before = self._loss_moments(without, step.target), self._loss_moments(logits, step.target)
            self._relate_classes(left_out, after.mean - before.mean, after.var - before.var, before.counts)
            self._meet(cells.pixels.float(), step.target)

    def _choose(self, present: Tensor) -> Tensor:
        """One of the classes of each image, the rarer the less often it was chosen: (N, K) bool -> (N,).

        One image after the other, those of all processes in the order of their ranks, as each choice counts for the
        next.
        """
        everyone = gather_over_ranks(present.double())
        draws = gather_over_ranks(self.draw(len(present), present.device))
        times = self.times_left_out.double()
        chosen = []
        for classes, draw in zip(everyone, draws, strict=True):
            bounds = (classes / times).cumsum(dim=0)
            place = torch.minimum(draw * bounds[-1], bounds[-1].nextafter(torch.zeros_like(bounds[-1])))
            choice = (bounds <= place).sum()
            times = times.scatter_add(0, choice[None], torch.ones_like(times[:1]))
            chosen.append(choice)
        self.times_left_out.copy_(times)
        return torch.stack(chosen)[rank() * len(present) :][: len(present)]

    def _loss_moments(self, logits: Tensor, target: Tensor) -> "_Moments":
        """Mean and variance of the cross entropy over the pixels of each class, image by image."""
        size = (target.shape[-2], target.shape[-1])
        resized = resize(logits.float(), size, align_corners=self.align_corners)
        labels, valid = flat_labels(target, logits.shape[1])
        values = F.cross_entropy(resized.flatten(2), labels, reduction="none")  # (N, P)
        zeros = values.new_zeros(logits.shape[:2])
        counts = zeros.scatter_add(1, labels, valid)
        mean = zeros.scatter_add(1, labels, values * valid) / counts.clamp(min=1)
        squares = (values - mean.gather(1, labels)) ** 2 * valid
        return _Moments(mean, zeros.scatter_add(1, labels, squares) / counts.clamp(min=1), counts)

    def _relate_classes(self, left_out: Tensor, mean: Tensor, var: Tensor, counts: Tensor) -> None:
        """Moves relations: (N,) classes, and (N, K) what leaving them out changed, over ``counts`` pixels."""
        chosen = F.one_hot(left_out, counts.shape[1]).float()
        chosen, mean, var, counts = (gather_over_ranks(x) for x in (chosen, mean, var, counts))
        for relation, change, seen in (
            (self.relation_mean, mean, counts > 0),
            (self.relation_var, var, counts > 1),
        ):
            hits = chosen[:, :, None] * seen[:, None, :]  # (N, K, K)
            relation.copy_(_moved(relation, change[:, None], hits, self.config.relation_momentum))

    def _meet(self, pixels: Tensor, target: Tensor) -> None:
        """Moves the classes' mean features towards those of their pixels."""
        own = class_sums(pixels, target, len(self.class_means), align_corners=self.align_corners)
        joined = sum_over_ranks(torch.cat([own.sums, own.counts[:, None]], dim=1))
        counts = joined[:, -1:]
        moved = self.class_means.lerp(joined[:, :-1] / counts.clamp(min=1), self.config.class_momentum)
        self.class_means.copy_(torch.where(counts > 0, moved, self.class_means))


class _Widths(NamedTuple):
    """Channels of the coarse context: where coarse logits read it, and where the final ones do; 0 without one."""

    coarse: int
    final: int


class _Moments(NamedTuple):
    """Of each image and class (N, K): mean and variance of the loss, and how many pixels there are."""

    mean: Tensor
    var: Tensor
    counts: Tensor


def _classes_of(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes an image has: (N, h, w) -> (N, K) bool."""
    none = torch.zeros(len(labels), num_classes, dtype=torch.bool, device=labels.device)
    return none.scatter(1, labels.flatten(1), value=True)


def _exchange(vectors: Tensor, relation: Tensor, present: Tensor) -> Tensor:
    """Mixes vectors (N, K, C) of the present classes (N, K) by the softmax of each one's relations (K, K) to them."""
    lowest = torch.finfo(relation.dtype).min  # infinite: NaN where none is present
    shares = relation.expand(len(vectors), -1, -1).masked_fill(~present[:, None], lowest).softmax(dim=2)
    shares = shares * (present[:, None] & present[:, :, None])
    return shares.to(vectors.dtype) @ vectors


def _moved(old: Tensor, new: Tensor, hits: Tensor, momentum: float) -> Tensor:
    """``old.lerp(new, momentum)`` for one image after the other, where it hits, all at once.

    Args:
        old: (K, K).
        new: broadcasts to (N, K, K).
        hits: (N, K, K), 1 or 0.
        momentum: share of an image.
    """
    later = hits.flip(0).cumsum(dim=0).flip(0) - hits  # an image fades with each that follows
    fading = (1 - momentum) ** later
    return old * (1 - momentum) ** hits.sum(dim=0) + (momentum * fading * hits * new).sum(dim=0)


@contextmanager
def _kept_statistics(*modules: nn.Module) -> Iterator[None]:
    """Batch normalisation inside works as ever, but its running statistics stay."""
    norms = [m for module in modules for m in module.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
