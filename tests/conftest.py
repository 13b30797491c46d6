"""Fixtures that every room's tests use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Callable[..., Path]:
    """Looks up a path in the project's shared folder (real images, golden numbers); skips where there is none."""
    folder = Path(os.environ.get("SEGKIT_SHARED", ROOT.parent / "shared"))

    def find(*parts: str) -> Path:
        path = folder.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path} is absent; set SEGKIT_SHARED to the shared folder")
        return path

    return find


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small model as it starts."""
    from support.checkpoints import write_untrained
    from support.runs import tiny_config

    return write_untrained(tmp_path_factory.mktemp("run") / "best.pt", tiny_config())
