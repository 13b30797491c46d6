"""MobileViT (Mehta and Rastegari, 2022, arXiv:2110.02178) and its second version (arXiv:2206.02680)."""

from typing import Any

from timm.models.mobilevit import MobileVitBlock
from torch import nn

from segkit.config.backbones import MobileViTConfig, MobileViTV2Config
from segkit.models.backbones.timm_adapter import TimmBackbone
from segkit.models.backbones.weights import create_model
from segkit.registry import BACKBONES


@BACKBONES.register(MobileViTConfig)
class MobileViT(TimmBackbone):
    """MobileViT; maps of an odd size are resized for the transformers, and back.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices`` at strides 2 to 32, their sizes rounded up.
    """

    def __init__(self, config: MobileViTConfig) -> None:
        name = {"xx_small": "mobilevit_xxs", "x_small": "mobilevit_xs", "small": "mobilevit_s"}[config.arch]
        model = create_model(config, name, "cvnets_in1k", drop_path_rate=config.drop_path)
        if not config.projection_act:
            for block in (module for module in model.modules() if isinstance(module, MobileVitBlock)):
                projection: Any = block.conv_proj
                projection.bn.act = nn.Identity()
        super().__init__(config, model, config.out_indices)


@BACKBONES.register(MobileViTV2Config)
class MobileViTV2(TimmBackbone):
    """MobileViT V2; maps of an odd size are enlarged to an even one for the transformers, and stay so.

    Shape:
        - Input: (N, in_channels, H, W).
        - Output: stages ``out_indices`` at strides 2 to 32, with 64, 128, 256, 384 and 512 channels times ``width``;
          their sizes are rounded up, to even ones from stride 8 on.
    """

    def __init__(self, config: MobileViTV2Config) -> None:
        name = f"mobilevitv2_{round(100 * config.width):03d}"
        super().__init__(
            config, create_model(config, name, "cvnets_in1k", drop_path_rate=config.drop_path), config.out_indices
        )
