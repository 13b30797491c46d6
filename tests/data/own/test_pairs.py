"""Which files go together, in the layouts that people have."""

from pathlib import Path

import pytest

from segkit.data.own.pairs import Found, find_pairs
from segkit.errors import DatasetError

N = range(5)

LAYOUTS = {
    "images/train": [(f"images/{s}/a{i}.jpg", f"labels/{s}/a{i}.png") for s in ("train", "val") for i in N],
    "train/images": [(f"{s}/images/a{i}.jpg", f"{s}/masks/a{i}.png") for s in ("train", "val") for i in N],
    "train_images": [(f"{s}_images/a{i}.jpg", f"{s}_labels/a{i}.png") for s in ("train", "val") for i in N],
    "trainannot": [(f"{s}/a{i}.png", f"{s}annot/a{i}.png") for s in ("train", "val") for i in N],
    "training words": [
        (f"img_dir/{s}/a{i}.tif", f"ann_dir/{s}/a{i}.png") for s in ("training", "validation") for i in N
    ],
    "one name for all": [(f"{s}/{i}/image.png", f"{s}/{i}/mask.png") for s in ("train", "val") for i in N],
    "cities": [
        (f"leftImg8bit/{s}/ulm/u{i}_leftImg8bit.png", f"gt/{s}/ulm/u{i}_gtFine_labelIds.png")
        for s in ("train", "val")
        for i in N
    ],
}
UNSPLIT = {
    "two folders": [(f"images/a{i}.jpg", f"masks/a{i}.png") for i in N],
    "capitals": [(f"Images/A{i}.JPG", f"GroundTruth/A{i}.PNG") for i in N],
    "suffix beside": [(f"a{i}.png", f"a{i}_mask.png") for i in N],
    "both suffixed": [(f"a{i}_image.png", f"a{i}_label.png") for i in N],
    "jpg and png": [(f"a{i}.jpg", f"a{i}.png") for i in N],
    "suffix in folder": [(f"imgs/a{i}.jpg", f"masks/a{i}_1stHO.png") for i in N],
    "sub-folders": [(f"images/{c}/a{i}.jpg", f"labels/{c}/a{i}.png") for c in "xk" for i in N],
    "spaces and accents": [(f"Bilder übrig/images/é {i}.jpg", f"Bilder übrig/masks/é {i}.png") for i in N],
}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def pairs_of(found: Found) -> set[tuple[str, str]]:
    return {(p.image.as_posix(), p.label.as_posix()) for pairs in found.splits.values() for p in pairs}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_with_splits(tmp_path: Path, layout: str) -> None:
    wanted = LAYOUTS[layout]
    found = find_pairs(touch(tmp_path, *(name for pair in wanted for name in pair)))
    assert pairs_of(found) == set(wanted)
    assert {split: len(pairs) for split, pairs in found.splits.items()} == {"train": 5, "val": 5}
    assert found.notes == ()


@pytest.mark.parametrize("layout", UNSPLIT)
def test_layouts_without_splits(tmp_path: Path, layout: str) -> None:
    wanted = UNSPLIT[layout]
    found = find_pairs(touch(tmp_path, *(name for pair in wanted for name in pair)))
    assert pairs_of(found) == set(wanted)
    assert len(found.splits["val"]) == round(0.2 * len(wanted))
    assert "no split for validation" in found.notes[0]


def test_a_drawn_split_is_the_same_everywhere_and_nearly_so_with_more_images(tmp_path: Path) -> None:
    for folder, count in (("a", 100), ("b", 100), ("c", 110)):
        touch(tmp_path / folder, *(f"{kind}/{i}.png" for kind in ("images", "masks") for i in range(count)))
    a, b, c = ({p.image for p in find_pairs(tmp_path / name).splits["val"]} for name in "abc")
    assert a == b
    assert len(a) == 20
    assert len(a & c) >= 17


def test_lists_beside_the_folders_make_the_splits(tmp_path: Path) -> None:
    touch(tmp_path, *(f"JPEGImages/{i}.jpg" for i in range(6)), *(f"SegmentationClass/{i}.png" for i in range(6)))
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n4\n")
    (lists / "val.txt").write_text("2\n")
    found = find_pairs(tmp_path)
    assert {s: sorted(p.image.stem for p in pairs) for s, pairs in found.splits.items()} == {
        "train": ["0", "1", "4"],
        "val": ["2"],
    }
    assert found.notes == ("2 images are in none of the lists beside them and are left out",)


def test_a_test_split_is_kept_and_not_used_for_validation(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{s}/{kind}/{i}.png" for s in ("train", "test") for kind in ("images", "masks") for i in range(5))
    )
    assert {s: len(p) for s, p in find_pairs(tmp_path).splits.items()} == {"train": 4, "val": 1, "test": 5}


def test_what_has_no_partner_is_told(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{i}.jpg" for i in range(6)), *(f"masks/{i}.png" for i in range(1, 8)))
    notes = find_pairs(tmp_path).notes
    assert notes[0] == "1 images have no label and are left out: images/0.jpg"
    assert notes[1] == "2 labels have no image and are left out: masks/6.png, masks/7.png"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["readme.txt"], "no images below it"),
        (["images/a.jpg", "images/b.jpg"], "2 images and 0 labels"),
        (["images/a.jpg", "masks/b.png"], "none go together, such as images/a.jpg and masks/b.png"),
        (["images/a.jpg", "masks/a.png"], "too few labelled images"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, files: list[str], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        find_pairs(touch(tmp_path, *files))
