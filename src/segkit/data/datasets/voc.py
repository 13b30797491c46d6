"""PASCAL VOC 2012 (Everingham et al., 2012), with SBD's further labels (Hariharan et al., 2011) if they are there."""

from segkit.config.datasets import VOCDatasetConfig
from segkit.data.datasets.base import FileDataset, Record, identity_map, need, read_names
from segkit.errors import DatasetError
from segkit.registry import DATASETS

_BORDER = 255


@DATASETS.register(VOCDatasetConfig)
class VOCDataset(FileDataset):
    """20 object classes and background, laid out as the official archive unpacks.

    ``JPEGImages/<id>.jpg``, ``SegmentationClass/<id>.png`` and ``ImageSets/Segmentation/<split>.txt`` in the root, or
    in ``VOC2012`` or ``VOCdevkit/VOC2012`` below it. SBD's labels may lie in ``SegmentationClass``, or in
    ``SegmentationClassAug`` as MMSegmentation has it.
    """

    def __init__(self, config: VOCDatasetConfig, split: str) -> None:
        places = (config.root, config.root / "VOC2012", config.root / "VOCdevkit" / "VOC2012")
        base = next((p for p in places if (p / "JPEGImages").exists()), config.root)
        images = need(base / "JPEGImages", config, "JPEGImages, SegmentationClass and ImageSets/Segmentation")
        listed = base / "ImageSets" / "Segmentation" / f"{split}.txt"
        if not listed.is_file():
            hint = "; trainaug.txt comes with SBD's labels, the official list is train_split: train"
            raise DatasetError(f"VOCDataset: {listed} is missing{hint if split == 'trainaug' else ''}")
        names = read_names(listed)
        official, further = base / "SegmentationClass", base / "SegmentationClassAug"
        added = {p.stem for p in further.glob("*.png")} - {p.stem for p in official.glob("*.png")}
        records = [Record(n, images / f"{n}.jpg", (further if n in added else official) / f"{n}.png") for n in names]
        super().__init__(config, split, records, identity_map(len(config.classes), _BORDER))
