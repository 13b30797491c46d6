"""Starting a training: in this process, in several of our own, or as one of an external torchrun's."""

import json
from contextlib import ExitStack
from pathlib import Path

import torch.distributed as torch_dist

from segkit.config.checks import cross_checks
from segkit.config.component import to_plain
from segkit.config.segmentor import SegmentorConfig
from segkit.config.validate import validate
from segkit.engine.devices import count_processes
from segkit.engine.heartbeat import Heartbeat, is_lost_connection
from segkit.engine.nodes import this_node
from segkit.engine.prepare import prepared, run_folder
from segkit.engine.process import die_with_parent, is_external, open_store, process_group, run_process
from segkit.engine.run import RunFolder, RunResult
from segkit.engine.sinks.choose import missing_packages
from segkit.engine.together import train_together
from segkit.errors import ConfigError, TrainingError


def train(config: SegmentorConfig | None, run_dir: str | Path | None = None) -> RunResult:
    """Trains a model.

    One process trains right here, so that a debugger works; several are started through torchrun's own agent. With
    ``config.trainer.nnodes`` machines, each calls this. Under an external torchrun every process calls this, and rank
    0's configuration is used.

    Args:
        config: all options; under an external torchrun, only rank 0 needs one.
        run_dir: folder of the results, in place of ``config.trainer.run_dir``. A run that was cut off goes on there.

    Raises:
        TrainingStopped: a signal asked to stop; the state is saved.
        SegkitError: the input cannot be used, or training cannot go on.
        RuntimeError: a process failed for a reason that is not the user's; holds its traceback.
    """
    if is_external():
        return _train_external(config, run_dir)
    if config is None:
        raise TypeError("config is needed where torchrun did not start this process")
    _check(config)
    node, processes = this_node(config.trainer), count_processes(config.trainer)
    if node.count == processes == 1:
        with run_folder(config, run_dir) as folder, prepared(config, folder):
            return run_process(config, folder)
    return train_together(config, run_dir, node, processes)


def _check(config: SegmentorConfig) -> None:
    """What the command line checks when it composes, for configurations that were made in Python."""
    problems = [*cross_checks(config), *missing_packages(config.logger)]
    if problems:
        raise ConfigError(problems)


def _train_external(config: SegmentorConfig | None, run_dir: str | Path | None) -> RunResult:
    """One of the processes of an external torchrun: rank 0 tells the others what to do."""
    if torch_dist.is_torchelastic_launched():  # by another launcher, the parent may be a shell that comes and goes
        die_with_parent()
    store, rank, world_size = open_store()
    with ExitStack() as stack:
        if rank == 0:
            if config is None:
                raise TypeError("rank 0 needs a config")
            _check(config)
            folder = stack.enter_context(run_folder(config, run_dir))
            store.set("config", json.dumps({"tree": to_plain(config), "run_dir": str(folder.path.resolve())}))
            stack.enter_context(prepared(config, folder))
        else:
            told = json.loads(store.get("config"))
            config, folder = validate(told["tree"]), RunFolder(Path(told["run_dir"]))
        heartbeat = stack.enter_context(Heartbeat(store, rank, world_size, timeout_s=config.trainer.timeout_s))
        try:
            with process_group(config, store, rank, world_size):
                return run_process(config, folder, heartbeat)
        except RuntimeError as error:
            if not is_lost_connection(error):
                raise
            text = f"process {rank} waited for another in vain ({heartbeat.places()}): {error}".partition("\n")[0]
            raise TrainingError(text) from error
