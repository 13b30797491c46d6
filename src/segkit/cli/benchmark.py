"""``segkit-benchmark``: the figures that segkit claims, each a ratio against a named alternative in the same run."""

import argparse
import importlib
from collections.abc import Sequence

from segkit.cli.errors import user_errors

BENCHMARKS = {
    "startup": "help, configuration and errors before torch is imported",
    "pipeline": "decoding and augmentation of training images, against albumentations and step by step",
    "step": "the training step, against a plain PyTorch loop",
    "evaluation": "the confusion matrix, against histograms for each class",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    width = max(map(len, BENCHMARKS))
    listing = "\n".join(f"  {name:{width}}  {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="segkit-benchmark",
        description=f"Measures segkit on this machine:\n{listing}\n  {'all':{width}}  each of them",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "all"], metavar="BENCHMARK")
    chosen = parser.parse_args(argv).benchmark
    with user_errors():
        for name in BENCHMARKS if chosen == "all" else [chosen]:
            importlib.import_module(f"segkit.cli.benchmark_{name}").run()


if __name__ == "__main__":
    main()
