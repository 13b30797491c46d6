"""Miniatures of every data set in its true layout: four columns of label values, two images a split.

The layouts are written out here from the data sets' own descriptions, not read from segkit's.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (24, 32)
IMAGE = np.arange(24 * 32 * 3, dtype=np.uint32).reshape(24, 32, 3).astype(np.uint8)


def stripes(*values: int) -> np.ndarray:
    """Columns of label values, (24, 32) uint8."""
    return np.repeat(np.array(values, np.uint8), SIZE[1] // len(values))[None].repeat(SIZE[0], axis=0)


def save(path: Path, array: np.ndarray) -> None:
    """Writes an array as an image or a MATLAB file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, {"S": array, "regionLabels": np.zeros((2, 2))})
    else:
        Image.fromarray(array).save(path)


def save_palette(path: Path, label: np.ndarray) -> None:
    """Writes a PNG of palette indices, whose colours are others than their grey values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label).convert("P")
    image.putpalette([(37 * i) % 256 for i in range(768)])
    image.putdata(label.ravel().tolist())
    image.save(path)


class Mini(NamedTuple):
    """What is in a miniature.

    Attributes:
        splits: name -> the word for ``{f}`` in its paths.
        image: path of an image with ``{i}`` for its id, ``{s}`` for the split.
        label: path of its label.
        ids: of the two images of each split.
        raw: label values of the four columns.
        want: class ids of the four columns.
        lists: path of the list of a split, "" without.
        line: line of the list.
        palette: labels are palette PNGs.
        names: ids as segkit tells them, where they differ.
    """

    splits: Mapping[str, str]
    image: str
    label: str
    raw: tuple[int, int, int, int]
    want: tuple[int, int, int, int]
    lists: str = ""
    line: str = "{i}"
    ids: tuple[str, str] = ("a1", "b2")
    palette: bool = False
    names: tuple[str, str] | None = None

    def write(self, root: Path) -> Path:
        """Makes the miniature below ``root`` and returns it."""
        for split, word in self.splits.items():
            words = {"s": split, "f": word}
            for name in self.ids:
                save(root / self.image.format(i=name, **words), IMAGE)
                put = save_palette if self.palette else save
                put(root / self.label.format(i=name, **words), stripes(*self.raw))
            if self.lists:
                path = root / self.lists.format(**words)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(self.line.format(i=name, **words) + "\n" for name in self.ids))
        return root


_BOTH = {"train": "train", "val": "val"}
_LONG = {"train": "training", "val": "validation"}
_RETINA = {"splits": _LONG, "raw": (0, 1, 1, 0), "want": (0, 1, 1, 0), "lists": "{s}.txt"}
_CITY = ("bonn/bonn_000000_000001", "ulm/ulm_000000_000002")
_CITY_NAMES = ("bonn_000000_000001", "ulm_000000_000002")
_CONTEXT = {
    "splits": _BOTH,
    "image": "JPEGImages/{i}.jpg",
    "label": "SegmentationClassContext/{i}.png",
    "lists": "ImageSets/SegmentationContext/{s}.txt",
    "ids": ("2008_000002", "2010_000009"),
}
_TILES = {"splits": _BOTH, "image": "img_dir/{s}/{i}.png", "label": "ann_dir/{s}/{i}.png"}

MINIS: dict[str, Mini] = {
    "ADE20kDataset": Mini(
        _LONG,
        "ADEChallengeData2016/images/{f}/{i}.jpg",
        "ADEChallengeData2016/annotations/{f}/{i}.png",
        (0, 1, 2, 150),
        (255, 0, 1, 149),
        "ADEChallengeData2016/{s}.txt",
        ids=("ADE_00000001", "ADE_00000002"),
    ),
    "CityScapesDataset": Mini(
        _BOTH,
        "leftImg8bit/{s}/{i}_leftImg8bit.png",
        "gtFine/{s}/{i}_gtFine_labelIds.png",
        (0, 7, 8, 33),
        (255, 0, 1, 18),
        "{s}.txt",
        "{i}_leftImg8bit",
        _CITY,
        names=_CITY_NAMES,
    ),
    "VOCDataset": Mini(
        {"train": "", "trainaug": "", "val": ""},
        "JPEGImages/{i}.jpg",
        "SegmentationClass/{i}.png",
        (255, 0, 1, 20),
        (255, 0, 1, 20),
        "ImageSets/Segmentation/{s}.txt",
        ids=("2007_000032", "2007_000039"),
        palette=True,
    ),
    "PascalContextDataset": Mini(raw=(255, 0, 1, 59), want=(255, 0, 1, 59), **_CONTEXT),
    "PascalContext59Dataset": Mini(raw=(255, 0, 1, 59), want=(255, 255, 0, 58), **_CONTEXT),
    "COCOStuffDataset": Mini(
        _BOTH,
        "{s}2017/{i}.jpg",
        "{s}2017/{i}.png",
        (255, 0, 1, 181),
        (255, 0, 1, 181),
        ids=("000000000009", "000000581929"),
    ),
    "COCOStuff10kDataset": Mini(
        {"train": "", "test": ""},
        "images/{i}.jpg",
        "annotations/{i}.mat",
        (0, 1, 2, 182),
        (255, 0, 1, 181),
        "imageLists/{s}.txt",
        ids=("COCO_train2014_000000000077", "COCO_train2014_000000000510"),
    ),
    "CIHPDataset": Mini(
        {"train": "Training", "val": "Validation"},
        "{f}/Images/{i}.jpg",
        "{f}/Category_ids/{i}.png",
        (0, 1, 14, 19),
        (0, 1, 14, 19),
        "{f}/{s}_id.txt",
        ids=("0000006", "0000135"),
    ),
    "LIPDataset": Mini(
        _BOTH,
        "{s}_images/{i}.jpg",
        "{s}_segmentations/{i}.png",
        (0, 1, 14, 19),
        (0, 1, 14, 19),
        "{s}_id.txt",
        ids=("77_471474", "100034_483681"),
    ),
    "ATRDataset": Mini(
        _BOTH,
        "JPEGImages/{i}.jpg",
        "SegmentationClassAug/{i}.png",
        (0, 1, 9, 17),
        (0, 1, 9, 17),
        "{s}_id.txt",
        ids=("2500_1", "2500_10"),
    ),
    "MHPv1Dataset": Mini(
        _BOTH,
        "images/{i}.jpg",
        "annotations/{i}_02_01.png",
        (0, 1, 0, 18),
        (0, 1, 3, 2),
        "{s}_list.txt",
        "{i}.jpg",
        ("0001", "0010"),
    ),
    "MHPv2Dataset": Mini(
        _BOTH,
        "{s}/images/{i}.jpg",
        "{s}/parsing_annos/{i}_02_01.png",
        (0, 1, 0, 58),
        (0, 1, 3, 2),
        "list/{s}.txt",
        ids=("1", "10"),
    ),
    "SuperviselyDataset": Mini(
        _BOTH, "Images/{s}/{i}.jpg", "Anno-Person/{s}/{i}.png", (0, 255, 255, 0), (0, 1, 1, 0), "{s}.txt"
    ),
    "HRFDataset": Mini(
        image="images/{f}/{i}.jpg", label="annotations/{f}/{i}.png", line="{i}.jpg", ids=("01_dr", "02_g"), **_RETINA
    ),
    "ChaseDB1Dataset": Mini(
        image="images/{f}/{i}.jpg",
        label="annotations/{f}/{i}_1stHO.png",
        line="{i}.jpg",
        ids=("Image_01L", "Image_01R"),
        **_RETINA,
    ),
    "STAREDataset": Mini(
        image="images/{f}/{i}.png",
        label="annotations/{f}/{i}.ah.png",
        line="{i}.png",
        ids=("im0001", "im0002"),
        **_RETINA,
    ),
    "DRIVEDataset": Mini(
        image="images/{f}/{i}.tif",
        label="annotations/{f}/{i}_manual1.png",
        line="{i}.tif",
        ids=("21_training", "22_training"),
        **_RETINA,
    ),
    "SBUShadowDataset": Mini(
        {"train": "SBUTrain4KRecoveredSmall", "val": "SBU-Test"},
        "{f}/ShadowImages/{i}.jpg",
        "{f}/ShadowMasks/{i}.png",
        (0, 1, 255, 77),
        (0, 1, 1, 1),
        "{s}.txt",
        ids=("lssd1", "lssd10"),
    ),
    "VSPWDataset": Mini(
        _BOTH,
        "data/{s}_video_{i}/origin/00000001.jpg",
        "data/{s}_video_{i}/mask/00000001.png",
        (0, 1, 254, 124),
        (255, 0, 255, 123),
        "{s}.txt",
        "{s}_video_{i}",
        palette=True,
        names=("train_video_a1/00000001", "train_video_b2/00000001"),
    ),
    "DarkZurichDataset": Mini(
        {"val": ""},
        "rgb_anon/val/night/GOPR0356/{i}_rgb_anon.png",
        "gt/val/night/GOPR0356/{i}_gt_labelTrainIds.png",
        (255, 0, 1, 18),
        (255, 0, 1, 18),
        "lists_file_names/val_filenames.txt",
        "val/night/GOPR0356/{i}",
        ("GOPR0356_frame_000321", "GOPR0356_frame_000324"),
    ),
    "NighttimeDrivingDataset": Mini(
        {"val": ""},
        "leftImg8bit/test/night/{i}_leftImg8bit.png",
        "gtCoarse_daytime_trainvaltest/test/night/{i}_gtCoarse_labelTrainIds.png",
        (255, 0, 1, 18),
        (255, 0, 1, 18),
    ),
    "CamVidDataset": Mini(
        _BOTH,
        "{s}/{i}.png",
        "{s}annot/{i}.png",
        (11, 0, 1, 10),
        (255, 0, 1, 10),
        "{s}.txt",
        "/SegNet/CamVid/{s}/{i}.png /SegNet/CamVid/{s}annot/{i}.png",
        ("0001TP_006690", "0016E5_07959"),
    ),
    "LoveDADataset": Mini(raw=(0, 1, 2, 7), want=(255, 0, 1, 6), ids=("0", "1366"), **_TILES),
    "PotsdamDataset": Mini(
        raw=(0, 1, 2, 6), want=(255, 0, 1, 5), ids=("2_10_0_0_512_512", "2_10_0_512_512_1024"), **_TILES
    ),
    "VaihingenDataset": Mini(
        raw=(0, 1, 2, 6), want=(255, 0, 1, 5), ids=("area1_0_0_512_512", "area3_0_0_512_512"), **_TILES
    ),
    "iSAIDDataset": Mini(
        _BOTH,
        "img_dir/{s}/{i}.png",
        "ann_dir/{s}/{i}_instance_color_RGB.png",
        (255, 0, 1, 15),
        (255, 0, 1, 15),
        ids=("P0000_0_896_0_896", "P0001_0_896_512_1408"),
    ),
    "FolderDataset": Mini(
        _BOTH, "images/{s}/{i}.png", "labels/{s}/{i}.png", (255, 0, 1, 2), (255, 0, 1, 2), ids=("a", "sub/b")
    ),
    "COCOVOCSUBDataset": Mini(_BOTH, "{s}2017/{i}.jpg", "", (0, 0, 0, 0), (1, 15, 0, 0), ids=("000000000001", "2")),
}


def _second_people(root: Path, folder: str) -> None:
    """A second person over the right half: 3 and 2 beside each other where the first has nothing and its last part."""
    for path in sorted(root.glob(f"{folder}/*_02_01.png")):
        save(path.with_name(path.name.replace("_02_01", "_02_02")), stripes(0, 0, 3, 2))


def _mhp_v1(root: Path) -> Path:
    MINIS["MHPv1Dataset"].write(root)
    _second_people(root, "annotations")
    return root


def _mhp_v2(root: Path) -> Path:
    MINIS["MHPv2Dataset"].write(root)
    _second_people(root, "*/parsing_annos")
    for path in root.glob("*/parsing_annos/*.png"):  # values in the red channel
        red = np.asarray(Image.open(path))
        save(path, np.stack([red, red * 0, red * 0], axis=2))
    return root


def _coco(root: Path) -> Path:
    """An airplane over the left quarter, a person over the left half behind it, and images too empty to keep."""
    scale, (height, width) = 3, (72, 96)
    box = [[0, 0, width / 2, 0, width / 2, height, 0, height]]
    counts = [0, height * width // 4, height * width * 3 // 4]  # column by column
    rle = {"size": [height, width], "counts": counts}
    for split in ("train", "val"):
        names = ("000000000001", "000000000002", "000000000003")
        for name in names:
            save(root / f"{split}2017/{name}.jpg", IMAGE.repeat(scale, 0).repeat(scale, 1))
        images = [
            {"id": 10 + i, "file_name": f"{n}.jpg", "height": height, "width": width} for i, n in enumerate(names)
        ]
        annotations: list[dict[str, Any]] = []
        for image in (10, 11):
            annotations.append(
                {"image_id": image, "category_id": 5, "iscrowd": 1, "area": counts[1], "segmentation": rle}
            )
            annotations.append({"image_id": image, "category_id": 1, "area": 3456, "segmentation": box})
            annotations.append({"image_id": image, "category_id": 13, "area": 6912, "segmentation": box})
        annotations.append(
            {"image_id": 12, "category_id": 1, "area": 1000, "segmentation": [[0, 0, 40, 0, 40, 25, 0, 25]]}
        )
        path = root / f"annotations/instances_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return root


_SPECIAL: dict[str, Callable[[Path], Path]] = {
    "MHPv1Dataset": _mhp_v1,
    "MHPv2Dataset": _mhp_v2,
    "COCOVOCSUBDataset": _coco,
}


def write_mini(name: str, root: Path) -> Path:
    """Makes the miniature of a data set below ``root`` and returns it."""
    return _SPECIAL.get(name, MINIS[name].write)(root)
