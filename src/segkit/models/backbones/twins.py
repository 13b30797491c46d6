"""Twins: PCPVT and SVT (Chu et al., 2021, arXiv:2104.13840)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import checkpoint
from timm.models.twins import LocallyGroupedAttn
from torch import Tensor, nn

from segkit.config.backbones import PCPVTConfig, SVTConfig, TwinsConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.ops.sizes import joined_windows, pad_cells_to_whole, pad_to_whole, windows_of
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
        tokens, size = embed(pad_to_whole(x, embed.patch_size))  # (N, L, C')
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
        (height, width), sides = size, (self.ws, self.ws)
        padded = pad_cells_to_whole(x.unflatten(1, size), sides)
        windows = windows_of(padded, sides)  # (N, rows, columns, cells, C)
        cells = windows.flatten(0, 2)
        query, key, value = self.qkv(cells).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.attn_drop.p if self.training else 0.0
        seen = _seen(size, padded, sides).repeat(x.shape[0], 1, 1).unsqueeze(1)  # (windows, 1, cells, cells)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout)
        joined = joined_windows(attended.transpose(1, 2).flatten(2).view_as(windows), sides)
        return self.proj_drop(self.proj(joined[:, :height, :width].flatten(1, 2)))


def _seen(size: tuple[int, int], padded: Tensor, sides: tuple[int, int]) -> Tensor:
    """Which cells of a window see each other: (windows, cells, cells). No branch, so that any size can be exported."""
    inside = [
        torch.arange(whole, device=padded.device) < length
        for whole, length in zip(padded.shape[1:3], size, strict=True)
    ]
    one_side_is_whole = inside[0].all() | inside[1].all()
    cells = windows_of((inside[0][:, None] & inside[1])[None, :, :, None], sides).flatten(0, 2)[:, :, 0]
    return (cells[:, :, None] == cells[:, None, :]) | one_side_is_whole


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
