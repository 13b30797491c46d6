"""One form of a model at one input size, measured in a process of its own, for ``segkit-benchmark model``.

``python -m segkit.cli.model_speed`` reads a :class:`Job` as JSON from stdin, and ends with a line of JSON.
"""

import gc
import importlib
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segkit.build import build_preprocessor, build_segmentor, memory_format
from segkit.cli.model_checks import Complexity, complexity
from segkit.cli.model_uses import predicting, training
from segkit.config.segmentor import SegmentorConfig
from segkit.config.validate import validate
from segkit.errors import SegkitError
from segkit.export.deployable import Deployable, Deployment
from segkit.export.formats import EVERYTHING, require, write_onnx
from segkit.export.verify import first_line
from segkit.inference.precision import DTYPES, autocast

Ready = tuple[Callable[[], Any], int]
"""Runs a batch; and the bytes that the process held before there was a model to run."""

_FEWEST, _MOST = 5, 500
_WARM_UP = 3


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        config: of the model, as plain data; weights do not matter.
        form: ``eager`` PyTorch, ``compiled`` by torch.compile, ``exported`` to ONNX and run by onnxruntime;
            ``predict``, to class ids as ``config.inference`` says; ``train`` and ``train-compiled``, a step; or
            ``complexity``, which computes nothing.
        size: (height, width).
        batch: images at a time.
        device: cpu, cuda, ...
        seconds: to measure for, at least.
    """

    config: Mapping[str, Any]
    form: str
    size: tuple[int, int]
    batch: int
    device: str
    seconds: float


def measure(job: Job) -> dict[str, Any]:
    """The figures of a job.

    Seconds are those of a batch, from images on the device to logits as large as they are. Memory is the
    peak of the timed runs: what torch holds on a GPU, else what the process grew by since before there was a model.
    """
    config = validate(job.config, training=False)
    if job.form == "complexity":
        found = _complexity(config, job.size)
        return {"parameters": found.parameters, "macs": found.macs}
    device = torch.device(job.device)
    torch.manual_seed(0)
    with torch.no_grad():
        run, before = _FORMS[job.form](config, job, device)
        for _ in range(_WARM_UP):
            run()
        _forget_peak(device)
        clock = _cuda_clock if device.type == "cuda" else _wall_clock
        times = _repeated(lambda: clock(run), job.seconds)
        rate = job.batch / statistics.mean(times) if device.type != "cuda" else _cuda_rate(run, len(times), job.batch)
    held = torch.cuda.max_memory_allocated() if device.type == "cuda" else _resident(peak=True) - before
    if device.type == "cuda" and job.form == "exported":  # its allocator is not torch's
        free, total = torch.cuda.mem_get_info()
        held = total - free
    dtype = str(DTYPES[config.amp.dtype]).removeprefix("torch.") if config.amp.enabled else "float32"
    return {
        "dtype": "float32" if job.form == "exported" else dtype,
        "runs": len(times),
        "median_s": statistics.median(times),
        "p95_s": sorted(times)[max(0, -(-95 * len(times) // 100) - 1)],
        "images_per_s": rate,
        "memory_bytes": max(held, 0),
    }


def _complexity(config: SegmentorConfig, size: tuple[int, int]) -> Complexity:
    channels = build_preprocessor(config).mean.numel()
    return complexity(lambda: build_segmentor(config), (1, channels, *size))


def _module(config: SegmentorConfig) -> tuple[Deployable, int]:
    """Normalised images to logits as large as they are, with random weights; and the channels of its input."""
    channels = build_preprocessor(config).mean.numel()
    module = Deployable(build_segmentor(config).eval(), None, "logits", config.inference.threshold)
    return module.eval(), channels


def _eager(
    config: SegmentorConfig,
    job: Job,
    device: torch.device,
    compile_: Callable[[nn.Module], Any] = lambda module: module,
) -> Ready:
    before = _resident()
    module, channels = _module(config)
    layout = memory_format(config, device)
    module = module.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(job.batch, channels, *job.size).to(device=device, memory_format=layout)
    ready = compile_(module)

    def run() -> Any:
        with autocast(config.amp, device):
            return ready(images)

    return run, before


def _compiled(config: SegmentorConfig, job: Job, device: torch.device) -> Ready:
    return _eager(config, job, device, torch.compile)


def _exported(config: SegmentorConfig, job: Job, device: torch.device) -> Ready:
    """The graph of any batch and size that ``segkit-export`` writes; images and logits stay on the device."""
    module, channels = _module(config)
    deployment = Deployment(module, channels, False, {})
    runtime = require("onnxruntime", "export")
    provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if provider not in runtime.get_available_providers():
        raise SegkitError(f"this onnxruntime has no {provider}; install onnxruntime-gpu")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="segkit-") as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(deployment, deployment.example(job.size, max(job.batch, 2)), EVERYTHING, path)
        del module, deployment
        gc.collect()  # the model of PyTorch and its exporter are not what runs
        before = _resident()
        session = runtime.InferenceSession(str(path), options, providers=[provider])
    images = torch.randn(job.batch, channels, *job.size)
    binding = session.io_binding()
    place = (device.type, device.index or 0)
    binding.bind_ortvalue_input("images", runtime.OrtValue.ortvalue_from_numpy(images.numpy(), *place))
    binding.bind_output("logits", *place)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run, before


def _predict(config: SegmentorConfig, job: Job, device: torch.device) -> Ready:
    before = _resident()
    return predicting(config, job.size, job.batch, device), before


def _train(config: SegmentorConfig, job: Job, device: torch.device) -> Ready:
    before = _resident()
    return training(config, job.size, job.batch, device, compiled=job.form == "train-compiled"), before


_FORMS: dict[str, Callable[[SegmentorConfig, Job, torch.device], Ready]] = {
    "eager": _eager,
    "compiled": _compiled,
    "exported": _exported,
    "predict": _predict,
    "train": _train,
    "train-compiled": _train,
}


def _repeated(once: Callable[[], float], seconds: float) -> list[float]:
    times: list[float] = []
    while len(times) < _FEWEST or (sum(times) < seconds and len(times) < _MOST):
        times.append(once())
    return times


def _wall_clock(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _cuda_clock(run: Callable[[], Any]) -> float:
    """Seconds from the call to the end of its last kernel."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def _cuda_rate(run: Callable[[], Any], runs: int, batch: int) -> float:
    """Images a second where the next batch does not wait for the last one's end."""

    def all_of_them() -> None:
        for _ in range(runs):
            run()

    return runs * batch / _cuda_clock(all_of_them)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # only Linux has it: what the compiler or the exporter took is not the model's
        Path("/proc/self/clear_refs").write_text("5")


def _resident(*, peak: bool = False) -> int:
    """Bytes of this process in memory, now or at most; without /proc, at most since its start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        resource: Any = importlib.import_module("resource")
        most: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1 if sys.platform == "darwin" else 1024)
    key = "VmHWM:" if peak else "VmRSS:"
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main() -> None:
    """Measures what stdin says, and prints figures, or why there are none."""
    warnings.simplefilter("ignore")
    job = json.loads(sys.stdin.read())
    try:
        found = measure(Job(**{**job, "size": tuple(job["size"])}))
    except Exception as error:  # noqa: BLE001 - whatever it cannot do is told in its cell
        found = {"error": str(error) if isinstance(error, SegkitError) else first_line(error)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
