"""TensorBoard, W&B and MLflow hold each step once, also of a run that was killed and went on."""

import os
import signal
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.runs import finish, start, tiny_config, wait_for_step

from segkit.config.loggers import MlflowConfig, WandbConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.launch import train
from segkit.engine.records import last_steps, read_log, scalars, table
from segkit.engine.run import RunFolder
from segkit.engine.sinks.choose import missing_packages
from segkit.engine.sinks.identity import read_identity
from segkit.errors import ConfigError, TrainingError

# What their packages, or those below them, say of themselves.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore:.*noload")]


def needs(package: str) -> Any:
    return pytest.importorskip(package, reason=f"{package} is not installed: pip install 'segkit[{package}]'")


def following(**logger: Any) -> SegmentorConfig:
    """The tiny run, followed by sinks in files."""
    return tiny_config(logger={"tensorboard": True, "num_overlays": 1, **logger})


def board_points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(RunFolder(folder).tensorboard), {"scalars": 0, "images": 0})
    accumulator.Reload()
    points = {name: [(e.step, e.value) for e in accumulator.Scalars(name)] for name in accumulator.Tags()["scalars"]}
    return points | {f"image {n}": [(e.step, 0.0) for e in accumulator.Images(n)] for n in accumulator.Tags()["images"]}


def wandb_rows(folder: Path) -> list[dict[str, str]]:
    """What ``wandb sync`` would send, all parts of the run in order."""
    from wandb.proto.wandb_internal_pb2 import Record

    rows = []
    for file in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        for data in chunks(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                rows.append({i.key or "/".join(i.nested_key): i.value_json for i in record.history.item})
    return rows


def chunks(content: bytes) -> Iterator[bytes]:
    """The whole records of a file in the log format of LevelDB, after a head of 7 bytes."""
    block, at, parts = 32768, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # too little for a head: filled with zeros
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        data = content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind == 0 or len(data) < length:  # what a killed process left unfinished
            return
        parts = data if kind in (1, 2) else parts + data
        if kind in (1, 4):  # whole, or the last part
            yield parts


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed and went on, with every sink whose package is here."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = tiny_config(
        logger={
            "tensorboard": True,
            "num_overlays": 1,
            "wandb": WandbConfig(enabled=find_spec("wandb") is not None, mode="offline", tags=("a",)),
            "mlflow": MlflowConfig(enabled=has_mlflow(), tracking_uri=database(folder.parent), experiment="tiny"),
        }
    )
    process = start(config, folder)
    wait_for_step(process, folder, 5)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    train(config, folder)
    return folder


def has_mlflow() -> bool:
    return all(find_spec(name) is not None for name in ("mlflow", "sqlalchemy", "alembic"))


