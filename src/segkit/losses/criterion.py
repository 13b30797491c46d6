"""The training loss: every loss of every output, by name."""

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.losses.bands import fits_in_one_band, terms_in_bands
from segkit.losses.terms import Loss
from segkit.ops.points import labels_at
from segkit.ops.resize import resize


class Criterion(nn.Module):
    """Losses of a segmentor's outputs; the total is the plain sum of what comes out.

    Args:
        losses: output -> loss name -> module ``(logits, target) -> scalar``.
        weights: output -> factor of all its losses.
        align_corners: how logits are resized to the target.
        own: a loss that the head brings along, ``(outputs, target) -> weighted terms by name``; None for most.

    Shape:
        - Input: outputs by name, each (N, K, h, w), or (N, K, P) at the points (N, P, 2) that "<output>.points" names
          (see :mod:`segkit.ops.points`); (N, H, W) target of class ids or ``IGNORE_INDEX``.
        - Output: weighted float32 scalars, named "<output>.<loss>".
    """

    def __init__(
        self,
        losses: Mapping[str, Mapping[str, nn.Module]],
        weights: Mapping[str, float],
        align_corners: bool,
        own: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.losses = {output: dict(modules) for output, modules in losses.items()}
        self.owned = nn.ModuleList(loss for modules in losses.values() for loss in modules.values())  # to move them
        self.weights = dict(weights)
        self.align_corners = align_corners
        self.own = own

    def forward(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        target = target.long()
        terms: dict[str, Tensor] = {}
        for output, weight in self.weights.items():
            logits, points = outputs[output].float(), outputs.get(f"{output}.points")
            found = self._dense(output, logits, target) if points is None else self._at(points, output, logits, target)
            terms |= {f"{output}.{name}": weight * loss for name, loss in found.items()}
        return terms if self.own is None else terms | self.own(outputs, target)

    def _dense(self, output: str, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of (N, K, h, w) logits, enlarged to the target in whole only for those that see more than a pixel.

        The logits are float32 before they are resized: no second, full-sized copy, and finer steps.
        """
        small = fits_in_one_band(logits, target)
        whole: Tensor | None = None
        found = {}
        for name, loss in self.losses[output].items():
            if isinstance(loss, Loss) and loss.pixelwise and not small:
                terms = terms_in_bands(loss.terms, logits, target, align_corners=self.align_corners)
                found[name] = loss.of_terms(terms)
                continue
            if whole is None:
                height, width = target.shape[-2:]
                whole = resize(logits, (height, width), align_corners=self.align_corners)
            found[name] = loss(whole, target)
        return found

    def _at(self, points: Tensor, output: str, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of (N, K, P) logits at points (N, P, 2)."""
        labels = labels_at(target, points, align_corners=self.align_corners).unsqueeze(2)
        return {name: loss(logits.unsqueeze(3), labels) for name, loss in self.losses[output].items()}
