"""How the jobs of a sweep get onto a cluster."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, field_validator

from segkit.config.component import adapter, component, to_plain
from segkit.config.problems import word_errors
from segkit.errors import ConfigError, Problem

_DAY_MIN = 1440
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?")
_MEMORY = re.compile(r"\d+[KMGT]")


@component
class SlurmConfig:
    """The jobs of a sweep as one SLURM job array: hydra/launcher=slurm."""

    partition: str | None = None
    """Partition or partitions, separated by commas; null is the cluster's default."""
    account: str | None = None
    """Account that pays."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that the nodes must have."""
    nodes: PositiveInt = 1
    """Nodes of each job; they train together, as trainer.nnodes says."""
    gpus: NonNegativeInt | None = None
    """GPUs on each node; trainer.devices=auto starts a process for each."""
    cpus: PositiveInt | None = None
    """CPUs on each node: for every process one, and its dataloader.num_workers."""
    mem: str | int | None = None
    """Memory on each node, as in 64G."""
    time: str | int | None = None
    """Time limit as in '12:00:00' or '2-00:00:00', or minutes, at most 1440; null is the partition's. A job is told in
    time to save its state."""
    requeue: bool = True
    """Queue a job again that was preempted or reached its time limit; it goes on in the same run folder."""
    max_parallel: PositiveInt | None = None
    """Jobs that may run at the same time; null for any number."""
    setup: tuple[str, ...] = ()
    """Shell commands before the training, as in 'module load cuda'."""
    sbatch: dict[str, bool | int | str] = Field(default_factory=dict)
    """Further parameters of sbatch by their long names, as in {mail-type: END, exclusive: true}."""
    wait: bool = True
    """Wait for the jobs and tell their results; false submits and leaves."""

    @field_validator("time")
    @classmethod
    def _time(cls, value: str | int | None) -> str | int | None:
        if isinstance(value, int) and not 0 < value <= _DAY_MIN:  # YAML reads an unquoted 12:00:00 as 43200
            raise ValueError("must be minutes, 1 to 1440, or quoted as in '12:00:00' and '2-00:00:00'")
        if isinstance(value, str) and _TIME.fullmatch(value) is None:
            raise ValueError("must be as in 12:00:00, 2-00:00:00 or 90 (minutes)")
        return value

    @field_validator("mem")
    @classmethod
    def _mem(cls, value: str | int | None) -> str | int | None:
        if value is not None and _MEMORY.fullmatch(str(value)) is None:
            raise ValueError("must be a whole number with a unit, K, M, G or T, as in 64G")
        return value

    @field_validator("sbatch")
    @classmethod
    def _sbatch(cls, value: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        for key, own in _OWN.items():
            if key in value or key.replace("-", "_") in value:
                raise ValueError(f"must not hold {key}: {own}")
        return value

    @property
    def minutes(self) -> int | None:
        """The time limit, rounded up; None for the partition's."""
        if not isinstance(self.time, str):
            return self.time
        found = _TIME.fullmatch(self.time)
        days, first, second, third = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
        if found is not None and found[1] is not None:  # days-hours:minutes:seconds
            seconds = ((24 * days + first) * 60 + second) * 60 + third
        elif found is not None and found[4] is not None:  # hours:minutes:seconds
            seconds = (60 * first + second) * 60 + third
        else:  # minutes:seconds
            seconds = 60 * first + second
        return -(-seconds // 60)


_OWN = {
    "partition": "hydra.launcher.partition says it",
    "account": "hydra.launcher.account says it",
    "qos": "hydra.launcher.qos says it",
    "constraint": "hydra.launcher.constraint says it",
    "nodes": "hydra.launcher.nodes says it",
    "gpus-per-node": "hydra.launcher.gpus says it",
    "cpus-per-task": "hydra.launcher.cpus says it",
    "mem": "hydra.launcher.mem says it",
    "time": "hydra.launcher.time says it",
    "requeue": "hydra.launcher.requeue says it",
    "no-requeue": "hydra.launcher.requeue says it",
    "array": "hydra.launcher.max_parallel limits it",
    "signal": "it follows from trainer.grace_s",
    "output": "each job has its own file",
    "error": "each job has its own file",
    "ntasks": "each node runs one task, which starts the processes of trainer.devices",
    "ntasks-per-node": "each node runs one task, which starts the processes of trainer.devices",
}
"""sbatch's names for what is said elsewhere."""


def read_slurm(tree: Mapping[str, Any], *, path: str = "hydra.launcher") -> SlurmConfig:
    """Builds the options that ``tree`` describes.

    Raises:
        ConfigError: with every mistake, at its path.
    """
    try:
        config: SlurmConfig = adapter(SlurmConfig).validate_json(json.dumps(to_plain(tree)), strict=True)
    except ValidationError as error:
        problems = word_errors(error.errors(), SlurmConfig, tree)
        raise ConfigError([Problem(f"{path}.{p.path}", p.message) for p in problems]) from None
    return config
