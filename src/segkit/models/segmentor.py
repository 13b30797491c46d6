"""Backbone, neck and heads joined to one model."""

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.models.heads.base import Head
from segkit.models.necks.base import Neck
from segkit.types import StepInfo


class Segmentor(nn.Module):
    """Turns images into logits.

    Args:
        backbone: images (N, C, H, W) to features, finest first.
        head: features to logits.
        auxiliary: name -> (head, level): further heads for training, each seeing the features up to ``level``.
        neck: features to features, before any head; None leaves them.

    Attributes:
        align_corners: how the main logits are resized to the image.

    Shape:
        - Input: (N, C, H, W) normalised images.
        - Output: (N, K, h, w) logits at the head's own resolution.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        auxiliary: Mapping[str, tuple[Head, int]] | None = None,
        neck: Neck | None = None,
    ) -> None:
        super().__init__()
        auxiliary = auxiliary or {}
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.auxiliary = nn.ModuleDict({name: module for name, (module, _) in auxiliary.items()})
        self.levels = {name: level for name, (_, level) in auxiliary.items()}
        self.align_corners = head.align_corners

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.head.predict(self.features(images), (height, width))

    def outputs(self, images: Tensor, step: StepInfo | None = None) -> dict[str, Tensor]:
        """What training needs: the head's outputs (``main`` and any others) and each auxiliary head's logits.

        Args:
            images: (N, C, H, W), normalised.
            step: of a training; heads with a memory update it then, and only then.
        """
        features = self.features(images)
        outputs = self.head.outputs(features) if step is None else self.head.learn(features, step)
        for name, head in self.auxiliary.items():
            outputs[name] = head(features[: self.levels[name] + 1])
        return outputs

    def features(self, images: Tensor) -> list[Tensor]:
        """What the heads see, finest first."""
        features: list[Tensor] = self.backbone(images) if self.neck is None else self.neck.run(self.backbone, images)
        return features
