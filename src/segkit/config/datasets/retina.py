"""Vessels of the retina, or none."""

from pathlib import Path
from typing import ClassVar, Literal

from segkit.config.component import component
from segkit.config.datasets.base import DatasetConfig
from segkit.config.datasets.facts import Facts, Layout, Split


def _facts(label: str, train: int, val: int) -> Facts:
    """Masks of 0 and 1, or 0 and 255 as the authors have them."""
    layout = Layout("images/{folder}/{id}.*", (f"annotations/{{folder}}/{label}",), names="{split}.txt")
    splits = {"train": Split(train, ("training",)), "val": Split(val, ("validation",))}
    return Facts(splits, (layout,), {0: 0, 1: 1, 255: 1})


@component
class DRIVEDatasetConfig(DatasetConfig):
    """Vessels of the retina (Staal et al., 2004), 20 training and 20 validation images of 584 x 565."""

    type: Literal["DRIVEDataset"] = "DRIVEDataset"
    source: ClassVar[str] = "DRIVE: fetch training.zip and test.zip (drive.grand-challenge.org), lay it out so"
    facts: ClassVar[Facts] = _facts("{id}_manual1.png", 20, 20)
    root: Path = Path("data/DRIVE")
    """Folder that holds ``images/{training,validation}`` and ``annotations/{training,validation}``."""


@component
class STAREDatasetConfig(DatasetConfig):
    """Vessels of the retina (Hoover et al., 2000), 10 training and 10 validation images of 605 x 700."""

    type: Literal["STAREDataset"] = "STAREDataset"
    source: ClassVar[str] = "STARE: fetch stare-images.tar and labels-ah.tar (cecas.clemson.edu/~ahoover/stare)"
    facts: ClassVar[Facts] = _facts("{id}.ah.png", 10, 10)
    root: Path = Path("data/STARE")
    """Folder that holds ``images/{training,validation}`` and ``annotations/{training,validation}``."""


@component
class ChaseDB1DatasetConfig(DatasetConfig):
    """Vessels of the retina (Fraz et al., 2012), 20 training and 8 validation images of 960 x 999."""

    type: Literal["ChaseDB1Dataset"] = "ChaseDB1Dataset"
    source: ClassVar[str] = "CHASE_DB1: fetch CHASEDB1.zip (blogs.kingston.ac.uk/retinal/chasedb1), lay it out so"
    facts: ClassVar[Facts] = _facts("{id}_1stHO.png", 20, 8)
    root: Path = Path("data/CHASE_DB1")
    """Folder that holds ``images/{training,validation}`` and ``annotations/{training,validation}``."""


@component
class HRFDatasetConfig(DatasetConfig):
    """Vessels of the retina (Budai et al., 2013), 15 training and 30 validation images of 2336 x 3504."""

    type: Literal["HRFDataset"] = "HRFDataset"
    source: ClassVar[str] = "HRF: fetch healthy.zip, glaucoma.zip, diabetic_retinopathy.zip (www5.cs.fau.de) and labels"
    facts: ClassVar[Facts] = _facts("{id}.*", 15, 30)
    root: Path = Path("data/HRF")
    """Folder that holds ``images/{training,validation}`` and ``annotations/{training,validation}``."""
