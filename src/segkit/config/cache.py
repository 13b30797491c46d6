"""Where decoded files are kept."""

from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from segkit.config.component import component


@component
class CacheConfig:
    """Keeps images and labels decoded, so that each file is decoded once and not in every epoch."""

    where: Literal["none", "ram", "disk"] = "none"
    """ram is the machine's shared memory, and ends with the last process that uses it; disk is kept for later runs."""
    folder: Path | None = None
    """Folder of the disk cache; null is segkit/decoded in the user's cache folder. Any part may be deleted any time."""
    max_gb: PositiveFloat = 20.0
    """Size that it may reach; files beyond are decoded each time."""
