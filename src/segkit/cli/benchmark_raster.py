"""A raster of 30 000 x 30 000 pixels through a tiny model: time, peak memory, and no seams."""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from segkit.errors import SegkitError

_BAR_GB = 2.0
_TILE = 512
_SMALL = 2000


def run(arguments: Sequence[str] = ()) -> None:
    """Makes a raster, segments it in a process of its own, and compares a small one with the result in memory.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="segkit-benchmark raster", description=__doc__)
    parser.add_argument("--side", type=int, default=30_000, help="pixels of a side (default: 30000)")
    parser.add_argument("--classes", type=int, default=6, help="of the model (default: 6)")
    parser.add_argument("--crop", type=int, default=1024, help="side of a window (default: 1024)")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary folder)")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="segkit-", dir=args.folder) as folder:
        console = Console()
        small = _measure(Path(folder), _SMALL, args.classes, args.crop, "compare")
        console.print(
            f"{_SMALL} x {_SMALL} x 3: {small['different']} pixels differ from the result in memory, "
            f"of {small['classes']} classes"
        )
        found = _measure(Path(folder), args.side, args.classes, args.crop, "large")
    pixels = args.side**2 / 1e6
    verdict = "met" if found["memory_gb"] <= _BAR_GB else "missed"
    console.print(
        f"{args.side} x {args.side} x 3, {args.classes} classes, windows of {args.crop}: {found['seconds']:.0f} s "
        f"({pixels / found['seconds']:.1f} megapixels a second), peak memory {found['memory_gb']:.2f} GB "
        f"of the process, {found['before_gb']:.2f} before it began (bar {_BAR_GB:g}, {verdict}); "
        f"file in {found['in_mb']:.0f} MB, out {found['out_mb']:.1f} MB"
    )


def _measure(folder: Path, side: int, classes: int, crop: int, what: str) -> dict[str, Any]:
    """Runs :func:`_child` in a process of its own, since peak memory never falls."""
    path = folder / f"{what}.tif"
    _write(path, side)
    command = [sys.executable, "-m", "segkit.cli.benchmark_raster", str(path), str(classes), str(crop), what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write(path: Path, side: int) -> None:
    """A smooth picture with some noise, tiled and compressed, made tile by tile."""
    import numpy as np

    tifffile: Any = _tifffile()

    def tiles() -> Iterator[Any]:
        noise = np.random.default_rng(0).integers(0, 12, (_TILE, _TILE, 3), dtype=np.uint8)
        for top in range(0, side, _TILE):
            for left in range(0, side, _TILE):
                rows, columns = np.ogrid[top : top + _TILE, left : left + _TILE]
                waves = [np.sin(rows / (70 + 31 * c)) * np.cos(columns / (90 + 17 * c)) for c in range(3)]
                yield (120 + 100 * np.stack(waves, axis=2)).astype(np.uint8) + noise

    options = {"photometric": "rgb", "compression": "zlib", "compressionargs": {"level": 1}, "metadata": None}
    tifffile.imwrite(path, tiles(), shape=(side, side, 3), dtype=np.uint8, tile=(_TILE, _TILE), bigtiff=True, **options)


def _tifffile() -> Any:
    try:
        return importlib.import_module("tifffile")
    except ImportError:
        raise SegkitError("segkit-benchmark raster needs `pip install segkit[raster]`") from None


def _child(path: Path, classes: int, crop: int, what: str) -> dict[str, Any]:
    from segkit.engine.meters import peak_memory_gb

    predictor = _predictor(classes, crop)
    before = peak_memory_gb()
    began = time.perf_counter()
    result = predictor.segment_raster(path, path.with_suffix(".out.tif"), on_progress=_progress())
    found = {
        "seconds": time.perf_counter() - began,
        "memory_gb": peak_memory_gb(),
        "before_gb": before,
        "in_mb": path.stat().st_size / 1e6,
        "out_mb": path.with_suffix(".out.tif").stat().st_size / 1e6,
        "size": result.size,
    }
    if what == "compare":
        ours, mask = _tifffile().imread(path.with_suffix(".out.tif")), predictor(path).mask
        found |= {"different": int((mask != ours).sum()), "classes": len(set(mask.ravel().tolist()))}
    return found


def _progress() -> Callable[[float], None]:
    """Tells each tenth, on stderr."""
    told = 0

    def on_progress(share: float) -> None:
        nonlocal told
        if int(10 * share) > told:
            told = int(10 * share)
            print(f"{10 * told} %", file=sys.stderr, flush=True)

    return on_progress


def _predictor(classes: int, crop: int) -> Any:
    """An untrained tiny network, by way of a checkpoint."""
    import torch

    from segkit.build import build_segmentor
    from segkit.checkpoint import write_checkpoint
    from segkit.config.backbones import TIMMBackboneConfig
    from segkit.config.component import to_plain
    from segkit.config.datasets import FolderDatasetConfig
    from segkit.config.heads import FCNConfig
    from segkit.config.inference import InferenceConfig
    from segkit.config.segmentor import SegmentorConfig
    from segkit.config.transforms import NormalizeConfig
    from segkit.inference.predictor import load

    config = SegmentorConfig(
        dataset=FolderDatasetConfig(
            class_names=tuple(f"class {index}" for index in range(classes)),
            val_transforms={"normalize": NormalizeConfig()},
            train_transforms={"normalize": NormalizeConfig()},
        ),
        backbone=TIMMBackboneConfig(model_name="test_resnet"),
        head=FCNConfig(channels=16, num_convs=1),
        inference=InferenceConfig(mode="slide", crop_size=(crop, crop), stride=(crop * 7 // 8, crop * 7 // 8)),
    )
    torch.manual_seed(0)
    model = build_segmentor(config)
    with torch.no_grad():  # so that it sees several classes
        for parameter in model.head.parameters():
            parameter.copy_(torch.randn_like(parameter))
    payload = {
        "config": to_plain(config),
        "classes": list(config.dataset.classes),
        "palette": [list(color) for color in config.dataset.palette],
        "model": model.state_dict(),
        "ema": None,
    }
    with tempfile.TemporaryDirectory(prefix="segkit-") as folder:
        write_checkpoint(Path(folder) / "tiny.pt", payload)
        return load(Path(folder) / "tiny.pt", device="cpu")


if __name__ == "__main__":
    print(json.dumps(_child(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
