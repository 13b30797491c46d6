"""ADE20K's scene parsing benchmark (Zhou et al., 2017)."""

from segkit.config.datasets import ADE20kDatasetConfig
from segkit.data.datasets.base import FileDataset, Record, need, read_names
from segkit.registry import DATASETS

_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}


@DATASETS.register(ADE20kDatasetConfig)
class ADE20kDataset(FileDataset):
    """Indoor and outdoor scenes with 150 classes, as the official archive unpacks.

    ``ADEChallengeData2016/{images,annotations}/{training,validation}``, below the root or being the root. A list
    ``ADEChallengeData2016/<split>.txt`` of ids chooses among them. Label 0 is "other" and ignored; k is class k - 1.
    """

    def __init__(self, config: ADE20kDatasetConfig, split: str) -> None:
        inner = config.root / "ADEChallengeData2016"
        base = inner if inner.exists() else config.root
        folder = _FOLDERS.get(split, split)
        layout = f"ADEChallengeData2016/{{images,annotations}}/{folder}"
        images, labels = need(base / "images" / folder, config, layout), base / "annotations" / folder
        if split != "test":
            need(labels, config, layout)
        listed = base / f"{split}.txt"
        names = read_names(listed) if listed.is_file() else sorted(p.stem for p in images.glob("*.jpg"))
        has_labels = labels.exists()
        records = [Record(n, images / f"{n}.jpg", labels / f"{n}.png" if has_labels else None) for n in names]
        super().__init__(config, split, records, {0: "ignore"} | {k: k - 1 for k in range(1, 151)})
