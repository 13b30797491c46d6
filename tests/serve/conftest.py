"""A server in a process of its own, and the same model here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.checkpoints import write_untrained
from support.runs import tiny_config
from support.serving import Server, serving

import segkit
from segkit.inference.predictor import Predictor


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("run") / "best.pt", tiny_config())


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> Predictor:
    return segkit.load(checkpoint, device="cpu")


@pytest.fixture(scope="session")
def server(checkpoint: Path) -> Iterator[Server]:
    with serving(checkpoint, "--max-mb", "1", "--max-pixels", "100000", "--max-waiting", "3") as server:
        yield server


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smooth PNG of 40 x 60 pixels."""
    rows, columns = np.ogrid[:40, :60]
    waves = [127 + 120 * np.sin(rows / (4 + c)) * np.cos(columns / (5 + c)) for c in range(3)]
    path = tmp_path_factory.mktemp("images") / "waves.png"
    Image.fromarray(np.stack(waves, axis=2).astype(np.uint8)).save(path)
    return path
