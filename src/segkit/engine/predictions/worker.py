"""What one process does: reads files, segments them, writes the results, notes each that is done."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from segkit.data.inputs import RASTER_SUFFIXES, VIDEO_SUFFIXES, Job
from segkit.engine.meters import peak_memory_gb
from segkit.engine.predictions.bar import Bar
from segkit.engine.predictions.crew import Crew
from segkit.engine.predictions.ledger import Ledger, Record, stamp_of
from segkit.engine.predictions.outputs import Looks, kinds_for, raster_place, write_image, write_raster
from segkit.errors import DatasetError, SegkitError
from segkit.inference.ahead import ahead
from segkit.inference.prediction import Prediction
from segkit.inference.predictor import Predictor
from segkit.inference.rasters.segment import segment_raster
from segkit.inference.rasters.source import can_open, open_raster
from segkit.inference.video import Video, VideoWriter
from segkit.types import Sample

_THREADS = 4
"""That read images, and that write results, while the model is at work."""
_FRAME_KINDS = ("masks", "probs", "rle")


def kind_of(job: Job, *, raster_above: int) -> str:
    """Whether a file is an image, a video, or a raster: a TIFF or Zarr array of more than so many pixels."""
    suffix = job.source.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in RASTER_SUFFIXES and can_open(job.source):
        try:
            with open_raster(job.source) as raster:
                large = raster.size[0] * raster.size[1] > raster_above
        except DatasetError:  # whoever reads it tells what is wrong
            large = False
        return "raster" if large or suffix == ".zarr" else "image"
    return "image"


def results_of(job: Job, kind: str, save: frozenset[str]) -> list[str]:
    """The kinds of results that a file is to have."""
    return kinds_for(kind, save, tiff=job.source.suffix.lower() in (".tif", ".tiff"))


@dataclass
class Worker:
    """This process's part of the work.

    Attributes:
        predictor: the model.
        looks: how results are written.
        crew: all processes.
        ledger: where files that are done are noted.
        bar: what the user sees.
        settings: what results depend on; a raster that was cut off is only taken up with the same.
        problems: what is wrong with files that could not be segmented.
    """

    predictor: Predictor
    looks: Looks
    crew: Crew
    ledger: Ledger
    bar: Bar
    settings: str

    def __post_init__(self) -> None:
        self.problems: list[str] = []
        self.seconds = 0.0
        self.done: Counter[str] = Counter()

    def run(self, jobs: Sequence[tuple[Job, str]]) -> None:
        """Segments what no other process takes.

        Args:
            jobs: all files, each with its kind.

        Raises:
            SegkitError: results cannot be written.
        """
        large = [(job, kind) for job, kind in jobs if kind != "image"]
        large.sort(key=lambda pair: -stamp_of(pair[0].source)[1])  # the longest first: nobody waits for it at the end
        while taken := self.crew.take("large", large, 1):
            job, kind = taken[0]
            try:
                self._note(self._video(job) if kind == "video" else self._raster(job))
            except DatasetError as error:
                self._fail(str(error))
        self._images([job for job, kind in jobs if kind == "image"])

    def _fail(self, problem: str) -> None:
        self.problems.append(problem)
        self.bar.advance(self.crew.add("done", 1))

    def _note(self, record: Record) -> None:
        self.ledger.append(record, self.crew.rank)
        self.done[record.kind] += 1
        self.seconds += record.seconds
        self.bar.advance(self.crew.add("done", 1))

    def _images(self, jobs: Sequence[Job]) -> None:
        """Reads the next images and writes the last ones while the model is at work."""
        with ThreadPoolExecutor(_THREADS, "files") as pool:
            written: list[Future[Record]] = []
            for chunk in ahead(self._chunks(jobs, pool), 1):
                found = list(self._predicted(chunk))
                for record in written:
                    self._note(record.result())
                written = [pool.submit(self._write, *parts) for parts in found]
            for record in written:
                self._note(record.result())

    def _chunks(self, jobs: Sequence[Job], pool: ThreadPoolExecutor) -> Iterator[list[tuple[Job, Sample | str]]]:
        while taken := self.crew.take("images", jobs, self.predictor.batch_size):
            yield list(pool.map(self._read, taken))

    def _read(self, job: Job) -> tuple[Job, Sample | str]:
        """The sample, or what is wrong with it."""
        try:
            return job, self.predictor.read(job.source)
        except DatasetError as error:
            return job, str(error)

    def _predicted(self, chunk: Sequence[tuple[Job, Sample | str]]) -> Iterator[tuple[Job, Prediction, float]]:
        """The images of a chunk with their predictions and seconds."""
        for _, problem in chunk:
            if isinstance(problem, str):
                self._fail(problem)
        good = [(job, sample) for job, sample in chunk if not isinstance(sample, str)]
        if not good:
            return
        began = time.perf_counter()
        try:
            found = self.predictor.predict([sample for _, sample in good], probs="probs" in self.looks.save)
        except SegkitError as error:  # each alone, to see whose it is
            if len(good) == 1:
                self._fail(f"{good[0][0].source}: {error}")
                return
            for pair in good:
                yield from self._predicted([pair])
            return
        seconds = (time.perf_counter() - began) / len(good)
        for (job, _), prediction in zip(good, found, strict=True):
            yield job, prediction, seconds

    def _write(self, job: Job, prediction: Prediction, seconds: float) -> Record:
        target = job.target.as_posix()
        kinds = results_of(job, "image", self.looks.save)
        files = write_image(self.looks, prediction, target, kinds, job.source)
        height, width = prediction.mask.shape
        return self._record(job, "image", (height, width), files, prediction.shares(), seconds)

    def _record(
        self,
        job: Job,
        kind: str,
        size: tuple[int, int],
        files: Mapping[str, str],
        shares: Mapping[str, float],
        seconds: float,
        frames: int = 1,
    ) -> Record:
        return Record(
            source=str(job.source.resolve()),
            stamp=stamp_of(job.source),
            target=job.target.as_posix(),
            kind=kind,
            size=size,
            files=files,
            shares={name: round(share, 5) for name, share in shares.items()},
            seconds=round(seconds, 4),
            memory_gb=round(peak_memory_gb(), 3),
            frames=frames,
        )

    def _raster(self, job: Job) -> Record:
        """Segments a raster by windows."""
        began = time.perf_counter()
        target = job.target.as_posix()
        path = self.looks.output / raster_place(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = f"{self.settings} {stamp_of(job.source)}"
        with open_raster(job.source) as raster, self.bar.part(job.source.name) as on_progress:
            found = segment_raster(self.predictor, raster, path, settings=settings, on_progress=on_progress)
        kinds = results_of(job, "raster", self.looks.save)
        files = write_raster(self.looks, found, target, kinds, self.predictor.info)
        return self._record(job, "raster", found.size, files, found.shares, time.perf_counter() - began)

    def _video(self, job: Job) -> Record:
        """Segments a video frame by frame; overlays become a video, too."""
        video = Video.open(job.source)
        target, kinds = job.target.as_posix(), results_of(job, "video", self.looks.save)
        per_frame = [kind for kind in kinds if kind in _FRAME_KINDS]
        files = {kind: f"{kind}/{target}" for kind in per_frame}
        seconds, shares, count, size = 0.0, Counter[str](), 0, (0, 0)
        with ExitStack() as stack:
            on_progress = stack.enter_context(self.bar.part(job.source.name))
            writer = None
            if "overlays" in kinds:
                files["overlays"] = f"videos/{target}{VideoWriter.suffix}"
                path = self.looks.output / files["overlays"]
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = stack.enter_context(VideoWriter(path, video.fps))
            frames = ahead(video.frames(), self.predictor.batch_size)
            while images := list(islice(frames, self.predictor.batch_size)):
                began = time.perf_counter()
                samples = [self.predictor.read(Image.fromarray(frame)) for frame in images]
                found = self.predictor.predict(samples, probs="probs" in kinds)
                seconds += time.perf_counter() - began
                for prediction in found:
                    if count == 0 and "gallery" in kinds:
                        files |= write_image(self.looks, prediction, target, ["gallery"], job.source)
                    write_image(self.looks, prediction, f"{target}/{count:06d}", per_frame, job.source)
                    if writer is not None:
                        writer.write(prediction.overlay(self.looks.opacity))
                    shares.update(prediction.shares())
                    count, size = count + 1, prediction.mask.shape
                on_progress(count / max(video.num_frames, count))
        means = {name: share / count for name, share in shares.most_common()}
        return self._record(job, "video", size, files, means, seconds, count)
