"""The training loss: every loss of every output, by name."""

from collections.abc import Mapping

from torch import Tensor, nn

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
            logits, labels = self._aligned(outputs[output].float(), target, outputs.get(f"{output}.points"))
            for name, loss in self.losses[output].items():
                terms[f"{output}.{name}"] = weight * loss(logits, labels)
        return terms if self.own is None else terms | self.own(outputs, target)

    def _aligned(self, logits: Tensor, target: Tensor, points: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits and labels of the same cells: (N, K, H, W) and (N, H, W), or (N, K, P, 1) and (N, P, 1).

        The logits are float32 before they are resized: no second, full-sized copy, and finer steps.
        """
        if points is not None:
            return logits.unsqueeze(3), labels_at(target, points, align_corners=self.align_corners).unsqueeze(2)
        height, width = target.shape[-2:]
        return resize(logits, (height, width), align_corners=self.align_corners), target
