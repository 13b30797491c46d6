"""Twins: PCPVT and SVT (Chu et al., 2021, arXiv:2104.13840)."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from timm.models import checkpoint
from timm.models.twins import LocallyGroupedAttn
from torch import Tensor, nn

from segkit.config.backbones import PCPVTConfig, SVTConfig, TwinsConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES

_PCPVT_WEIGHTS: dict[Any, tuple[str, str]] = {  # (embed_dims, depths) -> name, tag
    ((64, 128, 320, 512), (3, 4, 6, 3)): ("twins_pcpvt_small", "in1k"),
    ((64, 128, 320, 512), (3, 4, 18, 3)): ("twins_pcpvt_base", "in1k"),
    ((64, 128, 320, 512), (3, 8, 27, 3)): ("twins_pcpvt_large", "in1k"),
}
_SVT_WEIGHTS: dict[Any, tuple[str, str]] = {
    ((64, 128, 256, 512), (2, 2, 10, 4)): ("twins_svt_small", "in1k"),
    ((96, 192, 384, 768), (2, 2, 18, 2)): ("twins_svt_base", "in1k"),
    ((128, 256, 512, 1024), (2, 2, 18, 2)): ("twins_svt_large", "in1k"),
}


class Twins(TimmBackbone):
    """What the two share: stages of patches, blocks, and a convolution for positions behind the first block.

    Args:
        config: the options.
        model: timm's network.
    """

    def __init__(self, config: TwinsConfig, model: Any) -> None:
        model.stage_norms = nn.ModuleList(
            nn.LayerNorm(width) if config.stage_norm else nn.Identity() for width in config.embed_dims
        )
        set_layer_norm_eps(model, config.norm_eps)
        super().__init__(config, model, config.out_indices)

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        x, maps = images, {}
        for stage in range(len(self.model.blocks)):
            x = self._stage(stage, x)
            if stage in self.taps:
                maps[stage] = x
        return maps

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W'), the size rounded up."""
        model = self.model
        embed = model.patch_embeds[stage]
        (rows, columns), (height, width) = embed.patch_size, x.shape[-2:]
        tokens, size = embed(F.pad(x, (0, -width % columns, 0, -height % rows)))  # (N, L, C')
        tokens = model.pos_drops[stage](tokens)
        for index, block in enumerate(model.blocks[stage]):
            tokens = checkpoint(block, tokens, size) if model.grad_checkpointing else block(tokens, size)
            if index == 0:
                tokens = model.pos_block[stage](tokens, size)
        tokens = model.stage_norms[stage](tokens)
        return tokens.unflatten(1, size).permute(0, 3, 1, 2).contiguous()

    def _cut(self) -> None:
        super()._cut()
        self.model.stage_norms = self.model.stage_norms[: len(self.model.blocks)]

    def _checkpoint(self) -> None:
        self.model.grad_checkpointing = True


@BACKBONES.register(PCPVTConfig)
class PCPVT(Twins):
    """Twins-PCPVT for images of any size; every map is padded with zeros to whole patches.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has ``embed_dims[i]`` channels, and its size is rounded up.
    """

    def __init__(self, config: PCPVTConfig) -> None:
        usual = config.mlp_ratios == (8.0, 8.0, 4.0, 4.0) and config.num_heads == (1, 2, 5, 8)
        name, tag = (usual and _PCPVT_WEIGHTS.get((config.embed_dims, config.depths))) or ("twins_pcpvt_small", None)
        super().__init__(config, create_model(config, name, tag, **_arguments(config)))


@BACKBONES.register(SVTConfig)
class SVT(Twins):
    """Twins-SVT for images of any size; every map is padded with zeros to whole patches, and to whole windows.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has ``embed_dims[i]`` channels, and its size is rounded up.
    """

    def __init__(self, config: SVTConfig) -> None:
        usual = config.window_sizes == (7, 7, 7, 7) and config.mlp_ratios == (4.0, 4.0, 4.0, 4.0)
        name, tag = (usual and _SVT_WEIGHTS.get((config.embed_dims, config.depths))) or ("twins_svt_small", None)
        model = create_model(config, name, tag, wss=config.window_sizes, **_arguments(config))
        for module in model.modules():
            if isinstance(module, LocallyGroupedAttn):
                module.__class__ = _MaskedWindows
        super().__init__(config, model)


class _MaskedWindows(LocallyGroupedAttn):
    """Keeps what pads a map from what it pads, as the authors' code does: only where both sides are padded.

    With one side padded that code masks nothing (its mask is then 1 all over), and the published weights know it so.
    """

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        (height, width), side = size, self.ws
        below, right = -height % side, -width % side
        padded = F.pad(x.unflatten(1, size), (0, 0, 0, right, 0, below))  # (N, H', W', C)
        mask = None
        if below and right:
            inside = padded.new_zeros(1, *padded.shape[1:3], 1)
            inside[:, :height, :width] = 1
            inside = _windows(inside, side)[0, ..., 0]  # (windows, cells)
            mask = (inside[:, :, None] == inside[:, None, :]).unsqueeze(1)  # (windows, 1, cells, cells)
        windows = _windows(padded, side)  # (N, windows, cells, C)
        query, key, value = self.qkv(windows).unflatten(-1, (3, self.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)
        dropout = self.attn_drop.p if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        cells = attended.transpose(2, 3).flatten(-2).unflatten(2, (side, side))  # (N, windows, side, side, C)
        grid = cells.unflatten(1, ((height + below) // side, (width + right) // side)).transpose(2, 3)
        joined = grid.flatten(3, 4).flatten(1, 2)[:, :height, :width]  # (N, H, W, C)
        return self.proj_drop(self.proj(joined.flatten(1, 2)))


def _windows(x: Tensor, side: int) -> Tensor:
    """(N, rows * side, columns * side, C) -> (N, rows * columns, side * side, C)."""
    split = x.unflatten(2, (-1, side)).unflatten(1, (-1, side))  # (N, rows, side, columns, side, C)
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _arguments(config: TwinsConfig) -> dict[str, Any]:
    return {
        "embed_dims": config.embed_dims,
        "depths": config.depths,
        "num_heads": config.num_heads,
        "mlp_ratios": config.mlp_ratios,
        "sr_ratios": config.sr_ratios,
        "pos_drop_rate": config.dropout,
        "proj_drop_rate": config.dropout,
        "attn_drop_rate": config.attention_dropout,
        "drop_path_rate": config.drop_path,
    }
