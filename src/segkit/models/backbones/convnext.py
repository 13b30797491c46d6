"""ConvNeXt (Liu et al., 2022, arXiv:2201.03545) and its second version (Woo et al., 2023, arXiv:2301.00808)."""

from typing import Any

from segkit.config.backbones import ConvNeXtConfig, ConvNeXtFamilyConfig, ConvNeXtV2Config
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES

_THREE_NINE, _DEEP = (3, 3, 9, 3), (3, 3, 27, 3)
_TIMM_WEIGHTS: dict[Any, tuple[str, str]] = {  # (depths, channels, global response normalisation) -> name, tag
    (_THREE_NINE, (96, 192, 384, 768), False): ("convnext_tiny", "fb_in22k"),
    (_DEEP, (96, 192, 384, 768), False): ("convnext_small", "fb_in22k"),
    (_DEEP, (128, 256, 512, 1024), False): ("convnext_base", "fb_in22k"),
    (_DEEP, (192, 384, 768, 1536), False): ("convnext_large", "fb_in22k"),
    (_DEEP, (256, 512, 1024, 2048), False): ("convnext_xlarge", "fb_in22k"),
    (_THREE_NINE, (96, 192, 384, 768), True): ("convnextv2_tiny", "fcmae_ft_in22k_in1k"),
    (_DEEP, (128, 256, 512, 1024), True): ("convnextv2_base", "fcmae_ft_in22k_in1k"),
    (_DEEP, (192, 384, 768, 1536), True): ("convnextv2_large", "fcmae_ft_in22k_in1k"),
}


@BACKBONES.register(ConvNeXtConfig)
class ConvNeXt(TimmBackbone):
    """ConvNeXt with a normalisation of its own on each returned map.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has ``channels[i]`` channels, and its size is rounded down.
    """

    def __init__(self, config: ConvNeXtFamilyConfig) -> None:
        known = _TIMM_WEIGHTS.get((config.depths, config.channels, config.use_grn))
        if config.patch_size != 4 or config.conv_mlp:
            known = None
        name, tag = known or ("convnext_tiny", None)
        model = create_model(
            config,
            name,
            tag,
            depths=config.depths,
            dims=config.channels,
            patch_size=config.patch_size,
            drop_path_rate=config.drop_path,
            ls_init_value=config.layer_scale_init or None,
            use_grn=config.use_grn,
            conv_mlp=config.conv_mlp,
            norm_eps=config.norm_eps,
        )
        super().__init__(config, model, config.out_indices, level_norm_eps=config.norm_eps)


@BACKBONES.register(ConvNeXtV2Config)
class ConvNeXtV2(ConvNeXt):
    """The same with other defaults.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices``; stage i has ``channels[i]`` channels, and its size is rounded down.
    """
