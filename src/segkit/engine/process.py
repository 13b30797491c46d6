"""One process of a training: from its environment to the trainer and back."""

import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch.distributed as torch_dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from segkit import dist
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.devices import choose_device, set_backends, share_of_threads
from segkit.engine.heartbeat import Alone, Heartbeat
from segkit.engine.mirror import mirror
from segkit.engine.rehearsal import rehearse, rehearses
from segkit.engine.run import RunFolder, RunResult
from segkit.engine.trainer import Trainer

ROUND = "SEGKIT_ROUND"
"""Variable that tells the processes which start of theirs this is, counted over all machines."""


def run_process(config: SegmentorConfig, folder: RunFolder, peers: Alone | Heartbeat | None = None) -> RunResult:
    """Trains in this process, which belongs to a group if there is one.

    Args:
        config: all options.
        folder: of the run; it exists.
        peers: the other processes; None if there are none.

    Raises:
        SegkitError: see :class:`Trainer`.
    """
    alone = not torch_dist.is_initialized()
    local_rank = 0 if alone else int(os.environ["LOCAL_RANK"])
    local_size = 1 if alone else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = share_of_threads(config.trainer, local_size) if config.trainer.num_threads or local_size > 1 else None
    set_backends(config.trainer, threads)
    writes = alone or torch_dist.get_rank() == 0
    with folder.locked() if writes else nullcontext():
        device = choose_device(config.trainer, local_rank)
        note = mirror(folder, device) if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1 and not alone else ""
        trainer = Trainer(config, folder, device, peers)
        trainer.notes += [note] if note else []
        return rehearse(trainer) if rehearses(config.trainer) else trainer.fit()


def open_store() -> tuple[Store, int, int]:
    """The key-value store of the processes that torchrun, or we, started: (store, rank, world size).

    A restarted group finds the same store. Under the old keys gloo would wait for the addresses of dead processes; and
    the restarts that torch counts are those of one machine, so that a key made of them differs between machines.
    """
    if ROUND in os.environ:
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store: Store = TCPStore(*address, is_master=False, wait_for_workers=False)
        rank, world_size, start = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), os.environ[ROUND]
    else:
        store, rank, world_size = next(torch_dist.rendezvous("env://"))  # type: ignore[attr-defined]
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"segkit/{start}", store), rank, world_size


@contextmanager
def process_group(config: SegmentorConfig, store: Store, rank: int, world_size: int) -> Iterator[None]:
    """The group of all processes; left in good order only if nothing was raised, as the others may be gone then."""
    device = choose_device(config.trainer, int(os.environ["LOCAL_RANK"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of defaults that differ between its versions
        torch_dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=world_size,
            timeout=timedelta(seconds=config.trainer.timeout_s),
            device_id=device if device.type == "cuda" else None,
        )
    yield
    dist.barrier()  # rank 0 writes the report when the others are done
    torch_dist.destroy_process_group()


def is_external() -> bool:
    """Whether torchrun, or another launcher that sets its variables, started this process."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def die_with_parent(interval_s: float = 1.0) -> None:
    """Ends this process when the launcher is gone, however it went: nobody would stop it, and it holds the folder."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval_s)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
