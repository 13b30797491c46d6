"""The last layer of a head."""

from torch import nn


class Classifier(nn.Sequential):
    """Drops whole channels in training, then maps each cell to class logits.

    Args:
        channels: C.
        num_classes: K.
        dropout: share of the channels dropped.

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, K, H, W).
    """

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1))
