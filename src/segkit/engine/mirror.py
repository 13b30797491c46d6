"""A run folder on each of several machines: what the run goes on from is brought to where it is missing."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as torch_dist

from segkit import dist
from segkit.checkpoint import read_checkpoint
from segkit.engine.run import RunFolder

_BLOCK = 1 << 26
"""Bytes that travel at once."""


def mirror(folder: RunFolder, device: torch.device) -> str:
    """Makes the run folders of all machines agree on what the training goes on from; every process calls it.

    Where machines share a disk, nothing is done. Else the folder with the most steps counts, wherever it is: under a
    queue the machines may come in another order, or be others, each time.

    Args:
        folder: of the run, as this machine sees it.
        device: of this process, for the transport.

    Returns:
        What was done, in a line; "" if nothing was.
    """
    leads = os.environ["LOCAL_RANK"] == "0"
    steps = dist.gather_objects(_steps(folder) if leads else -1)
    source = max(range(len(steps)), key=lambda rank: (steps[rank], -rank))
    if steps[source] < 0:
        return ""
    sees = _sees(folder, source)
    lacking = [rank for rank, (lead, seen) in enumerate(dist.gather_objects((leads, sees))) if lead and not seen]
    if not lacking:
        return ""
    receives = dist.rank() in lacking
    for file in (folder.last, folder.best, folder.log):
        _send(file, source=source, receives=receives, device=device)
    return (
        f"{len(lacking)} machines have run folders of their own; the checkpoint after step {steps[source]} was copied"
    )


def _steps(folder: RunFolder) -> int:
    """Steps that the folder's last checkpoint has done, -1 if there is none."""
    return int(read_checkpoint(folder.last)["progress"]["step"]) if folder.last.exists() else -1


def _sees(folder: RunFolder, source: int) -> bool:
    """Whether this process sees the files of process ``source``: a file of a name that nobody has asked for before."""
    (name,) = set(dist.gather_objects(f".seen-{secrets.token_hex(8)}" if dist.rank() == source else "")) - {""}
    token = folder.path / name
    if dist.rank() == source:
        token.touch()
    dist.barrier()
    seen = token.exists()
    dist.barrier()
    if dist.rank() == source:
        token.unlink()
    return seen


def _send(file: Path, *, source: int, receives: bool, device: torch.device) -> None:
    """Copies a file from process ``source`` to those that receive; where it has none, theirs goes too."""
    sends = dist.rank() == source
    size = dist.gather_objects(file.stat().st_size if sends and file.exists() else -1)[source]
    if size < 0:
        if receives:
            file.unlink(missing_ok=True)
        return
    temporary = file.with_name(f"{file.name}.tmp")
    if receives:
        file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        reader = stack.enter_context(file.open("rb")) if sends else None
        writer = stack.enter_context(temporary.open("wb")) if receives else None
        for length in _blocks(size):
            block = torch.empty(length, dtype=torch.uint8)
            if reader is not None:
                reader.readinto(block.numpy().data)
            block = block.to(device)
            torch_dist.broadcast(block, src=source)
            if writer is not None:
                writer.write(block.cpu().numpy().data)
    if receives:
        temporary.replace(file)


def _blocks(size: int) -> Iterator[int]:
    """Lengths that add up to ``size``."""
    whole, rest = divmod(size, _BLOCK)
    yield from [_BLOCK] * whole + ([rest] if rest else [])
