"""Which processes a training has, and what each computes on."""

import os

import torch

from segkit.config.training import TrainerConfig
from segkit.errors import ConfigError, Problem


def uses_cuda(config: TrainerConfig) -> bool:
    """Whether to compute on GPUs.

    Raises:
        ConfigError: if they are asked for and torch sees none.
    """
    if config.accelerator == "auto":
        return torch.cuda.is_available()
    if config.accelerator == "cuda" and not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
        raise ConfigError([Problem("trainer.accelerator", f"is cuda, but {built}; use auto or cpu")])
    return config.accelerator == "cuda"


def count_processes(config: TrainerConfig) -> int:
    """Processes on this machine.

    Raises:
        ConfigError: if there are fewer GPUs.
    """
    if not uses_cuda(config):
        return 1 if config.devices == "auto" else config.devices
    present = torch.cuda.device_count()
    if config.devices == "auto":
        return present
    if config.devices > present:
        raise ConfigError([Problem("trainer.devices", f"is {config.devices}, but this machine has {present} GPUs")])
    return config.devices


def choose_device(config: TrainerConfig, local_rank: int) -> torch.device:
    """What the process with this number on its machine computes on; it becomes the current device."""
    if not uses_cuda(config):
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def share_of_threads(config: TrainerConfig, processes: int) -> int:
    """CPU threads for each of the processes on this machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.num_threads or max(1, usable // processes)


def set_backends(config: TrainerConfig, threads: int | None) -> None:
    """Settings of torch that hold for the whole process.

    Args:
        config: the options.
        threads: CPU threads; None leaves what the environment says.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = config.cudnn_benchmark and not config.deterministic
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)  # names what has no exact form, and goes on
