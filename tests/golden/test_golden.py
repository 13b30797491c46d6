"""The reference's numbers, by ``check.py`` over the files in ``data/``; and that it tells wrong from right."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import check
import fill
import numpy as np
import pytest
import ties
import torch
from kinds import mmseg_losses, transforms

DATA = Path(__file__).parent / "data"
SLOW = ("seg_lraspp", "bb_resnet101", "seg_fcn_unet", "seg_pspnet_unet")  # large images, large models
SLOW += ("seg_danet", "seg_dnlnet", "seg_gcnet", "seg_idrnet_aspp", "seg_idrnet_ppm", "seg_idrnet_upernet")
SLOW += ("seg_isnet", "seg_mcibiplusplus_", "seg_nonlocalnet", "seg_ocrnet")
CASES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem.startswith(SLOW) else [])
    for path in sorted(DATA.glob("*.json"))
]


@pytest.mark.parametrize("path", CASES)
def test_case(path: Path) -> None:
    differences = list(check.check(path))
    worst = max(differences, key=lambda d: d.relative)
    assert worst.relative <= check.LIMIT, worst


def test_rates_are_the_references_to_the_last_digit() -> None:
    differences = list(check.check(DATA / "schedulers.json"))
    assert len(differences) == 75 + 48 * 5
    worst = max(differences, key=lambda d: d.relative)
    assert worst.relative < 1e-12, worst


def test_the_copies_are_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 7 * 2**20


def test_every_deterministic_transform_is_compared() -> None:
    case = json.loads((DATA / "transforms.json").read_text())
    settings = [s for s in case["settings"] if not s["mode"].startswith("seeded")]
    left_out = [s["key"] for s in settings if transforms.config_of(s) is None]
    assert left_out == ["25_Padding"]  # swaps the sides for upright images
    assert len({s["type"] for s in settings}) == 17


def test_most_of_the_other_reference_s_losses_are_compared() -> None:
    settings = json.loads((DATA / "mmseg_losses.json").read_text())["settings"]
    compared = {s["type"] for s in settings} - mmseg_losses.LEFT_OUT
    assert compared == set(mmseg_losses.TERMS)
    names = {d.name.split()[0] for d in check.check(DATA / "mmseg_losses.json")}
    assert len(names) == 89


def test_the_fill_is_the_reference_s(shared: Callable[..., Path]) -> None:
    source = shared("golden", "fill.py").read_text()
    theirs: dict[str, Callable] = {}
    exec(source, theirs)  # noqa: S102 - the project's own shared file
    state = [("a.weight", [4, 3, 3, 3]), ("a.bias", [4]), ("n.weight", [4]), ("n.running_mean", [4])]
    state += [("n.running_var", [4]), ("n.num_batches_tracked", []), ("scale", []), ("fixed", [2, 2])]
    for gain in (1.0, 1.5):
        wanted = theirs["fill_state"](state, ["fixed"], gain)
        ours = fill.fill_state(state, [["fixed", [2, 2], "int64"]], gain)
        assert set(ours) == set(wanted)
        for name, value in wanted.items():
            np.testing.assert_array_equal(ours[name], value)
            assert ours[name].dtype == value.dtype
    np.testing.assert_array_equal(fill.image((1, 3, 4, 5)), theirs["image"]((1, 3, 4, 5)))
    np.testing.assert_array_equal(fill.target(2, 7, 9, 19), theirs["target"](2, 7, 9, 19))


def changed(tmp_path: Path, name: str, change: Callable[[dict, dict], None]) -> Path:
    """A copy of a case with something else in it."""
    case = json.loads((DATA / f"{name}.json").read_text())
    with np.load(DATA / f"{name}.npz") as file:
        arrays = dict(file)
    change(case, arrays)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(case))
    np.savez(path.with_suffix(".npz"), **arrays)
    return path


def a_number(case: dict, arrays: dict) -> None:
    arrays["out1"].flat[7] += 2e-4 * np.abs(arrays["out1"]).max()


def a_sum(case: dict, arrays: dict) -> None:
    case["outputs"]["out0"]["sum_abs"] *= 1.001


def a_shape(case: dict, arrays: dict) -> None:
    case["outputs"]["out2"]["shape"][1] += 1


def an_output(case: dict, arrays: dict) -> None:
    case["outputs"]["out9"] = case["outputs"]["out0"]


def a_parameter_less(case: dict, arrays: dict) -> None:
    case["state"].pop(0)


def a_parameter_more(case: dict, arrays: dict) -> None:
    case["state"].append(["fc.weight", [10, 512]])


def an_argument(case: dict, arrays: dict) -> None:
    case["facts"]["backbone"]["contract_dilation"] = False


def an_unknown_argument(case: dict, arrays: dict) -> None:
    case["facts"]["backbone"]["colour"] = "blue"


def the_kind(case: dict, arrays: dict) -> None:
    del case["facts"]


@pytest.mark.parametrize(
    "change",
    [
        a_number,
        a_sum,
        a_shape,
        an_output,
        a_parameter_less,
        a_parameter_more,
        an_argument,
        an_unknown_argument,
        the_kind,
    ],
)
def test_what_is_wrong_fails(
    change: Callable[[dict, dict], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([str(changed(tmp_path, "bb_resnet18os8", change))]) == 1
    line = capsys.readouterr().out
    assert line.startswith("bb_resnet18os8")
    assert " FAIL  " in line
    assert line.count("\n") == 1


def test_files_that_are_missing_or_torn_fail_and_the_others_are_still_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(DATA / "losses.json", tmp_path / "alone.json")
    (tmp_path / "torn.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    shutil.copy(DATA / "samplers.json", tmp_path / "samplers.json")
    names = ("absent", "torn", "list", "alone", "samplers")
    assert check.main([str(tmp_path / f"{name}.json") for name in names]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names)
    assert [" FAIL  " in line for line in lines] == [True] * 4 + [False]


def test_all_right_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(DATA / "samplers.json")]) == 0
    name, difference, verdict = capsys.readouterr().out.split()
    assert (name, verdict) == ("samplers", "ok")
    assert float(difference) < 1e-6


def test_assignments_that_cost_the_same_are_found() -> None:
    cost = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 9.0], [9.0, 9.0, 4.0]])
    found = [dict(zip(m.queries.tolist(), m.masks.tolist(), strict=True)) for m in ties.tied_matches(cost)]
    assert sorted(found, key=str) == [{0: 0, 1: 1, 2: 2}, {0: 1, 1: 0, 2: 2}]  # 1 + 3 = 2 + 2
    cost[0, 0] -= 1e-3
    assert len(ties.tied_matches(cost)) == 1
    assert len(ties.tied_choices([cost, torch.zeros(2, 2)])) == 2
