"""Recipes followed from where they stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.archives import ARCHIVES, write_archives
from support.server import serve

from segkit.cli.data import main
from segkit.data.prepare.recipe import Convert, Place, Recipe
from segkit.data.prepare.recipes import RECIPES, find_recipe
from segkit.data.prepare.run import STATE, prepare
from segkit.errors import DatasetError


def without_digests(recipe: Recipe) -> Recipe:
    """For archives that are miniatures of the published ones."""
    return replace(recipe, archives=tuple(a._replace(digest="", size=0) for a in recipe.archives))


def run(recipe: Recipe, root: Path, **options: object) -> list[str]:
    """Prepares; returns what was said, each once, and what was warned of."""
    said: list[str] = []
    prepare(
        recipe,
        root,
        say=lambda what, *_: said.append(what),
        warn=lambda text: said.append(f"warning: {text}"),
        **options,
    )
    return list(dict.fromkeys(said))


def test_archives_are_fetched_from_their_addresses(tmp_path: Path) -> None:
    recipe = without_digests(RECIPES["stare"])
    with serve(ARCHIVES["stare"]()) as site:
        urls = tuple(a._replace(url=f"{site.url}/{a.name}") for a in recipe.archives)
        said = run(replace(recipe, archives=urls), tmp_path)
        assert said == [
            "fetching stare-images.tar", "verifying stare-images.tar", "fetching labels-ah.tar", "verifying labels-ah.tar",
            "unpacking stare-images.tar", "unpacking labels-ah.tar", "images and masks",
        ]  # fmt: skip
        assert run(replace(recipe, archives=urls), tmp_path) == []
        assert len(site.asked) == 2


def test_a_mirror_and_a_broken_connection_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(ARCHIVES["chasedb1"]()) as site:
        site.break_after = [1000]
        main(["prepare", "CHASEDB1", "--root", str(tmp_path), "--mirror", site.url])
    assert "train: 20 images; 16 looked at" in capsys.readouterr().out
    assert site.asked[1] == ("/CHASEDB1.zip", "bytes=1000-")


def test_a_corrupted_download_is_told_deleted_and_fetched_again(tmp_path: Path) -> None:
    recipe = RECIPES["vocaug"]
    good = ARCHIVES["vocaug"]()
    with (
        serve(good) as site,
        pytest.raises(
            DatasetError, match=r"VOCtrainval_11-May-2012.tar: \d+ bytes of md5:\w+, published is md5:6cd6.*deleted"
        ),
    ):
        run(recipe, tmp_path, mirror=site.url)
    assert not list((tmp_path / "archives").rglob("*.tar*"))
    with (
        serve({}) as site,
        pytest.raises(DatasetError, match=r"404 Not Found; or fetch it by hand from http://home\.bharathh"),
    ):
        run(recipe, tmp_path, mirror=site.url)
    with serve(good) as site:
        run(without_digests(recipe), tmp_path, mirror=site.url)


def test_an_archive_of_ones_own_may_be_another_version(tmp_path: Path) -> None:
    archives = write_archives("ade20k", tmp_path / "mine")
    said = run(RECIPES["ade20k"], tmp_path / "root", archives=archives)
    assert "published is sha1:219e" in said[1]
    assert "going on with it, as it is your own" in said[1]
    assert run(RECIPES["ade20k"], tmp_path / "root", archives=archives) == []


def test_a_new_archive_is_unpacked_again(tmp_path: Path) -> None:
    archives = write_archives("lip", tmp_path / "mine")
    run(RECIPES["lip"], tmp_path / "root", archives=archives)
    (archives / "TrainVal_images.zip").write_bytes((archives / "TrainVal_images.zip").read_bytes() + b"")
    assert run(RECIPES["lip"], tmp_path / "root", archives=archives) == ["verifying TrainVal_images.zip"]
    write_archives("lip", archives)
    from support.archives import lines, photo, zipped

    files = {"TrainVal_images/train_id.txt": lines("77_1"), "TrainVal_images/train_images/77_1.jpg": photo(77)}
    (archives / "TrainVal_images.zip").write_bytes(zipped(files))
    assert "unpacking TrainVal_images.zip" in run(RECIPES["lip"], tmp_path / "root", archives=archives)
    assert (tmp_path / "root" / "train_images" / "77_1.jpg").read_bytes() == photo(77)


def test_archives_may_be_deleted_and_lost_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archives, root = write_archives("stare", tmp_path / "mine"), tmp_path / "root"
    command = ["prepare", "stare", "--root", str(root), "--archives", str(archives)]
    main(command)
    for path in archives.iterdir():
        path.unlink()
    main(command)
    (root / "images" / "training" / "im0001.png").unlink()
    with pytest.raises(SystemExit):
        main(command)
    err = capsys.readouterr().err
    assert "im0001" in err
    assert f"to unpack and convert all again, delete {root / STATE}" in err
    write_archives("stare", archives)
    (root / STATE).unlink()
    main(command)


def test_an_interrupted_conversion_goes_on(tmp_path: Path) -> None:
    """What was converted before the interruption is not touched again."""
    archives = write_archives("vocaug", tmp_path / "mine")
    recipe, root = RECIPES["vocaug"], tmp_path / "root"
    convert = recipe.steps[-1]

    def dies(place: Place) -> None:
        def say(what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        convert.function(place._replace(say=say))

    with pytest.raises(KeyboardInterrupt):
        run(replace(recipe, steps=(*recipe.steps[:-1], Convert(convert.what, dies))), root, archives=archives)
    labels = root / "SegmentationClassAug"
    before = {p.name: p.stat().st_mtime_ns for p in labels.glob("*.png")}
    assert before
    assert not (root / "ImageSets/Segmentation/trainaug.txt").exists()
    run(recipe, root, archives=archives)
    after = {p.name: p.stat().st_mtime_ns for p in labels.glob("*.png")}
    assert before.items() <= after.items()
    assert len(after) == 2


@pytest.mark.slow
def test_a_killed_command_goes_on_with_its_download(tmp_path: Path) -> None:
    """SIGKILL in the middle of a download; the same command asks for the rest."""
    [(name, data)] = ARCHIVES["chasedb1"]().items()
    command = [sys.executable, "-m", "segkit.cli.data", "prepare", "chasedb1", "--root", str(tmp_path)]
    part = tmp_path / "archives" / ".incoming" / f"{name}.part"
    with serve({name: data}) as site:
        site.stall_after = len(data) // 2
        process = subprocess.Popen([*command, "--mirror", site.url], env=os.environ, start_new_session=True)
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == len(data) // 2) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        site.stall_after = 0
        done = subprocess.run([*command, "--mirror", site.url], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert site.asked[-1] == (f"/{name}", f"bytes={len(data) // 2}-")
    assert "val: 8 images" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ade20"], "no data set is called 'ade20', did you mean 'ade20k'?"),
        ([], "which data set? segkit-data prepare --list shows all"),
        (
            ["cityscapes"],
            "fetch leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip from https://www.cityscapes-dataset",
        ),
        (
            ["isaid", "--mirror", "http://127.0.0.1:9"],
            "fetch train/images/*.zip, train/Semantic_masks/*.zip, val/images/*.zip",
        ),
    ],
)
def test_what_prepare_refuses(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["prepare", *arguments, "--root", str(tmp_path / "root")])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_a_torn_state_file_and_a_root_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archives = write_archives("lip", tmp_path / "mine")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / STATE).write_text("{")
    with pytest.raises(DatasetError, match="is damaged; delete it"):
        run(RECIPES["lip"], tmp_path / "root", archives=archives)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["prepare", "lip", "--root", str(tmp_path / "file"), "--archives", str(archives)])
    assert "File exists" in capsys.readouterr().err


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    main(["prepare", "--list"])
    out = capsys.readouterr().out
    assert all(f"│ {name} " in out for name in RECIPES)
    assert "leftImg8bit_trainvaltest.zip (by hand)" in out


def test_names_of_types_are_known() -> None:
    assert find_recipe("ADE20kDataset").name == "ade20k"
    assert find_recipe("VOCDataset").name == "voc"
    assert find_recipe("iSAID").name == "isaid"
