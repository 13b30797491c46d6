"""Segmenting many files, in one process or in several."""

import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist

from segkit.config.component import to_plain
from segkit.data.inputs import Job
from segkit.engine.apart import run_apart
from segkit.engine.devices import choose_device, set_backends, share_of_threads
from segkit.engine.meters import peak_memory_gb
from segkit.engine.predictions.bar import Bar
from segkit.engine.predictions.crew import Crew
from segkit.engine.predictions.gallery import write_gallery
from segkit.engine.predictions.ledger import Ledger
from segkit.engine.predictions.merge import write_coco
from segkit.engine.predictions.outputs import Looks
from segkit.engine.predictions.worker import Worker, kind_of, results_of
from segkit.engine.process import die_with_parent, is_external, open_store
from segkit.errors import SegkitError
from segkit.inference.drawing import mask_classes
from segkit.inference.options import inference_options
from segkit.inference.predictor import Predictor, pick_device
from segkit.inference.saved import SavedModel, Weights

_POLL_S = 0.1


@dataclass(frozen=True)
class Request:
    """How files are segmented.

    Attributes:
        looks: which results, and where.
        weights: which weights to take.
        tta: take several looks at each image.
        device: where to compute in one process; None takes the GPU if there is one.
        processes: how many share the files.
        overwrite: do again what is done already.
        raster_above: a TIFF of more pixels is read and written by windows.
    """

    looks: Looks
    weights: Weights = "auto"
    tta: bool = False
    device: str | None = None
    processes: int = 1
    overwrite: bool = False
    raster_above: int = 2**26


def segment_files(saved: SavedModel, jobs: Sequence[Job], request: Request, problems: Sequence[str] = ()) -> None:
    """Segments files, writes the results and tells what was done.

    Under an external torchrun every process calls this.

    Args:
        saved: the checkpoint.
        jobs: the files.
        request: how.
        problems: inputs that are bad already.

    Raises:
        SegkitError: at the end, if some inputs were bad; at once, if results cannot be written or have other options.
    """
    trainer = saved.config.trainer
    if is_external():
        if torch_dist.is_torchelastic_launched():
            die_with_parent()
        crew = Crew(*open_store())
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        set_backends(trainer, share_of_threads(trainer, local))
        _segment(saved, jobs, request, problems, crew, choose_device(trainer, int(os.environ["LOCAL_RANK"])))
    elif request.processes > 1:
        arguments = (str(saved.path), to_plain(saved.config), jobs, request, problems)
        run_apart(_process, arguments, request.processes)
    else:
        device = pick_device(request.device)
        set_backends(trainer, trainer.num_threads or None)
        _segment(saved, jobs, request, problems, Crew(), device)


def _process(
    rank: int,
    folder: str,
    checkpoint: str,
    tree: dict[str, Any],
    jobs: Sequence[Job],
    request: Request,
    problems: Sequence[str],
) -> None:
    """One of several processes that were started here."""
    saved = SavedModel.read(checkpoint, lambda current: current.update(tree))
    trainer = saved.config.trainer
    set_backends(trainer, share_of_threads(trainer, request.processes))
    store = torch_dist.FileStore(f"{folder}/store", request.processes)  # type: ignore[attr-defined]
    crew = Crew(store, rank, request.processes)
    _segment(saved, jobs, request, problems, crew, choose_device(trainer, rank))


def _segment(
    saved: SavedModel,
    jobs: Sequence[Job],
    request: Request,
    problems: Sequence[str],
    crew: Crew,
    device: torch.device,
) -> None:
    """This process's part; the first one plans and tells."""
    predictor = Predictor(saved, device=device, weights=request.weights, tta=request.tta)
    settings = settings_of(saved, request)
    ledger, plan = _plan(jobs, request, settings, crew)
    began = time.perf_counter()
    todo = [(Job(Path(source), Path(target)), kind) for source, target, kind in plan["todo"]]
    with Bar(len(todo), visible=crew.rank == 0) as bar:
        worker = Worker(predictor, request.looks, crew, ledger, bar, repr(settings))
        worker.run(todo)
        if crew.rank == 0:
            while (done := crew.add("done", 0)) < len(todo):
                bar.advance(done)
                time.sleep(_POLL_S)
    own = {"done": worker.done, "seconds": worker.seconds, "memory": peak_memory_gb(), "problems": worker.problems}
    with ExitStack() as stack:
        stack.callback(crew.leave)
        told = crew.gather("told", own)
        if crew.rank == 0:
            ledger.join()
            _tell(told, plan["done"], request, time.perf_counter() - began, _finish(ledger, predictor, request))
            _raise_if_bad([*problems, *(text for one in told for text in one["problems"])])


