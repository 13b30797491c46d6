"""What a head of masks does with its predictions."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import MaskHeadConfig
from segkit.models.heads.base import Head
from segkit.models.heads.masks.scores import class_scores


class MaskHead(Head):
    """A head that predicts a set of masks, each with a class; it defines ``predictions``.

    Its ``outputs`` are what :class:`~segkit.models.heads.masks.criterion.MaskCriterion` reads.
    """

    def __init__(self, config: MaskHeadConfig) -> None:
        super().__init__(config)
        self.deep_supervision = config.deep_supervision

    def predictions(self, features: Sequence[Tensor], *, every_layer: bool) -> list[tuple[Tensor, Tensor]]:
        """Class logits (N, Q, K + 1) and mask logits (N, Q, H_0, W_0), of the last layer or of each, the last last."""
        raise NotImplementedError

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self._scores(features, None)

    def predict(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        return self._scores(features, size)

    def outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        *earlier, last = self.predictions(features, every_layer=self.deep_supervision)
        outputs = dict(zip(("class_logits", "mask_logits"), last, strict=True))
        for i, (classes, masks) in enumerate(earlier):
            outputs |= {f"class_logits.{i}": classes, f"mask_logits.{i}": masks}
        return outputs

    def _scores(self, features: Sequence[Tensor], size: tuple[int, int] | None) -> Tensor:
        ((classes, masks),) = self.predictions(features, every_layer=False)
        return class_scores(classes, masks, size=size, align_corners=self.align_corners)


def start_projections(projections: nn.Module) -> None:
    """Draws the weights of the convolutions, if any, that bring maps to the queries' width."""
    for conv in projections.modules():
        if isinstance(conv, nn.Conv2d) and conv.bias is not None:
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)
