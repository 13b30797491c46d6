"""COCO's instances as labels of PASCAL VOC's classes (Lin et al., 2014)."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import COCOVOCSUBDatasetConfig
from segkit.data.datasets.base import FileDataset, Record
from segkit.data.datasets.files import find_place
from segkit.data.datasets.missing import stop_or_tell
from segkit.data.io import read_bytes
from segkit.errors import DatasetError, some_of
from segkit.registry import DATASETS

_MIN_PIXELS = 1000


class Instance(NamedTuple):
    """An object in an image.

    Attributes:
        label: class id.
        area: pixels, as COCO counts them.
        outline: COCO's segmentation, polygons or a run-length code, as JSON: parsed, it takes ten times the memory.
    """

    label: int
    area: float
    outline: str


class Picture(NamedTuple):
    """An image of COCO and the objects in it, in the order of the file."""

    file: str
    height: int
    width: int
    instances: list[Instance]


@DATASETS.register(COCOVOCSUBDatasetConfig)
class COCOVOCSUBDataset(FileDataset):
    """Images with more than 1000 pixels of the classes, labelled from ``annotations/instances_<split>2017.json``.

    The first instance to claim a pixel has it, crowds included; what nobody claims is background.
    """

    def __init__(self, config: COCOVOCSUBDatasetConfig, split: str) -> None:
        place = find_place(config, split)
        if place.names is None or not place.names.is_file():
            raise DatasetError(f"{place.names} is missing: it holds the labels of split {split!r}; {config.source}")
        classes = {category: k for k, category in enumerate(config.categories) if category}
        pictures = [picture for picture in _read_pictures(place.names, classes) if _is_labelled(picture)]
        folder = place.first_folder()
        missing = [p.file for p in pictures if not (folder / p.file).is_file()]
        if missing:
            text = f"{len(missing)} of {len(pictures)} images that {place.names} names are not in {folder}"
            stop_or_tell(config, f"{text}: {some_of(missing)}", missing)
        gone = set(missing)
        self._pictures = {Path(p.file).stem: p for p in pictures if p.file not in gone}
        super().__init__(config, split, [Record(n, folder / p.file, place.names) for n, p in self._pictures.items()])

    def mask_of(self, record: Record) -> NDArray[np.uint8]:
        return self.label_map(draw_instances(self._pictures[record.name]), record.image)


def draw_instances(picture: Picture) -> NDArray[np.uint8]:
    """The class ids of a picture, (H, W) uint8: of the first instance that claims a pixel, else 0.

    Raises:
        DatasetError: pycocotools is not installed.
    """
    try:
        coco: Any = importlib.import_module("pycocotools.mask")
    except ImportError:
        raise DatasetError("COCO's outlines need pycocotools: pip install segkit[coco]") from None
    mask = np.zeros((picture.height, picture.width), np.uint8)
    for instance in picture.instances:
        outline = json.loads(instance.outline)
        codes = coco.frPyObjects(outline, picture.height, picture.width)
        inside = coco.decode(coco.merge(codes) if isinstance(outline, list) else codes)
        mask[(inside > 0) & (mask == 0)] = instance.label
    return mask


def _is_labelled(picture: Picture) -> bool:
    """Whether more than 1000 pixels have a class; drawn only where the areas leave it open, as drawing all is slow."""
    areas = [instance.area for instance in picture.instances]
    if sum(areas) < 0.9 * _MIN_PIXELS:
        return False
    if max(areas) > 1.1 * _MIN_PIXELS:
        return True
    return int(np.count_nonzero(draw_instances(picture))) > _MIN_PIXELS


def _read_pictures(path: Path, classes: Mapping[int, int]) -> Sequence[Picture]:
    """The images in COCO's file with their instances of some categories.

    Raises:
        DatasetError: the file is missing, torn, or not COCO's.
    """
    try:
        table = json.loads(read_bytes(path))
        pictures = {i["id"]: Picture(i["file_name"], i["height"], i["width"], []) for i in table["images"]}
        for entry in table["annotations"]:
            if entry["category_id"] in classes:
                outline = json.dumps(entry["segmentation"], separators=(",", ":"))
                instance = Instance(classes[entry["category_id"]], float(entry["area"]), outline)
                pictures[entry["image_id"]].instances.append(instance)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: is torn or no file of COCO's instances ({error!r})") from None
    return list(pictures.values())