def database(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def test_tensorboard_holds_each_step_once(followed: Path) -> None:
    points = board_points(followed)
    assert [step for step, _ in points["train/loss"]] == list(range(1, 17))
    assert [step for step, _ in points["val/miou"]] == [8, 16]
    assert {"train/grad_norm", "train/step_s", "train/memory_gb", "val_iou/disc"} <= points.keys()
    logged = {r["step"]: r["loss"] for r in read_log(RunFolder(followed).log) if r["kind"] == "train"}
    assert dict(points["train/loss"]) == pytest.approx(logged)


def test_wandb_holds_each_step_once(followed: Path) -> None:
    needs("wandb")
    rows = wandb_rows(followed)
    assert Counter(int(r["train/step"]) for r in rows if "train/loss" in r) == dict.fromkeys(range(1, 17), 1)
    assert Counter(int(r["val/step"]) for r in rows if "val/miou" in r) == {8: 1, 16: 1}
    (file,) = (followed / "wandb").glob("offline-run-*/*.wandb")  # the torn first part is told again in the second
    assert read_identity(RunFolder(followed), "wandb", "/segkit") in file.name


def test_mlflow_holds_each_step_once(followed: Path) -> None:
    if not has_mlflow():
        pytest.skip("mlflow is not installed: pip install 'segkit[mlflow]'")
    client = mlflow_client(database(followed.parent))
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tiny/run"
    assert run.data.params["scheduler.optimizer.type"] == "SGD"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == list(range(1, 17))
    assert [m.step for m in client.get_metric_history(run.info.run_id, "val/miou")] == [8, 16]
    assert not Path("mlruns").exists()


@pytest.fixture
def store(tmp_path: Path) -> str:
    if not has_mlflow():
        pytest.skip("mlflow is not installed: pip install 'segkit[mlflow]'")
    return database(tmp_path)


def mlflow_client(store: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store)


def test_a_sink_that_comes_later_gets_what_was_before(tmp_path: Path, store: str) -> None:
    folder = tmp_path / "run"
    train(tiny_config(scheduler={"max_epochs": 1}), folder)
    config = following(mlflow=MlflowConfig(enabled=True, tracking_uri=store))
    train(config, folder)
    identity = read_identity(RunFolder(folder), "mlflow", f"{store} segkit")
    steps = [metric.step for metric in mlflow_client(store).get_metric_history(identity, "train/loss")]
    assert steps == list(range(1, 17))
    assert [step for step, _ in board_points(folder)["train/loss"]] == list(range(1, 17))


def test_a_store_that_cannot_be_used_is_told_before_the_first_step(tmp_path: Path, store: str) -> None:
    uri = store.replace("sqlite", "sqlitee")
    with pytest.raises(TrainingError, match=r"logger\.mlflow: .*check logger\.mlflow\.tracking_uri"):
        train(following(mlflow=MlflowConfig(enabled=True, tracking_uri=uri)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_service_that_fails_ends_no_training(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    log_batch, calls = MlflowClient.log_batch, 0

    def lost(self: Any, *arguments: Any, metrics: Any = (), **options: Any) -> Any:
        nonlocal calls
        calls += bool(metrics)
        if 3 <= calls < 100:
            raise ConnectionError("the server is gone")
        return log_batch(self, *arguments, metrics=metrics, **options)

    folder, config = tmp_path / "run", tiny_config(logger={"mlflow": {"enabled": True, "tracking_uri": store}})
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lost)
        train(config, folder)
    out = capsys.readouterr().out
    assert out.count("MlflowSink stops here: the server is gone") == 1
    train(config, folder)  # nothing is left to do, but to tell
    identity = read_identity(RunFolder(folder), "mlflow", f"{store} segkit")
    steps = [metric.step for metric in mlflow_client(store).get_metric_history(identity, "train/loss")]
    assert steps == list(range(1, 17))


def test_a_missing_package_is_told_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.engine.sinks.choose.find_spec", lambda name: None)
    config = tiny_config(logger={"wandb": {"enabled": True}, "mlflow": {"enabled": True}})
    with pytest.raises(ConfigError) as caught:
        train(config, tmp_path / "run")
    lines = str(caught.value).splitlines()
    assert (
        lines[0] == "logger.wandb.enabled: needs the package wandb, which is not installed: pip install 'segkit[wandb]'"
    )
    assert "segkit[mlflow]" in lines[1]
    assert not (tmp_path / "run").exists()
    assert list(missing_packages(tiny_config().logger)) == []


def test_records_become_scalars() -> None:
    train_record = {
        "kind": "train",
        "step": 3,
        "epoch": 1,
        "loss": 0.5,
        "terms": {"a": 0.2, "b": 0.3},
        "grad_norm": None,
    }
    assert scalars(train_record) == {"train/epoch": 1, "train/loss": 0.5, "train/terms/a": 0.2, "train/terms/b": 0.3}
    val: Mapping[str, Any] = {
        "kind": "val",
        "step": 4,
        "ema/miou": 0.1,
        "iou": {"x": 0.3, "y": None},
        "ema/iou": {"x": 0.4},
        "time": "now",
    }
    assert scalars(val) == {"val/ema/miou": 0.1, "val_iou/x": 0.3, "val_iou/ema/x": 0.4}
    assert last_steps([train_record, val]) == {"train": 3, "val": 4}
    header, rows = table([{"kind": "val", "step": 4, "miou": 0.5}, {"kind": "val", "step": 8, "macc": 0.25}])
    assert header == ["step", "val/miou", "val/macc"]
    assert rows == [["4", "0.5", ""], ["8", "", "0.25"]]
