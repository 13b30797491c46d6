"""The look through the labels before training."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from segkit.config.datasets import ShapesConfig
from segkit.data.datasets.shapes import Shapes
from segkit.data.labels import LabelMap
from segkit.data.scan import ScanReport, scan_labels
from segkit.errors import DatasetError
from segkit.types import ClassInfo, Sample

RAW = dict[int, int | str]


@dataclass
class Masks:
    """Label values of some images; None is an image without labels, a string a file that cannot be read."""

    raw: list[list[int] | str | None]
    names: tuple[str, ...] = ("a", "b", "c")
    table: RAW | None = None
    info: ClassInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = ClassInfo(self.names, ((0, 0, 0),) * len(self.names))
        ids = max(len(self.names), 2)
        own: RAW = {i: i for i in range(ids)}
        self.label_map = LabelMap(self.table or own | ({255: "ignore"} if len(self.names) > 1 else {}), len(self.names))

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, index: int) -> Sample:
        values = self.raw[index]
        if isinstance(values, str):
            raise DatasetError(values)
        image = np.zeros((1, len(values or "x"), 3), np.uint8)
        mask = None if values is None else self.label_map(np.array([values], np.uint8), f"m{index}.png")
        return Sample(f"s{index}", image, mask)


def scan(*raw: list[int] | str | None, n: int = 32, **options: object) -> ScanReport:
    return scan_labels(Masks(list(raw), **options), n)


def test_good_labels_are_counted() -> None:
    report = scan([0, 1, 2, 255], [0, 0, 0, 0])
    assert (report.errors, report.warnings, report.samples) == ((), (), 2)
    assert report.counts.tolist() == [5, 1, 1]
    assert report.ignored == 1
    report.require_clean()


def test_unknown_values_come_as_one_error_with_one_remedy() -> None:
    report = scan([0, 1, 7], [9, 7, 1], [0, 1, 2])
    assert report.errors == (
        "in 2 of 3 labels, first in m0.png: label values 7 (2 pixels), 9 (1 pixels) are neither a class (0 to 2) nor "
        "ignored; if they do not count: `label_map: {0: 0, 1: 1, 2: 2, 7: ignore, 9: ignore, 255: ignore}`",
    )
    with pytest.raises(DatasetError, match=r"first in m0\.png"):
        report.require_clean()


@pytest.mark.parametrize("names", [("yes",), ("no", "yes")])
def test_masks_of_0_and_255(names: tuple[str, ...]) -> None:
    report = scan([0, 255, 0], [0, 0, 255], names=names)
    assert len(report.errors) == 1
    assert "label_map: {0: 0, 255: 1}" in report.errors[0]


def test_ignored_and_unseen_are_warnings() -> None:
    report = scan([0, 1], [255, 255])
    assert report.errors == ()
    assert report.warnings == (
        "all pixels are ignored in 1 of 2: s1",
        "1 of 3 classes do not occur in 2 labels: c",
    )


def test_nothing_but_ignored_is_an_error() -> None:
    assert "every pixel is ignored in all 2 labels" in scan([255], [255]).errors[0]


def test_broken_files_and_missing_labels_are_errors_unless_skipped() -> None:
    assert scan([0, 1, 2], "x.jpg: torn").errors == ("x.jpg: torn",)
    skipping = scan_labels(Masks([[0, 1, 2], "x.jpg: torn"]), 32, skip_errors=True)
    assert (skipping.errors, skipping.warnings) == ((), ("x.jpg: torn",))
    assert "1 of 2 samples have no label file" in scan([0, 1, 2], None).errors[0]


def test_the_sample_is_spread_over_the_split() -> None:
    masks = [[0, 1, 2]] * 99 + [[0, 1, 77]]
    assert scan_labels(Masks(masks), 5).errors  # the last is always among them
    assert scan_labels(Masks(masks), 5).samples == 4
    assert scan_labels(Masks(masks), 0).samples == 0


def test_the_embedded_scenes_are_clean() -> None:
    report = scan_labels(Shapes(ShapesConfig(), "train"), 16)
    assert (report.errors, report.warnings) == ((), ())
