"""Mix Vision Transformer, the encoder of SegFormer (Xie et al., 2021, arXiv:2105.15203)."""

from segkit.config.backbones import MixVisionTransformerConfig
from segkit.models.backbones.norms import set_layer_norm_eps
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES


@BACKBONES.register(MixVisionTransformerConfig)
class MixVisionTransformer(TimmBackbone):
    """timm's PVT v2 with the widths and ratios of SegFormer, which makes it the same network.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has embed_dim * num_heads[i] channels, and its size is rounded up.
    """

    def __init__(self, config: MixVisionTransformerConfig) -> None:
        model = create_model(
            config,
            "pvt_v2_b0",
            None,  # timm's are of other ratios
            embed_dims=tuple(config.embed_dim * heads for heads in config.num_heads),
            depths=config.depths,
            num_heads=config.num_heads,
            sr_ratios=config.sr_ratios,
            mlp_ratios=(config.mlp_ratio,) * 4,
            qkv_bias=config.qkv_bias,
            proj_drop_rate=config.dropout,
            attn_drop_rate=config.attention_dropout,
            drop_path_rate=config.drop_path,
        )
        set_layer_norm_eps(model, config.norm_eps)
        super().__init__(config, model, config.out_indices)
