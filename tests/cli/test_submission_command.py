"""segkit-test --submission: from a checkpoint to the files that a benchmark takes."""

import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.checkpoints import write_untrained
from support.commands import exit_code
from support.miniatures import IMAGE, save, write_mini
from support.runs import tiny_config

from segkit.cli.test import main
from segkit.config.datasets import CityScapesDatasetConfig
from segkit.config.transforms import NormalizeConfig
from segkit.data.io import read_label

run = partial(exit_code, main)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An untrained model of Cityscapes, whose miniature has a test split without labels."""
    root = write_mini("CityScapesDataset", tmp_path / "data")
    for name in ("berlin/berlin_000000_000019", "bonn/bonn_000004_000019", "ulm/ulm_000001_000019"):
        save(root / f"leftImg8bit/test/{name}_leftImg8bit.png", IMAGE)
    data = CityScapesDatasetConfig(root=root, val_transforms={"normalize": NormalizeConfig()})
    return write_untrained(tmp_path / "best.pt", tiny_config(dataset=data))


def test_a_split_without_labels_becomes_a_submission(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(checkpoint, "--split", "test", "--submission", tmp_path / "out.zip") == 0
    assert "3 predictions of split test are in" in capsys.readouterr().out
    assert run(checkpoint, "--split", "test", "--submission", tmp_path / "out") == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = sorted(archive.namelist())
        assert names == ["berlin_000000_000019.png", "bonn_000004_000019.png", "ulm_000001_000019.png"]
        for name in names:
            assert archive.read(name) == (tmp_path / "out" / name).read_bytes()
            label = read_label(tmp_path / "out" / name)
            assert label.shape == (24, 32)
            assert set(np.unique(label)) <= {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}
    assert not (tmp_path / "best.test.json").exists()


def test_mistakes_exit_with_2_and_leave_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        ("--split", "test"): "split 'test' has no labels to compare with; --submission FILE.zip",
        ("--split", "test", "--submission", tmp_path / "out.rar"): "must be a folder, or a file that ends in",
        ("--split", "tset", "--submission", tmp_path / "out"): "no split 'tset', did you mean 'test'?",
        (
            "--split",
            "test",
            "--submission",
            tmp_path / "out",
            "trainer.devices=2",
        ): "must be 1 for a submission (got 2)",
        ("--split", "test", "--submission", checkpoint): "exists; name another",
        ("--split", "test", "--submission", tmp_path / "out", "dataset.root=/nowhere"): "no folder /nowhere",
        ("--submission", tmp_path / "out", "--output", tmp_path / "x.json"): "--output: has no place beside --subm",
        ("--submission", tmp_path / "out", "--report", tmp_path / "x", "--metrics", "boundary"): "--metrics: has no pl",
    }
    before = sorted(tmp_path.iterdir())
    for arguments, message in cases.items():
        assert run(checkpoint, *arguments) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told
        assert sorted(tmp_path.iterdir()) == before


def test_where_a_submission_goes_is_asked_before_torch_is_loaded(checkpoint: Path, tmp_path: Path) -> None:
    code = "import sys\nfrom segkit.cli.test import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(checkpoint), "--submission", str(tmp_path / "out.rar")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr


def test_a_split_with_labels_can_be_written_too(checkpoint: Path, tmp_path: Path) -> None:
    assert run(checkpoint, "--submission", tmp_path / "val") == 0
    assert len(list((tmp_path / "val").iterdir())) == 2
