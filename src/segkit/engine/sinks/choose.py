"""Which sinks a run has, and whether their packages are here."""

from collections.abc import Iterator
from importlib.util import find_spec

from segkit.config.training import LoggerConfig
from segkit.engine.sinks.base import Opening, Sink
from segkit.errors import Problem


def missing_packages(config: LoggerConfig) -> Iterator[Problem]:
    """A problem for each sink that is asked for and cannot be."""
    for name in ("wandb", "mlflow"):
        if getattr(config, name).enabled and find_spec(name) is None:
            text = f"needs the package {name}, which is not installed: pip install 'segkit[{name}]'"
            yield Problem(f"logger.{name}.enabled", text)


def open_sinks(opening: Opening) -> Iterator[Sink]:
    """The sinks that are asked for; a package is imported only then.

    Raises:
        TrainingError: a service does not let us in.
    """
    config = opening.config.logger  # what may refuse comes first, so that nothing is written then
    if config.wandb.enabled:
        from segkit.engine.sinks.wandb import WandbSink

        yield WandbSink(opening)
    if config.mlflow.enabled:
        from segkit.engine.sinks.mlflow import MlflowSink

        yield MlflowSink(opening)
    if config.csv:
        from segkit.engine.sinks.csv import CsvSink

        yield CsvSink(opening)
    if config.tensorboard:
        from segkit.engine.sinks.tensorboard import TensorBoardSink

        yield TensorBoardSink(opening)
