"""The way of looking that a configuration asks for."""

from dataclasses import replace

from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.transforms import RandomFlipConfig
from segkit.errors import ConfigError, Problem


def inference_options(config: SegmentorConfig, *, tta: bool = False) -> InferenceConfig:
    """``config.inference`` with all that it leaves to other parts of the configuration.

    Args:
        config: the whole configuration.
        tta: take several looks; else one, whatever ``inference.tta`` says.

    Raises:
        ConfigError: several looks are wanted, and ``inference.tta`` names one.
    """
    options = config.inference
    if not tta:
        return replace(options, tta=TTAConfig())
    if options.tta.scales == (1.0,) and not options.tta.flip:
        text = "is a single plain look; set inference.tta.flip=true, inference.tta.scales=[0.5,1.0,1.5], or both"
        raise ConfigError([Problem("inference.tta", text)])
    if options.tta.swaps is not None:
        return options
    flips = [t for t in config.dataset.train_transforms.values() if isinstance(t, RandomFlipConfig)]
    swaps = flips[0].swaps if flips and flips[0].swaps is not None else config.dataset.flip_pairs
    return replace(options, tta=replace(options.tta, swaps=swaps))
