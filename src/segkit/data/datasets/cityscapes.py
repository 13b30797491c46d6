"""Cityscapes with fine annotations (Cordts et al., 2016)."""

from segkit.config.datasets import CityScapesDatasetConfig
from segkit.data.datasets.base import FileDataset, Record, need, read_names
from segkit.registry import DATASETS

_IMAGE, _LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LABEL_MAP: dict[int, int | str] = dict.fromkeys((*range(34), 255), "ignore")  # 255 is -1, the licence plate
_LABEL_MAP.update({label: i for i, label in enumerate(_LABEL_IDS)})


@DATASETS.register(CityScapesDatasetConfig)
class CityScapesDataset(FileDataset):
    """Finely annotated street scenes with 19 classes, laid out as the official archives unpack.

    ``root/leftImg8bit/<split>/<city>/<id>_leftImg8bit.png`` and
    ``root/gtFine/<split>/<city>/<id>_gtFine_labelIds.png``. A list ``root/<split>.txt`` of ``<city>/<id>_leftImg8bit``
    chooses among them.
    """

    def __init__(self, config: CityScapesDatasetConfig, split: str) -> None:
        layout = f"{{leftImg8bit,gtFine}}/{split}/<city>"
        images = need(config.root / "leftImg8bit" / split, config, layout)
        labels = need(config.root / "gtFine" / split, config, layout)
        listed = config.root / f"{split}.txt"
        if listed.is_file():
            names = [n.removesuffix(".png").removesuffix("_leftImg8bit") for n in read_names(listed)]
        else:
            files = sorted(images.glob(f"*/*{_IMAGE}"))
            names = [p.relative_to(images).as_posix().removesuffix(_IMAGE) for p in files]
        records = [Record(n.rpartition("/")[2], images / f"{n}{_IMAGE}", labels / f"{n}{_LABEL}") for n in names]
        super().__init__(config, split, records, _LABEL_MAP)
