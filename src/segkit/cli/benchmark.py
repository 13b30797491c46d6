"""``segkit-benchmark``: the figures that segkit claims, each a ratio against a named alternative in the same run."""

import argparse
import importlib
from collections.abc import Sequence

from segkit.cli.errors import user_errors

BENCHMARKS = {
    "startup": "help, configuration and errors before torch is imported",
    "pipeline": "decoding and augmentation of training images, against albumentations and step by step",
    "step": "the training step, against a plain PyTorch loop",
    "profile": "where the time of a step and of an image in sliding windows goes",
    "loss": "cross entropy of 150 classes in bands of rows, against the whole at once",
    "slide": "sliding windows, against windows padded to the full image",
    "safety": "the checks of each step and a checkpoint, as shares of a step",
    "evaluation": "the confusion matrix, against histograms for each class",
}
TABLES = {
    "models": "what every head and backbone can do: a table; -h after it tells its arguments",
    "model": "one model: size, latency, throughput and memory, by form; -h after it tells more",
    "raster": "a raster of 30 000 x 30 000 pixels: time and peak memory; -h after it tells its arguments",
}
"""What takes arguments of its own, and is no part of ``all``."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    width = max(map(len, BENCHMARKS))
    listing = "\n".join(f"  {name:{width}}  {what}" for name, what in (BENCHMARKS | TABLES).items())
    parser = argparse.ArgumentParser(
        prog="segkit-benchmark",
        description=f"Measures segkit on this machine:\n{listing}\n  {'all':{width}}  each of them but the last three",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=[*BENCHMARKS, *TABLES, "all"], metavar="BENCHMARK")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of models, model and raster")
    args = parser.parse_args(argv)
    chosen = args.benchmark
    if args.arguments and chosen not in TABLES:
        parser.error(f"{chosen} takes no arguments: {' '.join(args.arguments)}")
    with user_errors():
        if chosen in TABLES:
            importlib.import_module(f"segkit.cli.benchmark_{chosen}").run(args.arguments)
            return
        for name in BENCHMARKS if chosen == "all" else [chosen]:
            importlib.import_module(f"segkit.cli.benchmark_{name}").run()


if __name__ == "__main__":
    main()
