"""The loss of a set of masks: queries are matched with true masks, then judged (arXiv:2107.06278, 2112.01527)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit import dist
from segkit.config.heads import MaskHeadConfig
from segkit.models.heads.masks.costs import Cost, mask_losses, pair_costs
from segkit.models.heads.masks.truth import Match, Truth, matches_of, truths_of

_SKIP = -100
"""Label of queries of images without labels, inside this file."""


class Compared(NamedTuple):
    """Predicted and true masks over the same places.

    Attributes:
        logits: (M, P), or (Q, P) before matching.
        truth: (M, P), 0 to 1.
        weights: how much each place counts: (M, P), or (P,) before matching; None counts all in full.
    """

    logits: Tensor
    truth: Tensor
    weights: Tensor | None


class Places(Protocol):
    """Where masks are compared, in matching and in the loss; one for each layer and step, so that it may draw them."""

    def to_match(self, logits: Tensor, truth: Truth, image: int) -> Compared:
        """All of an image's predictions (Q, h, w), and its truth."""
        ...

    def to_judge(self, logits: Tensor, truth: Tensor, valid: Tensor | None) -> Compared:
        """Matched predictions (M, h, w) of the batch, with masks (M, H, W) bool and their valid pixels (M, H, W)."""
        ...


class MaskCriterion(nn.Module):
    """Matches queries with true masks, one to one, at least cost; then class, mask and Dice loss, by layer.

    Ignored pixels count in no cost, unless ``count_ignored``; an image without a label in no term at all.

    Args:
        config: factors of the terms, which are those of the matching too.
        num_classes: K; class K is "no object".
        cost: of each place of a mask.

    Shape:
        - Input: outputs ``class_logits`` (N, Q, K + 1) and ``mask_logits`` (N, Q, h, w) of the last layer, and of
          earlier ones, to be judged likewise, as ``class_logits.0``, ...; target (N, H, W) int64.
        - Output: weighted float32 scalars: main.class, main.mask, main.dice, layer0.class, ...
    """

    def __init__(self, config: MaskHeadConfig, num_classes: int, cost: Cost) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.cost = cost

    def places(self, truths: Sequence[Truth], num_masks: int, device: torch.device) -> Places:
        """Where to compare one layer's ``num_masks`` matched masks with the truth of the batch."""
        raise NotImplementedError

    def match(self, costs: Sequence[Tensor]) -> list[Match]:
        """Which query answers for which mask, of (Q, M) costs of each image of each layer."""
        return matches_of(costs)

    def forward(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        truths = truths_of(target.long(), self.num_classes, count_ignored=self.config.count_ignored)
        names = {"main": ""} | {f"layer{i}": f".{i}" for i in range(len(outputs)) if f"class_logits.{i}" in outputs}
        layers = [
            (outputs[f"class_logits{end}"].float(), outputs[f"mask_logits{end}"].float()) for end in names.values()
        ]
        num_queries = layers[0][0].shape[1]
        found = [min(len(truth.labels), num_queries) for truth in truths]
        # In the order of the layers: what they draw, and one wait for all of them.
        places = [self.places(truths, sum(found), target.device) for _ in layers]
        costs = [
            cost for layer, place in zip(layers, places, strict=True) for cost in self._costs(*layer, truths, place)
        ]
        matches = iter(self.match(costs))
        totals = self._totals(truths, found, num_queries, target.device)
        terms: dict[str, Tensor] = {}
        for name, layer, place in zip(names, layers, places, strict=True):
            values = self._terms(*layer, truths, [next(matches) for _ in truths], place, totals)
            terms |= {f"{name}.{kind}": value for kind, value in values.items()}
        return terms

    @torch.no_grad()
    def _costs(
        self, class_logits: Tensor, mask_logits: Tensor, truths: Sequence[Truth], places: Places
    ) -> list[Tensor]:
        """(Q, M) for each image."""
        config = self.config
        costs = []
        for i, truth in enumerate(truths):
            if not len(truth.labels):  # resizing and sampling refuse to do nothing
                costs.append(mask_logits.new_zeros(mask_logits.shape[1], 0))
                continue
            mask, dice = pair_costs(*places.to_match(mask_logits[i], truth, i), self.cost)
            probs = class_logits[i].softmax(dim=1)[:, truth.labels]
            costs.append(config.mask_weight * mask - config.class_weight * probs + config.dice_weight * dice)
        return costs

    def _totals(
        self, truths: Sequence[Truth], found: Sequence[int], num_queries: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """What the sums over queries and over masks are divided by: means over processes, as DDP takes of gradients."""
        empty = sum(num_queries - count for count, truth in zip(found, truths, strict=True) if truth.labelled)
        num_masks = sum(len(truth.labels) for truth in truths)
        own = torch.tensor([sum(found) + self.config.no_object_weight * empty, num_masks], device=device)
        queries, masks = dist.mean_over_ranks(own).unbind()
        return torch.where(queries > 0, queries, 1), masks.clamp(min=1)

    def _terms(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        truths: Sequence[Truth],
        matches: Sequence[Match],
        places: Places,
        totals: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """The three weighted terms of one layer."""
        config = self.config
        classes = self._class_sum(class_logits, truths, matches) / totals[0]
        picked = torch.cat([mask_logits[i, match.queries] for i, match in enumerate(matches)])  # (M, h, w)
        if not len(picked):  # resizing and sampling refuse an empty batch
            nothing = picked.sum()
            return {"class": config.class_weight * classes, "mask": nothing, "dice": nothing}
        masks = torch.cat([truth.masks[match.masks] for truth, match in zip(truths, matches, strict=True)])
        valid = None
        if truths[0].valid is not None:
            repeats = torch.tensor([len(match.queries) for match in matches], device=masks.device)
            stacked = torch.stack([truth.valid for truth in truths if truth.valid is not None])
            valid = stacked.repeat_interleave(repeats, dim=0, output_size=len(masks))
        mask, dice = mask_losses(*places.to_judge(picked, masks, valid), self.cost)
        return {
            "class": config.class_weight * classes,
            "mask": config.mask_weight * mask.sum() / totals[1],
            "dice": config.dice_weight * dice.sum() / totals[1],
        }

    def _class_sum(self, logits: Tensor, truths: Sequence[Truth], matches: Sequence[Match]) -> Tensor:
        """Weighted cross entropies of all queries, summed; one without a mask should say that there is no object."""
        target = torch.full(logits.shape[:2], self.num_classes, device=logits.device)
        for i, (truth, match) in enumerate(zip(truths, matches, strict=True)):
            target[i, match.queries] = truth.labels[match.masks]
            if not truth.labelled:
                target[i] = _SKIP
        weights = logits.new_ones(self.num_classes + 1)
        weights[-1] = self.config.no_object_weight
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), weights, ignore_index=_SKIP, reduction="sum")
