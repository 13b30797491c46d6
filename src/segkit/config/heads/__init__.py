"""Decode heads, the necks before them, and auxiliary heads."""

from segkit.config.heads.attention import ANNNetConfig, CCNetConfig, DANetConfig, ISANetConfig, PSANetConfig
from segkit.config.heads.auxiliary import AuxiliaryConfig
from segkit.config.heads.base import (
    ContextPyramidConfig,
    Head,
    HeadConfig,
    Neck,
    NeckConfig,
    PooledConfig,
    SampledPointsConfig,
    TwoStageConfig,
)
from segkit.config.heads.ce2p import CE2PConfig
from segkit.config.heads.classes import ClassContextConfig, IDRNetConfig, ISNetConfig, OCRNetConfig
from segkit.config.heads.codes import EMANetConfig, ENCNetConfig
from segkit.config.heads.fcn import FCNConfig, ICNetConfig, SegformerConfig
from segkit.config.heads.fpn import PointRendConfig, SemanticFPNConfig, SummedPyramidConfig
from segkit.config.heads.masks import Mask2FormerConfig, MaskFormerConfig, MaskHeadConfig
from segkit.config.heads.memory import ClassMemoryConfig, MCIBIConfig, MCIBIPlusPlusConfig, StageClassifierConfig
from segkit.config.heads.necks import Feature2PyramidConfig, ICNeckConfig, JPUConfig, LevelsNeckConfig, MLANeckConfig
from segkit.config.heads.nonlocalnet import DNLNetConfig, GCNetConfig, NonLocalConfig, NonLocalNetConfig
from segkit.config.heads.pyramids import (
    APCNetConfig,
    AsppConfig,
    Deeplabv3Config,
    Deeplabv3PlusConfig,
    DMNetConfig,
    LRASPPNetConfig,
    PSPNetConfig,
    UPerNetConfig,
)
from segkit.config.heads.setr import SETRMLAConfig, SETRUPConfig

__all__ = [
    "ANNNetConfig",
    "APCNetConfig",
    "AsppConfig",
    "AuxiliaryConfig",
    "CCNetConfig",
    "CE2PConfig",
    "ClassContextConfig",
    "ClassMemoryConfig",
    "ContextPyramidConfig",
    "DANetConfig",
    "DMNetConfig",
    "DNLNetConfig",
    "Deeplabv3Config",
    "Deeplabv3PlusConfig",
    "EMANetConfig",
    "ENCNetConfig",
    "FCNConfig",
    "Feature2PyramidConfig",
    "GCNetConfig",
    "Head",
    "HeadConfig",
    "ICNeckConfig",
    "ICNetConfig",
    "IDRNetConfig",
    "ISANetConfig",
    "ISNetConfig",
    "JPUConfig",
    "LRASPPNetConfig",
    "LevelsNeckConfig",
    "MCIBIConfig",
    "MCIBIPlusPlusConfig",
    "MLANeckConfig",
    "Mask2FormerConfig",
    "MaskFormerConfig",
    "MaskHeadConfig",
    "Neck",
    "NeckConfig",
    "NonLocalConfig",
    "NonLocalNetConfig",
    "OCRNetConfig",
    "PSANetConfig",
    "PSPNetConfig",
    "PointRendConfig",
    "PooledConfig",
    "SETRMLAConfig",
    "SETRUPConfig",
    "SampledPointsConfig",
    "SegformerConfig",
    "SemanticFPNConfig",
    "StageClassifierConfig",
    "SummedPyramidConfig",
    "TwoStageConfig",
    "UPerNetConfig",
]
