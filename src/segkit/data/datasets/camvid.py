"""CamVid (Brostow et al., 2009), in the split of the SegNet tutorial."""

from pathlib import Path

from segkit.config.datasets import CamVidDatasetConfig
from segkit.data.datasets.base import FileDataset, Record, identity_map, need, read_names
from segkit.registry import DATASETS

_VOID = 11


@DATASETS.register(CamVidDatasetConfig)
class CamVidDataset(FileDataset):
    """Driving scenes of 360 x 480 with 11 classes.

    ``root/images/<split>/*.jpg|png`` and ``root/labels/<split>/*.png``, or as SegNet's tutorial has it,
    ``root/<split>/*.png`` and ``root/<split>annot/*.png``. A ``root/<split>.txt`` of ids chooses among them.
    """

    def __init__(self, config: CamVidDatasetConfig, split: str) -> None:
        images, labels = config.root / "images" / split, config.root / "labels" / split
        if not images.exists():
            images, labels = config.root / split, config.root / f"{split}annot"
        need(images, config, f"images/{split} and labels/{split} (or {split} and {split}annot)")
        files = {p.stem: p for p in sorted(images.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png")}
        names = _listed(config.root / f"{split}.txt", files)
        records = [Record(name, files.get(name, images / f"{name}.png"), labels / f"{name}.png") for name in names]
        super().__init__(config, split, records, identity_map(len(config.classes), _VOID))


def _listed(path: Path, files: dict[str, Path]) -> list[str]:
    """The ids in the list file, which may name them bare or as SegNet's paths; without one, all."""
    return [Path(line).stem for line in read_names(path)] if path.is_file() else list(files)
