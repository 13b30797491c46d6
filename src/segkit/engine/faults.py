"""What the machine does to a training, told as such and not as a bug."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segkit.errors import TrainingError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}
_LOADER = "DataLoader worker"
"""How torch begins each of its messages about loader processes that died."""


@contextmanager
def machine_faults(last_good: Callable[[], str]) -> Iterator[None]:
    """Turns a full disk and a lost loader process into errors with a remedy.

    Args:
        last_good: tells what the training goes on from.

    Raises:
        TrainingError: in place of the OSError or RuntimeError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise TrainingError(f"{where}cannot be written: {error.strerror}; {last_good()}") from error
    except RuntimeError as error:
        if not str(error).startswith(_LOADER):
            raise
        text = str(error).splitlines()[0].strip().rstrip(".")
        hint = "often memory ran out: lower dataloader.num_workers or dataloader.prefetch_factor"
        raise TrainingError(f"a loader process died: {text}; {hint}; {last_good()}") from error
