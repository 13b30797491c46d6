"""Vessels of the retina: images and masks of four sources in one layout, masks of 0 and 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.data.prepare.pictures import for_each, read_picture, some_files, write_list, write_png
from segkit.data.prepare.recipe import Place
from segkit.errors import DatasetError

_FOLDERS = {"train": "training", "val": "validation"}

Files = tuple[str, Path, Path]
"""The sample's id, its image, and its mask."""


def chase(place: Place) -> None:
    """The first 20 of 28 images train, the first observer's masks count."""
    images = some_files(place.work, "Image_*.jpg")
    files = [(p.stem, p, p.with_name(f"{p.stem}_1stHO.png")) for p in images]
    _write(place, {"train": files[:20], "val": files[20:]}, "{}_1stHO.png")


def stare(place: Place) -> None:
    """The first 10 of 20 images train, Adam Hoover's masks count."""
    images = {p.name.split(".")[0]: p for p in some_files(place.work / "images", "im*.ppm*")}
    masks = {p.name.split(".")[0]: p for p in some_files(place.work / "labels", "im*.ah.ppm*")}
    files = _paired(images, masks)
    _write(place, {"train": files[:10], "val": files[10:]}, "{}.ah.png")


def hrf(place: Place) -> None:
    """The first 5 of 15 healthy, glaucomatous and diabetic eyes train."""
    splits: dict[str, list[Files]] = {"train": [], "val": []}
    for kind in ("h", "g", "dr"):
        images = {p.stem: p for p in some_files(place.work / "images", f"*_{kind}.*")}
        masks = {p.stem: p for p in some_files(place.work / "labels", f"*_{kind}.tif")}
        files = _paired(images, masks)
        splits["train"] += files[:5]
        splits["val"] += files[5:]
    _write(place, splits, "{}.png")


def drive(place: Place) -> None:
    """The 20 images of training.zip train, the 20 of test.zip, where it has masks, validate."""
    splits = {}
    for split, folder in (("train", "training"), ("val", "test")):
        images = {p.stem[:2]: p for p in some_files(place.work / folder, "images/*.tif")}
        masks = {p.stem[:2]: p for p in (place.work / folder).rglob("1st_manual/*.gif")}
        if not masks:
            raise DatasetError(
                f"{folder}.zip of DRIVE has no 1st_manual/*.gif: as it is published now, the archive keeps the masks "
                "back; validate on images of training.zip, or take an older test.zip"
            )
        splits[split] = _paired(images, masks)
    _write(place, splits, "{}_manual1.png")


def _paired(images: dict[str, Path], masks: dict[str, Path]) -> list[Files]:
    lonely = sorted(images.keys() ^ masks.keys())
    if lonely:
        raise DatasetError(f"no image or no mask of {', '.join(lonely[:5])}; is an archive incomplete?")
    return [(name, images[name], masks[name]) for name in sorted(images)]


def _write(place: Place, splits: Mapping[str, Sequence[Files]], mask_name: str) -> None:
    root = place.root

    def convert(job: tuple[str, Files]) -> None:
        folder, (name, image, mask) = job
        write_png(root / "images" / folder / f"{name}.png", read_picture(image, "RGB"))
        values = read_picture(mask, "L")
        write_png(root / "annotations" / folder / mask_name.format(name), (values > 127).astype("uint8"))

    jobs = [(_FOLDERS[split], files) for split, all_files in splits.items() for files in all_files]
    for_each(jobs, "images and masks", place, convert)
    for split, files in splits.items():
        write_list(root / f"{split}.txt", (f"{name}.png" for name, _, _ in files))
