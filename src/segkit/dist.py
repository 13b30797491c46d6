"""Rank, world size and sums over processes; everything works unchanged in one process."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def is_distributed() -> bool:
    """Whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process's number, 0 if alone."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if is_distributed() else 1


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes, without gradient; ``value`` itself is kept."""
    if not is_distributed():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes, without gradient."""
    return sum_over_ranks(value) / world_size() if is_distributed() else value


def barrier() -> None:
    """Waits for the other processes."""
    if is_distributed():
        dist.barrier(device_ids=[torch.cuda.current_device()] if dist.get_backend() == "nccl" else None)


def gather_objects(value: Any) -> list[Any]:
    """The plain ``value`` of every process, in the order of their ranks."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast_buffers(module: nn.Module) -> None:
    """Gives every process rank 0's buffers, such as running statistics."""
    if is_distributed():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def gather_over_ranks(value: Tensor) -> Tensor:
    """The rows of every process, in the order of their ranks, without gradient; all have as many."""
    if not is_distributed():
        return value
    parts = [torch.empty_like(value) for _ in range(world_size())]
    dist.all_gather(parts, value.detach().contiguous())
    return torch.cat(parts)
