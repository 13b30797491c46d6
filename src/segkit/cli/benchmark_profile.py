"""Where the time goes: a training step of PSPNet-R50, and PSPNet-R18 in sliding windows, by kind of operation."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from segkit.cli import benchmark_slide, benchmark_step

_KINDS = {
    "convolutions": ("convolution",),
    "normalisation": ("batch_norm",),
    "activations": ("threshold", "clamp", "relu"),
    "resizing, softmax, cross entropy": ("upsample", "softmax", "nll_loss", "index_select", "lerp"),
    "matrix products (pooling)": ("aten::mm", "aten::bmm"),
    "the optimiser's update": ("sgd", "Optimizer"),
    "sums, copies, concatenation": ("aten::add", "aten::copy_", "aten::cat"),
}
"""Kind -> what names of its operations hold; the first that fits counts."""


def run() -> None:
    """Prints the share of each kind in the processor's time, as torch's profiler counts it."""
    subjects: dict[str, Callable[[], object]] = {
        "step, float32": benchmark_step.segkit_step("float32"),
        "step, bfloat16": benchmark_step.segkit_step("bfloat16"),
        "slide, 19 classes": benchmark_slide.one_image(19),
        "slide, 150 classes": benchmark_slide.one_image(150),
    }
    shares = {name: _shares(work) for name, work in subjects.items()}
    table = Table("% of the time in", *subjects, title="where the time goes, CPU")
    for kind in (*_KINDS, "all else"):
        table.add_row(kind, *(f"{100 * found.get(kind, 0.0):.1f}" for found in shares.values()))
    Console().print(table)


def _shares(work: Callable[[], object]) -> dict[str, float]:
    work()  # allocates what is reused
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    spent: dict[str, float] = {}
    for event in found.key_averages():
        kind = _kind(event.key)
        spent[kind] = spent.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: time / total for kind, time in spent.items()}


def _kind(operation: str) -> str:
    for kind, parts in _KINDS.items():
        if any(part in operation for part in parts):
            return kind
    return "all else"
