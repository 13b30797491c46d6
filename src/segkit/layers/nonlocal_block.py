"""The non-local block (Wang et al., 2018, arXiv:1711.07971), and its disentangled form (arXiv:2006.06668)."""

from typing import Literal

from torch import Tensor, nn

from segkit.layers.act import build_act
from segkit.layers.conv import ConvNormAct
from segkit.layers.relation import attend

NonLocalMode = Literal["embeddedgaussian", "gaussian", "dotproduct", "concatenation"]


class NonLocalBlock(nn.Module):
    """Adds to each cell a mean over all cells, weighted by how they relate: (N, C, H, W) -> the same.

    Args:
        channels: C.
        reduction: C over the width in which cells are related.
        mode: how: by the softmax of embedded products, or of plain ones, by products, or by a layer on pairs.
        scaled: whether embedded products are divided by the square root of their width.
    """

    def __init__(self, channels: int, reduction: int, mode: NonLocalMode, *, scaled: bool) -> None:
        super().__init__()
        width = max(channels // reduction, 1)
        self.mode = mode
        self.scale = width**-0.5 if scaled and mode == "embeddedgaussian" else 1.0
        self.value = nn.Conv2d(channels, width, 1)
        self.query: nn.Module = nn.Identity()
        self.key: nn.Module = nn.Identity()
        if mode != "gaussian":
            self.query, self.key = nn.Conv2d(channels, width, 1), nn.Conv2d(channels, width, 1)
        if mode == "concatenation":
            self.pair = nn.Conv2d(2 * width, 1, 1, bias=False)
            self.pair_act = build_act(1)
        self.out = ConvNormAct(width, channels, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.context(x))

    def context(self, x: Tensor) -> Tensor:
        """What each cell learns from all: (N, width, H, W)."""
        return self.related(self.query(x), self.key(x), self.value(x))

    def related(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Means of ``value``, weighted by the products of ``query`` and ``key``; all are maps."""
        if self.mode in ("embeddedgaussian", "gaussian"):
            return attend(query, key, value, scale=self.scale)
        q, k, v = query.flatten(2), key.flatten(2), value.flatten(2)  # (N, width, cells)
        scores = self._pairs(q, k) if self.mode == "concatenation" else q.transpose(1, 2) @ k
        context = (scores / v.shape[2]) @ v.transpose(1, 2)
        return context.transpose(1, 2).unflatten(2, query.shape[-2:])

    def _pairs(self, query: Tensor, key: Tensor) -> Tensor:
        """The layer on all pairs, (N, cells, cells), without stacking them: it is linear before its activation."""
        of_query, of_key = self.pair.weight.flatten(1).chunk(2, dim=1)  # (1, width) each
        scores = (of_query @ query).transpose(1, 2) + of_key @ key
        return self.pair_act(scores[:, None])[:, 0]


class DisentangledNonLocalBlock(NonLocalBlock):
    """Relates cells by how they differ from the mean, and adds one vector of the image beside.

    Args:
        channels: C.
        reduction: C over the width in which cells are related.
        mode: as in :class:`NonLocalBlock`.
        scaled: whether embedded products are divided by the square root of their width.
        temperature: what embedded products are divided by before the softmax.
    """

    def __init__(self, channels: int, reduction: int, mode: NonLocalMode, *, scaled: bool, temperature: float) -> None:
        super().__init__(channels, reduction, mode, scaled=scaled)
        if mode == "embeddedgaussian":
            self.scale /= temperature
        self.mask = nn.Conv2d(channels, 1, 1)

    def context(self, x: Tensor) -> Tensor:
        value = self.value(x)
        shares = self.mask(x).flatten(2).softmax(dim=2)  # (N, 1, cells)
        unary = (shares @ value.flatten(2).transpose(1, 2)).transpose(1, 2).unsqueeze(3)
        query, key = (y - y.mean(dim=(2, 3), keepdim=True) for y in (self.query(x), self.key(x)))
        return self.related(query, key, value) + unary
