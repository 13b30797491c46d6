"""Which of several machines this one is, and where they meet: from the configuration, or from SLURM."""

import os
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from segkit.config.training import TrainerConfig
from segkit.errors import ConfigError, Problem

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PORT = 29500
_SLURM_PORTS = range(20000, 30000)
_GET_ADDRESS = 0x8915
"""Linux's ioctl SIOCGIFADDR."""


@dataclass(frozen=True)
class Node:
    """One machine of a training.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        host: address of machine 0, where all meet.
        port: there; 0 takes a free one, for a machine by itself.
    """

    rank: int = 0
    count: int = 1
    host: str = "127.0.0.1"
    port: int = 0


def this_node(config: TrainerConfig, environment: Mapping[str, str] = os.environ) -> Node:
    """This machine's place among ``config.nnodes``.

    Raises:
        ConfigError: if neither the configuration nor SLURM tells it.
    """
    if config.nnodes == 1:
        return Node()
    in_slurm = "SLURM_STEP_NODELIST" in environment
    if in_slurm:
        _require_slurm_step(config, environment)
    if config.rendezvous is not None:
        host, _, port = config.rendezvous.partition(":")
        address = (host, int(port or _PORT))
    elif in_slurm:
        port_number = _SLURM_PORTS[int(environment["SLURM_JOB_ID"]) % len(_SLURM_PORTS)]
        address = (_first_host(environment["SLURM_STEP_NODELIST"]), port_number)
    else:
        text = f"{config.nnodes} machines must know where machine 0 is; set it to its address, as in gpu1:29500"
        raise ConfigError([Problem("trainer.rendezvous", text)])
    rank = config.node_rank
    if rank is None:
        rank = int(environment["SLURM_NODEID"]) if in_slurm else _rank_by_address(address[0], config.nnodes)
    return Node(rank, config.nnodes, *address)


def _require_slurm_step(config: TrainerConfig, environment: Mapping[str, str]) -> None:
    """A step of one task on each of the machines."""
    nodes, tasks = int(environment["SLURM_STEP_NUM_NODES"]), int(environment["SLURM_STEP_NUM_TASKS"])
    if (nodes, tasks) != (config.nnodes, config.nnodes):
        text = f"is {config.nnodes}, but this SLURM step has {tasks} tasks on {nodes} nodes"
        hint = f"use srun --nodes={config.nnodes} --ntasks-per-node=1; trainer.devices starts the processes of each"
        raise ConfigError([Problem("trainer.nnodes", f"{text}; {hint}")])


def _first_host(nodelist: str) -> str:
    """The first name of a list such as ``gpu[03-05,9],login1``."""
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", re.split(r",(?![^\[]*\])", nodelist)[0])


def _rank_by_address(host: str, count: int) -> int:
    """0 on the machine that owns the address, 1 on the other one of two."""
    if _is_ours(host):
        return 0
    if count == 2:
        return 1
    text = f"tell each of the {count} machines its number, 0 on {host} and 1 to {count - 1} on the others"
    raise ConfigError([Problem("trainer.node_rank", text)])


def _is_ours(host: str) -> bool:
    """Whether an address belongs to this machine: only then can a socket take it.

    Raises:
        ConfigError: if the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError([Problem("trainer.rendezvous", f"no address is known of {host}: {error.strerror}")]) from None
    for family, kind, _, _, address in found:
        with socket.socket(family, kind) as trial:
            try:
                trial.bind(address)
            except OSError:
                continue
            return True
    return False


def interface_towards(host: str, port: int) -> str | None:
    """The network interface by which this machine reaches another, as in eth0; None if that cannot be told."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))  # nothing is sent
            own = probe.getsockname()[0]
            for _, name in socket.if_nameindex():
                if fcntl is not None and _address_of(name, probe) == own:
                    return name
    except OSError:
        pass
    return None


def _address_of(interface: str, probe: socket.socket) -> str | None:
    """An interface's IPv4 address; None if it has none."""
    try:
        answer = fcntl.ioctl(probe.fileno(), _GET_ADDRESS, struct.pack("256s", interface.encode()))
    except OSError:
        return None
    return socket.inet_ntoa(answer[20:24])
