"""segkit-data prepare, from miniature archives in the true layout to what the data set reads."""

from pathlib import Path

import pytest
from support.archives import ARCHIVES, write_archives

from segkit.cli.data import main
from segkit.cli.data_prepare import next_command
from segkit.config.compose import compose
from segkit.data.prepare.recipes import RECIPES

BIG = ("potsdam", "vaihingen", "isaid", "hrf")


def test_every_recipe_has_archives_to_test_it_with() -> None:
    assert ARCHIVES.keys() == RECIPES.keys()


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in BIG else n for n in RECIPES])
def test_archives_become_a_data_set(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prepared, read by its class; and again, at once."""
    archives = write_archives(name, tmp_path / "archives")
    command = ["prepare", name, "--root", str(tmp_path / "root"), "--archives", str(archives)]
    main(command)
    out = capsys.readouterr().out
    for split in RECIPES[name].splits:
        assert f"\n{split}: " in f"\n{out}"
    assert f"dataset.root={tmp_path / 'root'}" in out
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "root").rglob("*") if p.is_file()}
    assert not (tmp_path / "root" / ".work").exists()
    main(command)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "root").rglob("*") if p.is_file()} == before
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", ["ade20k", "voc", "vocaug", "cocostuff10k", "potsdam", "isaid"])
def test_the_command_that_comes_next_can_be_given(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    words = next_command(recipe, tmp_path).removeprefix("to train: segkit-train ").split()
    dataset = compose(words).dataset
    assert (dataset.type, dataset.root) == (recipe.type, tmp_path)
    assert (dataset.train_split, dataset.val_split) == recipe.splits


def test_what_can_only_be_evaluated_or_has_no_options(tmp_path: Path) -> None:
    assert next_command(RECIPES["darkzurich"], Path("x")).startswith(
        "to evaluate: segkit-test CHECKPOINT dataset=darkzurich_"
    )
    assert next_command(RECIPES["cocovocsub"], Path("x")).startswith("to use: dataset=COCOVOCSUBDataset dataset.root=x")
