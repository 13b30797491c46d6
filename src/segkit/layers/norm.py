"""Normalisations by config, and batch normalisation over several processes."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.modules._functions import SyncBatchNorm as CudaSyncBatchNorm

from segkit.config.layers import (
    BatchNorm2dConfig,
    GroupNormConfig,
    LayerNorm2dConfig,
    NormConfig,
    SyncBatchNormConfig,
)
from segkit.dist import is_distributed, world_size
from segkit.errors import ConfigError, Problem
from segkit.layers.defaults import current_defaults


def build_norm(channels: int, config: NormConfig | None = None) -> nn.Module:
    """The normalisation of a map of ``channels``; without ``config``, the one in force (:mod:`segkit.layers.defaults`).

    Raises:
        ConfigError: if the groups of a group normalisation do not divide the channels.
    """
    match config or current_defaults().norm:
        case BatchNorm2dConfig(eps=eps, momentum=momentum):
            return nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
        case SyncBatchNormConfig(eps=eps, momentum=momentum):
            return SyncBatchNorm2d(channels, eps=eps, momentum=momentum)
        case LayerNorm2dConfig(eps=eps):
            return LayerNorm2d(channels, eps=eps)
        case GroupNormConfig(num_groups=groups, eps=eps):
            if channels % groups:
                message = f"{groups} groups do not divide a layer of {channels} channels; use a number that does"
                raise ConfigError([Problem("norm.num_groups", message)])
            return nn.GroupNorm(groups, channels, eps=eps)
        case other:
            raise TypeError(f"no normalisation is built from {type(other).__name__}")


class LayerNorm2d(nn.LayerNorm):
    """Normalises each cell over its channels (Ba et al., 2016, arXiv:1607.06450): (N, C, H, W) -> the same."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all processes: (N, C, H, W) -> the same.

    In one process, and in eval, it is ``BatchNorm2d``. In several, the outcome and the gradients are those of one
    process on the joined batch; the parts may differ in size. Works on any device with gloo or NCCL, where torch's
    own refuses the CPU. As there, a weight's gradient is the local part of the sum, which DDP then adds up.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and is_distributed()):
            return super().forward(x)
        self._check_input_dim(x)
        momentum = self._count_batch()
        if x.is_cuda:
            group = dist.group.WORLD
            return CudaSyncBatchNorm.apply(
                x, self.weight, self.bias, self.running_mean, self.running_var, self.eps, momentum, group, world_size()
            )
        out, mean, var, count = _NormalizeOverRanks.apply(x, self.weight, self.bias, self.eps)
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(var * (count / (count - 1)), momentum)
        return out

    def _count_batch(self) -> float:
        """Advances the counter; the weight of this batch in the running statistics."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1.0 / float(self.num_batches_tracked)


class _NormalizeOverRanks(Function):
    """(x, weight, bias, eps) -> (normalised x, mean, biased variance, count of values a channel), over all ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        var, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
        own = torch.cat([mean, var, mean.new_tensor([x.numel() / x.shape[1]])])
        ranks = [torch.empty_like(own) for _ in range(world_size())]
        dist.all_gather(ranks, own)
        means, variances, counts = torch.stack(ranks).split([len(mean), len(mean), 1], dim=1)  # (R, C), (R, C), (R, 1)
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        # Sums of squares about each rank's own mean: E[x^2] - E[x]^2 would cancel where the mean is large.
        var = ((variances + (means - mean) ** 2) * counts).sum(0) / count
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt(), count)
        ctx.mark_non_differentiable(mean, var, count)
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps), mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, invstd, count = ctx.saved_tensors
        shape = (1, -1, 1, 1)
        grad32 = grad.float()
        x_hat = (x.float() - mean.view(shape)) * invstd.view(shape)
        grad_bias = grad32.sum((0, 2, 3))
        grad_weight = (grad32 * x_hat).sum((0, 2, 3))
        sums = torch.stack([grad_bias, grad_weight])
        dist.all_reduce(sums)
        grad_mean, grad_slope = (sums / count).unbind()
        scale = (weight * invstd).view(shape)
        grad_x = (grad32 - grad_mean.view(shape) - x_hat * grad_slope.view(shape)) * scale
        return grad_x.to(x.dtype), grad_weight, grad_bias, None
