"""The training loss: every loss of every output, by name."""

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.ops.resize import resize


class Criterion(nn.Module):
    """Losses of a segmentor's outputs; the total is the plain sum of what comes out.

    Args:
        losses: output -> loss name -> module ``(logits, target) -> scalar``.
        weights: output -> factor of all its losses.
        align_corners: how logits are resized to the target.
        own: a loss that the head brings along, ``(outputs, target) -> weighted terms by name``; None for most.

    Shape:
        - Input: outputs by name, each (N, K, h, w); (N, H, W) target of class ids or ``IGNORE_INDEX``.
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
        height, width = target.shape[-2:]
        terms: dict[str, Tensor] = {}
        for output, weight in self.weights.items():
            logits = outputs[output].float()  # before the resize: no second, full-sized copy, and finer steps
            logits = resize(logits, (height, width), align_corners=self.align_corners)
            for name, loss in self.losses[output].items():
                terms[f"{output}.{name}"] = weight * loss(logits, target)
        return terms if self.own is None else terms | self.own(outputs, target)
