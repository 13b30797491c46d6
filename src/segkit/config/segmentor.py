"""The root of a configuration."""

from pydantic import Field

from segkit.config.backbones import Backbone, ResNetConfig
from segkit.config.component import component
from segkit.config.datasets import Dataset, ShapesConfig
from segkit.config.heads import AuxiliaryConfig, FCNConfig, Head
from segkit.config.inference import InferenceConfig
from segkit.config.layers import Act, Norm, ReLUConfig, SyncBatchNormConfig
from segkit.config.losses import CrossEntropyLossConfig, Losses
from segkit.config.training import (
    AmpConfig,
    DataloaderConfig,
    EmaConfig,
    LoggerConfig,
    PolySchedulerConfig,
    Scheduler,
    TrainerConfig,
)


@component
class SegmentorConfig:
    """All that makes a model, its training and its use."""

    plugins: tuple[str, ...] = ()
    """Modules to import first; they register components of your own."""
    dataset: Dataset = ShapesConfig()
    """Images and labels."""
    dataloader: DataloaderConfig = DataloaderConfig()
    """How samples become batches."""
    backbone: Backbone = ResNetConfig()
    """Turns images into feature maps."""
    head: Head = FCNConfig()
    """Turns feature maps into logits."""
    auxiliary: dict[str, AuxiliaryConfig] = Field(default_factory=dict)
    """Further heads for training only, by name."""
    loss: Losses = CrossEntropyLossConfig()
    """What is minimised: one loss, or several by name, which are summed."""
    scheduler: Scheduler = PolySchedulerConfig()
    """Optimiser, length of the training, and the learning rate along the way."""
    norm: Norm = SyncBatchNormConfig()
    """Normalisation of the heads, and of backbones that leave the choice."""
    act: Act = ReLUConfig()
    """Activation of the heads."""
    amp: AmpConfig = AmpConfig()
    """Mixed precision."""
    ema: EmaConfig = EmaConfig()
    """Average of the weights."""
    inference: InferenceConfig = InferenceConfig()
    """How the model looks at an image."""
    trainer: TrainerConfig = TrainerConfig()
    """Where and how the loop runs."""
    logger: LoggerConfig = LoggerConfig()
    """What is written while training."""
