"""An exponential moving average of the weights, kept beside the model."""

import copy

import torch
from torch import Tensor, nn

from segkit.config.training import EmaConfig


class Ema:
    """Averages a model's weights and buffers over the steps.

    Every floating-point entry of the state_dict, running statistics included, follows
    ``average = (1 - momentum) * average + momentum * current``; the others (counters) are copied.

    Args:
        config: momentum, and where the average lives.
        model: what to average; its present state is the first average.

    Attributes:
        model: a copy of the model that holds the average, in eval mode and without gradients.
    """

    def __init__(self, config: EmaConfig, model: nn.Module) -> None:
        self.momentum = config.momentum
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.on_cpu = config.device == "cpu"
        if self.on_cpu:
            self.model.cpu()
        theirs = model.state_dict()
        # The tensors themselves, each once: optimisers and load_state_dict write in place, so these stay the model's.
        pairs = {ours.data_ptr(): (ours, theirs[name]) for name, ours in self.model.state_dict().items()}.values()
        self._averages = [ours for ours, _ in pairs if ours.is_floating_point()]
        self._current = [current for ours, current in pairs if ours.is_floating_point()]
        self._copies = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the model's weights after a step."""
        current: list[Tensor] = self._current
        if self.on_cpu:
            current = [value.to("cpu") for value in current]
        torch._foreach_lerp_(self._averages, current, self.momentum)
        for ours, theirs in self._copies:
            ours.copy_(theirs)

    def on(self, device: torch.device) -> nn.Module:
        """The averaged model, on a device that can run it quickly."""
        here = next(self.model.parameters()).device
        return self.model if here == device else copy.deepcopy(self.model).to(device)
