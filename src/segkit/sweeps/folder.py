"""The folder of a sweep: what it was asked for, and one run folder a job."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from segkit.config.component import to_plain
from segkit.config.launcher import SlurmConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.run import RunFolder
from segkit.errors import SweepError
from segkit.files import write_file


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        folder: its run folder.
        number: its place in the sweep, from 0; also the folder's name.
        overrides: what it was composed of.
        slurm_id: under which SLURM knows it, as in 17_0; None if it was never submitted.
    """

    folder: RunFolder
    number: int
    overrides: tuple[str, ...]
    slurm_id: str | None = None

    @cached_property
    def values(self) -> dict[str, str]:
        """Dotted path -> value, as text."""
        pairs = (line.partition("=") for line in self.overrides if "=" in line)
        return {key.lstrip("+~"): value.strip("'\"") for key, _, value in pairs if not key.startswith("hydra")}

    @property
    def failed(self) -> Path:
        """Why the job ended in vain; absent otherwise."""
        return self.folder.path / "failed.json"

    def note_failure(self, text: str, exit_code: int) -> None:
        """Notes why the job ended in vain."""
        write_file(self.failed, json.dumps({"text": text, "exit_code": exit_code}, indent=2) + "\n")

    def read_failure(self) -> tuple[str, int] | None:
        """(what was said, exit code) if the job ended in vain."""
        if not self.failed.exists():
            return None
        tree = json.loads(self.failed.read_text(encoding="utf-8"))
        return tree["text"], tree["exit_code"]

    def write(self) -> None:
        """Writes what is known of the job into its folder."""
        tree = {"number": self.number, "overrides": list(self.overrides), "slurm_id": self.slurm_id}
        write_file(self.folder.path / _JOB, json.dumps(tree, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Job":
        """The job whose run folder is ``path``.

        Raises:
            SweepError: if it is none of a sweep.
        """
        file = path / _JOB
        if not file.exists():
            raise SweepError(f"{path}: no {_JOB} there; a job's folder is one of the numbered ones in a sweep's")
        tree = json.loads(file.read_text(encoding="utf-8"))
        return cls(RunFolder(path), tree["number"], tuple(tree["overrides"]), tree["slurm_id"])


_JOB = "job.json"


@dataclass(frozen=True)
class SweepFolder:
    """Names of the files of one sweep."""

    path: Path

    @property
    def info(self) -> Path:
        """What the sweep was asked for."""
        return self.path / "sweep.json"

    @property
    def slurm(self) -> Path:
        """Scripts, logs and state of the SLURM jobs."""
        return self.path / "slurm"

    def create(self, overrides: Sequence[str], launcher: str, options: SlurmConfig | None) -> None:
        """Makes the folder.

        Raises:
            SweepError: if it holds a sweep.
        """
        if self.info.exists():
            text = f"{self.path} holds a sweep: segkit-sweep resume {self.path} goes on with it"
            raise SweepError(f"{text}; another hydra.sweep.dir starts a new one")
        self.path.mkdir(parents=True, exist_ok=True)
        tree = {
            "overrides": list(overrides),
            "launcher": launcher,
            "options": None if options is None else to_plain(options),
            "directory": str(Path.cwd()),
        }
        write_file(self.info, json.dumps(tree, indent=2) + "\n")

    def read(self) -> dict[str, Any]:
        """What :meth:`create` wrote.

        Raises:
            SweepError: if there is no sweep.
        """
        if not self.info.exists():
            text = f"{self.path}: no sweep there" if self.path.exists() else f"{self.path}: no such folder"
            raise SweepError(f"{text}; segkit-train -m ... makes them, in runs/sweeps unless told otherwise")
        tree: dict[str, Any] = json.loads(self.info.read_text(encoding="utf-8"))
        return tree

    def jobs(self) -> list[Job]:
        """All jobs, by number."""
        return sorted((Job.read(file.parent) for file in self.path.glob(f"*/{_JOB}")), key=lambda job: job.number)

    def find(self, number: int) -> Job | None:
        """The job of this number, if it was frozen."""
        path = self.path / str(number)
        return Job.read(path) if (path / _JOB).exists() else None

    def freeze(self, number: int, overrides: Sequence[str], config: SegmentorConfig) -> Job:
        """Writes a job's configuration, which is from then on the only one that counts."""
        job = Job(RunFolder(self.path / str(number)), number, tuple(overrides))
        trainer = replace(config.trainer, run_dir=self.run_dir(number))
        if trainer.resume == "never":  # the folder is new, and a job that is queued again must go on there
            trainer = replace(trainer, resume="auto")
        job.folder.create(replace(config, trainer=trainer))
        job.write()
        return job

    def run_dir(self, number: int) -> Path:
        """The run folder of a job, wherever it is started from."""
        return (self.path / str(number)).resolve()

    def discard_if_unused(self) -> None:
        """Removes the folder again if no job was submitted or started."""
        jobs = self.jobs() if self.path.exists() else []
        if any(job.slurm_id or job.folder.is_used() or job.failed.exists() for job in jobs):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in self.path.parents[:2]:  # runs/sweeps, if empty too
            if parent == Path() or any(parent.iterdir()):
                break
            parent.rmdir()


def swept(jobs: Sequence[Job]) -> list[str]:
    """Dotted paths in which the jobs differ, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def short_names(keys: Sequence[str]) -> list[str]:
    """The last parts of dotted paths, as far as they differ: ``lr`` for ``scheduler.optimizer.lr``."""
    last = [key.rpartition(".")[2] for key in keys]
    return [short if last.count(short) == 1 else key for short, key in zip(last, keys, strict=True)]


def label(job: Job, keys: Sequence[str]) -> str:
    """The job's number and what sets it apart, as ``job 2 (scheduler.optimizer.lr=0.02)``."""
    parts = ", ".join(f"{key}={job.values[key]}" for key in keys if key in job.values)
    return f"job {job.number}" + (f" ({parts})" if parts else "")
