"""Where a backbone's first weights come from: timm's collection, or a file."""

import logging
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import timm
from huggingface_hub.constants import ENDPOINT
from safetensors import SafetensorError
from torch import Tensor, nn

from segkit.config.backbones import BackboneConfig
from segkit.errors import CheckpointError, some_of
from segkit.models.interop.sssegmentation.backbones import backbone_state
from segkit.tensor_files import read_tensor_file

logger = logging.getLogger(__name__)

State = dict[str, Tensor]

LEAST_FIT = 0.9
"""A file that fits a smaller share of the network's tensors is one of another model."""

_REMEDIES = "set backbone.pretrained=false to start from random weights, or backbone.weights=FILE to start from a file"


def create_model(
    config: BackboneConfig, name: str, tag: str | None, make: Callable[..., Any] = timm.create_model, **kwargs: Any
) -> Any:
    """Builds a timm network without a classifier, with timm's weights if the config wants them.

    Args:
        config: the backbone's options.
        name: timm's name of the architecture.
        tag: which of timm's weights fit, as in ``tv_in1k``; None if there are none.
        make: called with ``name`` and the rest; timm's factory, or one that takes the same arguments.
        kwargs: further arguments of the constructor.

    Raises:
        CheckpointError: if weights are wanted that do not exist or cannot be fetched.
    """
    kwargs |= {"num_classes": 0, "in_chans": config.image_channels}
    if not config.pretrained or config.weights is not None:
        return make(name, pretrained=False, **kwargs)
    if tag is None:
        raise _no_weights(config)
    try:
        return make(name, pretrained=True, pretrained_cfg=tag, pretrained_cfg_overlay=_source(name, tag), **kwargs)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:  # the last one of a torn file in the cache
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"backbone.pretrained: cannot get {name}.{tag} ({reason}); {_REMEDIES}") from error


def _source(name: str, tag: str) -> dict[str, str]:
    """The cached file, if there is one, as timm's override; raises at once where nothing can be fetched."""
    known = timm.get_pretrained_cfg(f"{name}.{tag}")
    if known is None or not known.hf_hub_id:
        return {}
    cached = huggingface_hub.try_to_load_from_cache(known.hf_hub_id, "model.safetensors")
    if isinstance(cached, str):
        return {"file": cached}
    host = urlsplit(ENDPOINT).hostname
    if not getproxies():  # behind a proxy, names need not resolve here
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:  # the download itself would try for a minute
            raise OSError(f"no connection to {host}, and not in the cache") from error
    return {}


def refuse_pretrained(config: BackboneConfig) -> None:
    """For networks that timm lacks.

    Raises:
        CheckpointError: if pretrained weights are wanted.
    """
    if config.pretrained and config.weights is None:
        raise _no_weights(config)


def load_weights(backbone: nn.Module, config: BackboneConfig) -> None:
    """Fills ``backbone`` from the file that the config names; tells what stayed as it was.

    The names may be timm's, SSSegmentation's or segkit's, those of a backbone or of a whole segmentor.

    Raises:
        CheckpointError: if the file cannot be read safely, or fits less than 90 % of the backbone's tensors.
    """
    path = config.weights
    if path is None:
        return
    own = {name: value for name, value in backbone.state_dict().items() if not name.endswith("num_batches_tracked")}
    state = read_state(path)
    adapt = getattr(backbone, "adapt_state", dict)
    readings = (adapt(reading) for reading in _readings(backbone, config, state))
    found = max(readings, key=lambda reading: len(_fitting(reading, own)))
    found = _adapt_stem(found, own, config.image_channels)
    fitting = _fitting(found, own)
    left = sorted(own.keys() - fitting.keys())
    network = [name for name in own if not name.startswith("norms.")]  # the levels' norms come with segmentation
    found_there = sum(name in fitting for name in network)
    if found_there < LEAST_FIT * len(network):
        raise CheckpointError(
            f"backbone.weights: {path} fits only {found_there} of {len(network)} tensors of the network "
            f"(absent or of another shape: {some_of(left)}); it is of another model"
        )
    backbone.load_state_dict(fitting, strict=False)
    logger.info("backbone.weights: %d of %d tensors from %s", len(fitting), len(own), path)
    if left:
        logger.warning("backbone.weights: not in %s, so left at random: %s", path, some_of(left))
    spare = sorted(name for name in found.keys() - own.keys() if not name.endswith("num_batches_tracked"))
    if spare:
        logger.info("backbone.weights: in the file, but not in the backbone: %s", some_of(spare))


def read_state(path: Path) -> State:
    """The tensors of a weights file by name, unwrapped from ``model`` or ``state_dict``; nothing in it is executed."""
    try:
        content = read_tensor_file(path)
    except CheckpointError as error:
        raise CheckpointError(f"backbone.weights: {error}") from error
    for key in ("state_dict", "model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise CheckpointError(f"backbone.weights: {path} holds no tensors by name")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _readings(backbone: nn.Module, config: BackboneConfig, state: State) -> Iterator[State]:
    """What the file would mean under each convention."""
    for prefix in ("backbone.", "backbone_net."):
        inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        state = inner or state
    yield state
    yield {f"model.{name}": value for name, value in state.items()}
    headless = {name: value for name, value in state.items() if not name.startswith(("fc.", "head.", "classifier."))}
    try:
        yield backbone_state(headless, config)
    except CheckpointError:
        logger.debug("backbone.weights: not in SSSegmentation's names")
    # The authors' own files, for which timm has a translation beside each network.
    model = getattr(backbone, "model", None)  # none of timm's where it lacks the network
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if translate is not None:
        try:
            yield {f"model.{name}": value for name, value in translate(dict(state), model).items()}
        except (AttributeError, KeyError, IndexError, RuntimeError, ValueError):
            logger.debug("backbone.weights: not in the authors' names")


def _adapt_stem(state: State, own: State, in_channels: int) -> State:
    """Repeats or sums the colours of the first convolution where the images have another number of channels."""
    first = next((name for name, value in own.items() if value.ndim == 4 and value.shape[1] == in_channels), None)
    weight = state.get(first) if first else None
    if first is None or weight is None or weight.ndim != 4 or weight.shape[1] != 3 or in_channels == 3:
        return state
    return state | {first: timm.models.adapt_input_conv(in_channels, weight)}


def _fitting(state: State, own: State) -> State:
    return {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}


def _no_weights(config: BackboneConfig) -> CheckpointError:
    kind = type(config).__name__.removesuffix("Config")
    return CheckpointError(f"backbone.pretrained: timm has no weights for a {kind} with these options; {_REMEDIES}")
