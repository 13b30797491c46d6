"""The last layer of a head."""

from torch import nn

from segkit.layers.conv import ConvNormAct


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


class ConvClassifier(nn.Sequential):
    """A convolution before the :class:`Classifier`.

    Args:
        in_channels: C.
        channels: width of the convolution's result.
        num_classes: K.
        dropout: share of the result's channels dropped.
        kernel_size: side of the kernel; odd.

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, K, H, W).
    """

    def __init__(
        self, in_channels: int, channels: int, num_classes: int, dropout: float, *, kernel_size: int = 1
    ) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, channels, kernel_size)
        self.classify = Classifier(channels, num_classes, dropout)
