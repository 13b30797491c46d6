"""segkit-data init, up to a training with what it wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.data import ids, noise, write_folder, write_pixels

from segkit.cli.data import main
from segkit.cli.train import main as train
from segkit.config.compose import compose

TINY = [
    "scheduler.max_epochs=1", "dataset.train_transforms.resize.output_size=[40,32]", "dataloader.num_workers=0",
    "dataloader.total_batch_size=2", "trainer.accelerator=cpu", "trainer.num_threads=1", "backbone.base_channels=8",
    "backbone.stem_channels=8", "head.channels=8", "logger.tensorboard=false", "logger.num_overlays=0",
]  # fmt: skip


def init(root: Path, options: Path, *more: str) -> list[str]:
    """Makes the options; returns what every command then takes."""
    main(["init", str(root), "--config-dir", str(options), *more])
    name = more[more.index("--name") + 1] if "--name" in more else root.name
    return ["--config-dir", str(options), f"+experiment={name}"]


def flat(root: Path) -> None:
    """0/255 masks beside their images, without splits."""
    for i in range(8):
        write_pixels(root / f"a{i}.png", noise(i, 32, 40, 3))
        write_pixels(root / f"a{i}_mask.png", ids(i, 32, 40, (0, 255)))
    (root / "classes.txt").write_text("crack\n")


def colored(root: Path) -> None:
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    for i in range(8):
        write_pixels(root / "photos" / f"a {i}.jpg", noise(i, 32, 40, 3))
        write_pixels(root / "annotations" / f"a {i}.png", colors[ids(i, 32, 40)])


def multispectral(root: Path) -> None:
    for split, count in (("train", 6), ("val", 2)):
        (root / split / "images").mkdir(parents=True)
        for i in range(count):
            np.save(root / split / "images" / f"{i}.npy", noise(i, 32, 40, 5, dtype=np.uint16))
            write_pixels(root / split / "masks" / f"{i}.png", ids(i, 32, 40, (3, 5, 9)))


@pytest.mark.parametrize("make", [flat, colored, multispectral, write_folder])
def test_a_folder_is_trained_on_at_once(tmp_path: Path, make: object, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "mine"
    make(root)
    arguments = init(root, tmp_path / "options")
    main(["check", *arguments, "--json"])
    report = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))
    assert report["ok"]
    run = tmp_path / "run"
    train([*arguments, *TINY, f"trainer.run_dir={run}"])
    assert json.loads((run / "metrics.json").read_text())
    assert (run / "checkpoints" / "last.pt").is_file()


def test_what_is_written_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, options = tmp_path / "my cracks", tmp_path / "options"
    flat(root)
    init(root, options, "--name", "cracks")
    out = capsys.readouterr().out
    assert "images:   6 train, 2 val; 3 channels, median 32 x 40" in out
    assert "note:     masks of 0 and 255: 255 is the class, 0 the background" in out
    dataset = compose(["+experiment=cracks"], options).dataset
    assert dataset.class_names == ("background", "crack")
    assert dataset.label_map == {0: 0, 255: 1}
    lists = sorted((options / "lists" / "cracks").glob("*.txt"))
    assert [len(path.read_text().splitlines()) for path in lists] == [6, 2]


def test_nothing_is_overwritten_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, options = write_folder(tmp_path / "mine"), tmp_path / "options"
    init(root, options)
    edited = options / "dataset" / "mine.yaml"
    edited.write_text("# mine\n")
    with pytest.raises(SystemExit) as stop:
        init(root, options)
    assert stop.value.code == 2
    assert "exist already; --force replaces them" in capsys.readouterr().err
    assert edited.read_text() == "# mine\n"
    init(root, options, "--force")
    assert edited.read_text() != "# mine\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--name", "ade20k_512x512"], "is an option of segkit's own"),
        (["--name", "a/b"], "must be letters, digits and _"),
        (["--val-share", "1.5"], "--val-share must be between 0 and 1"),
    ],
)
def test_what_init_refuses(tmp_path: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        init(write_folder(tmp_path / "mine"), tmp_path / "options", *more)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "options").exists()