def settings_of(saved: SavedModel, request: Request) -> dict[str, Any]:
    """What results depend on, by dotted names."""
    config, looks = saved.config, request.looks
    with saved.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    options = to_plain(inference_options(config, tta=request.tta))
    del options["window_batch"]
    return {
        "checkpoint": digest,
        "weights": saved.choose(request.weights),
        **_dotted("inference", options),
        **_dotted("amp", to_plain(config.amp)),
        "dataset.val_transforms": to_plain(config.dataset)["val_transforms"],
        "opacity": looks.opacity,
        "half": looks.half,
        "raster_above": request.raster_above,
    }


def _dotted(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: part for own, inner in value.items() for key, part in _dotted(f"{name}.{own}", inner).items()}


def _plan(
    jobs: Sequence[Job], request: Request, settings: Mapping[str, Any], crew: Crew
) -> tuple[Ledger, dict[str, Any]]:
    """What is to be done, under which names; the first process decides."""
    if crew.rank:
        return Ledger(request.looks.output), crew.agree("plan", None)
    ledger = Ledger.open(request.looks.output, settings, overwrite=request.overwrite)
    kinds = {job.source: kind_of(job, raster_above=request.raster_above) for job in jobs}
    wanted = {job.source: results_of(job, kinds[job.source], request.looks.save) for job in jobs}
    todo, done = ledger.plan(jobs, wanted)
    lines = [(str(job.source), job.target.as_posix(), kinds[job.source]) for job in todo]
    return ledger, crew.agree("plan", {"todo": lines, "done": done})


def _finish(ledger: Ledger, predictor: Predictor, request: Request) -> dict[str, Path]:
    """Writes what shows all results together; name -> path."""
    looks, info = request.looks, mask_classes(predictor.info)
    written = {}
    if "rle" in looks.save:
        written["all segments"] = write_coco(looks.output, ledger.records.values(), info.names)
    if "gallery" in looks.save:
        written["gallery"] = write_gallery(looks.output, list(ledger.records.values()), info)
    return written


def _tell(
    told: Sequence[Mapping[str, Any]], before: int, request: Request, seconds: float, written: Mapping[str, Path]
) -> None:
    """Prints what was done: how many files, how fast, how much memory."""
    done: Counter[str] = Counter()
    for one in told:
        done.update(one["done"])
    count = done.total()
    parts = [f"{n} {kind}{'s' * (n != 1)}" for kind, n in done.items()] or ["0 images"]
    memory = max(one["memory"] for one in told)
    spent = sum(one["seconds"] for one in told)
    speed = f" ({count / seconds:.2f} a second, {spent / count:.3f} s each in the model)" if count else ""
    lines = [f"{', '.join(parts)} in {seconds:.1f} s{speed}, peak memory {memory:.2f} GB a process"]
    if before:
        lines.append(f"{before} {'was' if before == 1 else 'were'} done before; --overwrite does them again")
    kinds = ", ".join(sorted(request.looks.save - {"gallery"}))
    lines.append(f"results ({kinds}): {request.looks.output}" if kinds else f"results: {request.looks.output}")
    lines += [f"{name}: {path}" for name, path in written.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _raise_if_bad(problems: Sequence[str]) -> None:
    if problems:
        count = f"{len(problems)} input{'s' * (len(problems) != 1)} could not be segmented"
        raise SegkitError("\n".join([*problems, count]))
