"""What transformers that keep one resolution share: patches in, tokens through the blocks, maps out."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.models import checkpoint
from torch import Tensor

from segkit.config.backbones import PlainTransformerConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.positions import Size, resize_positions, square
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.ops.sizes import whole


class PlainTransformer(TimmBackbone):
    """A timm transformer with blocks of one width, for images of any size.

    Args:
        config: the options.
        model: timm's network; its position embeddings are resized as images ask for it.
        mode: how they are resized, ``bilinear`` or ``bicubic``.
    """

    def __init__(self, config: PlainTransformerConfig, model: Any, mode: str) -> None:
        self.mode = mode
        self.ends_in_norm = config.final_norm and config.depth - 1 in config.out_indices
        set_layer_norm_eps(model, config.norm_eps)
        model.patch_embed.strict_img_size = False
        model.patch_embed.dynamic_img_pad = True  # zeros at the right and the bottom
        super().__init__(config, model, config.out_indices)

    def _maps(self, images: Tensor) -> Mapping[int, Tensor]:
        high, wide = self.model.patch_embed.patch_size
        size = whole(images.shape[2], high) // high, whole(images.shape[3], wide) // wide
        x = self._tokens(images, size)
        last, maps = len(self.model.blocks) - 1, {}
        for index, block in enumerate(self.model.blocks):
            x = checkpoint(self._run, block, x, size) if self.model.grad_checkpointing else self._run(block, x, size)
            if index in self.taps:
                normed = self.model.norm(x) if self.ends_in_norm and index == last else x
                maps[index] = self._map(normed, size)
        return maps

    def _tokens(self, images: Tensor, size: Size) -> Tensor:
        """What the first block sees: (N, prefix + L, D)."""
        x = self.model.patch_embed(images)
        if self.model.num_prefix_tokens:
            x = torch.cat([self.model.cls_token.expand(len(x), -1, -1), x], dim=1)
        if self.model.pos_embed is not None:
            x = x + self._positions(size)
        return self.model.pos_drop(x)

    def _positions(self, size: Size) -> Tensor:
        prefix, known = self.model.num_prefix_tokens, self.model.patch_embed.grid_size
        return resize_positions(self.model.pos_embed, known, size, prefix=prefix, mode=self.mode)

    def _run(self, block: Any, x: Tensor, size: Size) -> Tensor:
        return block(x)

    def _map(self, tokens: Tensor, size: Size) -> Tensor:
        """(N, prefix + L, D) -> (N, D, rows, columns)."""
        return tokens[:, self.model.num_prefix_tokens :].unflatten(1, size).permute(0, 3, 1, 2).contiguous()

    def _cut(self) -> None:
        self.model.prune_intermediate_layers(sorted(set(self.taps)), prune_norm=not self.ends_in_norm, prune_head=True)

    def adapt_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        name, prefix = "model.pos_embed", self.model.num_prefix_tokens
        positions, size = state.get(name), self.model.patch_embed.grid_size
        if self.model.pos_embed is None or positions is None or positions.ndim != 3:
            return state
        before = square(positions.shape[1] - prefix)
        if before is None or positions.shape[1] - prefix == size[0] * size[1]:
            return state
        return state | {name: resize_positions(positions, before, size, prefix=prefix, mode=self.mode)}
