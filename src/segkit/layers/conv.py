"""Convolutions with normalisation and activation."""

from torch import Tensor, nn

from segkit.layers.act import build_act
from segkit.layers.norm import build_norm


class ConvNormAct(nn.Module):
    """Convolution, normalisation, activation; the size is kept at stride 1.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the kernel, or (height, width); odd.
        stride: step of the kernel.
        dilation: distance between the kernel's cells.
        groups: groups of channels that do not see each other.
        norm: whether to normalise, as :func:`~segkit.layers.defaults.layer_defaults` says.
        act: whether to activate, likewise.
        bias: whether the convolution adds a bias; None adds one just where no normalisation follows.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: bool = True,
        act: bool = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            (height, width),
            stride=stride,
            padding=(dilation * (height - 1) // 2, dilation * (width - 1) // 2),
            dilation=dilation,
            groups=groups,
            bias=not norm if bias is None else bias,
        )
        self.norm = build_norm(out_channels) if norm else nn.Identity()
        self.act = build_act(out_channels) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class DepthwiseSeparableConv(nn.Module):
    """A convolution of each channel by itself, then a 1x1 across channels (Chollet, 2017, arXiv:1610.02357).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the depthwise kernel; odd.
        stride: step of the depthwise kernel.
        dilation: distance between its cells.
        norm: whether both parts are normalised.
        act: whether both parts are activated.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = True,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=in_channels,
            norm=norm,
            act=act,
            bias=False,
        )
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, norm=norm, act=act, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))
