"""Further labels of VOC's images: SBD's (Hariharan et al., 2011) and PASCAL Context's (Mottaghi et al., 2014)."""

from pathlib import Path
from typing import Any

import numpy as np

from segkit.config.datasets import known_classes
from segkit.data.prepare.pictures import for_each, some_files, write_list, write_png
from segkit.data.prepare.recipe import Place
from segkit.errors import DatasetError

_ALIASES = {"table": "diningtable"}


def sbd(place: Place) -> None:
    """``cls/<id>.mat`` to ``SegmentationClassAug/<id>.png``, and the list ``trainaug.txt``.

    The list is VOC's ``train`` and all of SBD but VOC's ``val``: 10582 images. VOC's own labels are
    kept where it has any.
    """
    base = place.root
    official = {path.stem for path in (base / "SegmentationClass").glob("*.png")}
    mats = some_files(place.work, "cls/*.mat")
    missing = [m for m in mats if m.stem not in official and not _aug(base, m).exists()]

    def convert(mat: Path) -> None:
        write_png(_aug(base, mat), _mat(mat)["GTcls"].Segmentation.astype(np.uint8))

    for_each(missing, "SBD's labels", place, convert)
    lists = base / "ImageSets" / "Segmentation"
    train, val = (set(_names(lists / f"{split}.txt")) for split in ("train", "val"))
    write_list(lists / "trainaug.txt", sorted((train | {m.stem for m in mats}) - val))


def context(place: Place) -> None:
    """``trainval/<id>.mat`` of 459 classes to ``SegmentationClassContext/<id>.png`` of 59 and background, and lists."""
    base = place.root
    table = _context_table(some_files(place.work, "labels.txt")[0])
    mats = some_files(place.work, "trainval/*.mat")
    labels = base / "SegmentationClassContext"

    def convert(mat: Path) -> None:
        values = _mat(mat)["LabelMap"]
        if int(values.max()) >= len(table):
            raise DatasetError(f"{mat}: value {values.max()} is not in labels.txt, which ends at {len(table) - 1}")
        write_png(labels / f"{mat.stem}.png", table[values])

    for_each([m for m in mats if not (labels / f"{m.stem}.png").exists()], "PASCAL Context's labels", place, convert)
    labelled = {m.stem for m in mats}
    for split in ("train", "val"):
        names = _names(base / "ImageSets" / "Main" / f"{split}.txt")
        write_list(base / "ImageSets" / "SegmentationContext" / f"{split}.txt", [n for n in names if n in labelled])


def _aug(base: Path, mat: Path) -> Path:
    return base / "SegmentationClassAug" / f"{mat.stem}.png"


def _context_table(listing: Path) -> Any:
    """Value among 459 -> 1 to 59, or 0 for background."""
    values: dict[str, int] = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        number, _, name = line.partition(":")
        if number.strip().isdecimal():
            values[name.strip()] = int(number)
    table = np.zeros(max(values.values(), default=0) + 1, np.uint8)
    for new, name in enumerate(known_classes("PascalContext59Dataset")[0], start=1):
        value = values.get(name, values.get(_ALIASES.get(name, ""), -1))
        if value < 0:
            raise DatasetError(f"{listing}: has no class {name!r}")
        table[value] = new
    return table


def _mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return loadmat(path, squeeze_me=True, struct_as_record=False)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from None


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing; is the archive of VOC another one than its name says?")
    return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
