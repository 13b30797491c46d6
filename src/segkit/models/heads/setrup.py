"""SETR's heads of convolutions and upsampling: PUP and naive (Zheng et al., 2021, arXiv:2012.15840)."""

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.config.heads import SETRUPConfig
from segkit.layers.classifier import Classifier
from segkit.layers.conv import ConvNormAct
from segkit.layers.norm import LayerNorm2d
from segkit.models.heads.base import Head
from segkit.ops.resize import resize
from segkit.registry import HEADS
from segkit.types import FeatureSpec


@HEADS.register(SETRUPConfig)
class SETRUP(Head):
    """Convolves and enlarges the deepest feature again and again, and classifies each cell.

    Args:
        config: the options.
        features: what the backbone returns; only the last is read.
        num_classes: K, the number of logits.

    Shape:
        - Input: one (N, C_i, H_i, W_i) for each of ``features``.
        - Output: (N, K, s * H_last, s * W_last), where s = scale_factor ** num_convs.
    """

    def __init__(self, config: SETRUPConfig, features: Sequence[FeatureSpec], num_classes: int) -> None:
        super().__init__(config)
        self.scale_factor, self.mode = config.scale_factor, config.upsample
        widths = [features[-1].channels, *[config.channels] * config.num_convs]
        self.norm = LayerNorm2d(widths[0], config.norm_eps) if config.input_norm else nn.Identity()
        self.convs = nn.ModuleList(
            ConvNormAct(widths[i], widths[i + 1], config.kernel_size) for i in range(config.num_convs)
        )
        self.classify = Classifier(widths[-1], num_classes, config.dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.norm(features[-1])
        for conv in self.convs:
            x = conv(x)
            size = (x.shape[2] * self.scale_factor, x.shape[3] * self.scale_factor)
            x = resize(x, size, align_corners=self.align_corners, mode=self.mode)
        return self.classify(x)
