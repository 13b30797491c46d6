"""TensorFlow's "same" padding, in a form whose sizes exporters and compilers can follow."""

import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution that pads for an output of ceil(size / stride), with the odd row and column at the far end.

    timm finds the padding from the size at hand: five mentions of the size in that of the output, so thousands behind
    a few strides, on which ``torch.export`` spends minutes. Here the padding is the same for all sizes, and of an even
    side, which has one cell too many of it then, the first is left out.

    Args:
        conv: whose weights it takes; of odd kernel size and a stride of at most 2 (see :func:`fits`).

    Shape:
        - Input: (N, C, H, W).
        - Output: (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            (conv.kernel_size[0], conv.kernel_size[1]),
            stride=(conv.stride[0], conv.stride[1]),
            dilation=(conv.dilation[0], conv.dilation[1]),
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        (top, left), (height, width) = (self._border(i) for i in (0, 1)), x.shape[-2:]
        x = F.pad(x, (left, left + 1, top, top + 1))
        for dim, size, border in ((2, height, top), (3, width, left)):
            first = 1 - size % 2 if self.stride[dim - 2] == 2 and border else 0
            x = x.narrow(dim, first, size + 2 * border)
        return super().forward(x)

    def _border(self, index: int) -> int:
        """Cells on either end that keep the size at stride 1."""
        return self.dilation[index] * (self.kernel_size[index] - 1) // 2


def fits(conv: nn.Conv2d) -> bool:
    """Whether a :class:`SameConv2d` gives the same."""
    return all(side % 2 and stride in (1, 2) for side, stride in zip(conv.kernel_size, conv.stride, strict=True))


def simplify_same_padding(model: nn.Module) -> None:
    """Replaces timm's convolutions of this kind; names of parameters do not change."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Conv2dSame) and fits(child):
                setattr(parent, name, SameConv2d(child))
