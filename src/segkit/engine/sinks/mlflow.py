"""MLflow: a tracking server, or a database file."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from segkit.config.component import to_plain
from segkit.config.loggers import MlflowConfig
from segkit.engine.sinks.base import Opening, Sink, Status, flat_config
from segkit.engine.sinks.identity import read_identity, write_identity
from segkit.errors import TrainingError

_STATES: Mapping[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_DATABASE_FILE = "sqlite:///"
_PARAMS_A_CALL = 100
_LONGEST_PARAM = 500


class MlflowSink(Sink):
    """Sends records to one run of MLflow, in a thread of its own: a slow server holds up nothing.

    A resumed run goes on in the same MLflow run, and the store itself says what it has.

    Raises:
        TrainingError: the server or database cannot be used.
    """

    def __init__(self, opening: Opening) -> None:
        config = opening.config.logger.mlflow
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._report = opening.folder.report
        self._timeout_s = config.close_timeout_s
        self._pending: list[Future[Any]] = []
        try:
            self._client = MlflowClient(tracking_uri=config.tracking_uri)
            self._id = self._open(opening, config)
            has = {kind: self._last_step(f"{kind}/epoch") for kind in ("train", "val")}
        except MlflowException as error:
            reason = str(error).splitlines()[0]
            hint = "check logger.mlflow.tracking_uri, or set logger.mlflow.enabled=false"
            raise TrainingError(f"logger.mlflow: {reason}; {hint}") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        super().__init__(opening, has)

    def _open(self, opening: Opening, config: MlflowConfig) -> str:
        """The id of the run that exists, or of a new one."""
        client = self._client
        place = f"{client.tracking_uri} {config.experiment}"
        known = read_identity(opening.folder, "mlflow", place)
        if known is not None:
            client.update_run(known, status="RUNNING")
            return known
        experiment = client.get_experiment_by_name(config.experiment) or self._make_experiment(config.experiment)
        run = client.create_run(experiment.experiment_id, run_name=config.name or opening.name)
        identity = str(run.info.run_id)
        options = flat_config(to_plain(opening.config)).items()
        params = [Param(_name(key), str(value)[:_LONGEST_PARAM]) for key, value in options]
        for start in range(0, len(params), _PARAMS_A_CALL):
            client.log_batch(identity, params=params[start : start + _PARAMS_A_CALL])
        write_identity(opening.folder, "mlflow", place, identity)
        return identity

    def _make_experiment(self, name: str) -> Any:
        """The experiment; its files stand beside a database file, not in whatever folder this process is in."""
        uri = self._client.tracking_uri
        place = None
        if uri.startswith(_DATABASE_FILE):
            place = (Path(uri.removeprefix(_DATABASE_FILE)).resolve().parent / "mlartifacts").as_uri()
        try:
            self._client.create_experiment(name, artifact_location=place)
        except MlflowException:  # another run of a sweep was quicker
            if self._client.get_experiment_by_name(name) is None:
                raise
        return self._client.get_experiment_by_name(name)

    def _last_step(self, name: str) -> int:
        return max((metric.step for metric in self._client.get_metric_history(self._id, name)), default=0)

    @property
    def place(self) -> str:
        return f"mlflow: run {self._id} at {self._client.tracking_uri}"

    def close(self, status: Status) -> None:
        if status == "finished" and self._report.exists():
            self._later(self._client.log_artifact, self._id, str(self._report))
        self._later(self._client.set_terminated, self._id, _STATES[status])
        wait(self._pending, timeout=self._timeout_s)
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._check()

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        now = round(time.time() * 1000)
        metrics = [Metric(_name(name), value, now, step) for name, value in values.items()]
        self._later(self._client.log_batch, self._id, metrics=metrics)

    def _write_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        self._later(self._client.log_image, self._id, image, artifact_file=f"{_name(name)}-{step}.png")

    def _later(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._check()
        self._pending.append(self._thread.submit(call, *arguments, **options))

    def _check(self) -> None:
        """Raises what went wrong in a call that has ended."""
        ended = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if future not in ended]
        for future in ended:
            future.result()


def _name(text: str) -> str:
    """With the characters that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", text, flags=re.ASCII)
