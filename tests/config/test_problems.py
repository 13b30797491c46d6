"""What a mistake is told like: where, what is allowed, the nearest spelling; all mistakes at once."""

import pytest

from segkit.config.compose import compose
from segkit.config.losses import DiceLossConfig
from segkit.errors import ConfigError

FOLDER = ["dataset=FolderDataset", "dataset.class_names=[a,b]", "dataloader.total_batch_size=1"]

MISTAKES = {
    "typo in a key": (["scheduler.max_epoch=3"], "scheduler.max_epoch: unknown key, did you mean 'max_epochs'"),
    "typo behind a plus": (["+scheduler.max_epoch=3"], "scheduler.max_epoch: unknown key, did you mean 'max_epochs'"),
    "typo behind two": (["++head.chanels=3"], "head.chanels: unknown key, did you mean 'channels'"),
    "typo in a root key": (["schedular.max_epochs=3"], "schedular: unknown key, did you mean 'scheduler'"),
    "typo in an option": (["head=PSPNett"], "head: no option is called 'PSPNett', did you mean 'PSPNet'"),
    "typo in an experiment": (
        ["+experiment=quickstrt"],
        "experiment: no option is called 'quickstrt', did you mean 'quick",
    ),
    "typo in a group": (
        ["scheduler/optimiser=SGD"],
        "no group is called 'scheduler/optimiser', did you mean 'scheduler/opt",
    ),
    "typo in a type": (["head.type=FCM"], "head: no head is called 'FCM', did you mean 'FCN'"),
    "typo in a choice": (
        ["inference.mode=slid"],
        "inference.mode: must be one of whole, slide (got 'slid'), did you mean 'sl",
    ),
    "text for a number": (["scheduler.max_epochs=abc"], "scheduler.max_epochs: must be a whole number (got 'abc')"),
    "a quoted number": (["scheduler.max_epochs='3'"], "scheduler.max_epochs: must be a whole number (got '3')"),
    "a fraction for a whole": (["scheduler.max_epochs=2.5"], "scheduler.max_epochs: must be a whole number (got 2.5)"),
    "yes for a number": (["scheduler.max_epochs=true"], "scheduler.max_epochs: must be a whole number (got True)"),
    "a number for yes": (["amp.enabled=1"], "amp.enabled: must be true or false (got 1)"),
    "out of range": (["scheduler.optimizer.lr=-1"], "scheduler.optimizer.lr: must be greater than 0 (got -1)"),
    "not a choice": (["backbone.output_stride=12"], "backbone.output_stride: must be one of 8, 16, 32 (got 12)"),
    "a union": (["trainer.devices=0"], "trainer.devices: must be greater than 0 or auto (got 0)"),
    "a scalar for a list": (["head=PSPNet", "head.pool_scales=6"], "head.pool_scales: must be a list (got 6)"),
    "a list item": (["head=PSPNet", "head.pool_scales=[1,0]"], "head.pool_scales.1: must be greater than 0 (got 0)"),
    "a scalar for a mapping": (["trainer=5"], "trainer: no option is called '5'"),
    "syntax": (["head=[1,"], "cannot read the override 'head=[1,'"),
    "no value": (["head"], "cannot read the override 'head'"),
    "an unknown reference": (["head.channels=${nothing}"], "head.channels"),
    "no plugin": (["plugins=[no_such_module]"], "plugins: no module is called 'no_such_module'"),
    # rules that tie parts together
    "class weights": (
        ["loss.class_weights=[1,2]"],
        "loss.class_weights: must have one weight for each of 7 classes (got 2)",
    ),
    "number of classes": (
        ["dataset.num_classes=9"],
        "dataset.num_classes: must be 7, the number of class names (got 9)",
    ),
    "no class names": (["dataset=FolderDataset", "dataloader.total_batch_size=1"], "dataset.class_names: is empty"),
    "label map": (
        [*FOLDER, "dataset.label_map={0:0,255:7}"],
        "dataset.label_map.255: must be ignore or a class id below 2",
    ),
    "odd batches to mix": (
        [
            "++dataset.batch_transforms={cut: {type: CutMix}}",
            "dataloader.total_batch_size=6",
            "trainer.accumulation_steps=2",
        ],
        "dataloader.total_batch_size: must divide by 4, since dataset.batch_transforms mix images in pairs (got 6)",
    ),
    "soft labels before others": (
        ["++dataset.batch_transforms={up: {type: MixUp}, cut: {type: CutMix}}"],
        "dataset.batch_transforms.up: must come last",
    ),
    "soft labels for a memory": (
        ["++dataset.batch_transforms={up: {type: MixUp}}", "head=MCIBI"],
        "dataset.batch_transforms.up: gives each pixel two labels, and MCIBI sorts pixels by one",
    ),
    "edges of labels that are mixed": (
        [
            "++dataset.batch_transforms={cut: {type: CutMix}}",
            "++dataset.train_transforms={edges: {type: EdgeExtractor}}",
        ],
        "dataset.batch_transforms: change the labels that edges has made edges from",
    ),
    "an unknown mix": (
        ["++dataset.batch_transforms={cut: {type: Cutmix}}"],
        "no batch_transform is called 'Cutmix', did you mean 'CutMix'",
    ),
    "flip pairs": (["dataset.train_transforms.flip.swaps=[[1,9]]"], "swaps: class ids must be below 7 (got [1, 9])"),
    "auxiliary level": (
        ["auxiliary=fcn", "auxiliary.aux.level=4"],
        "auxiliary.aux.level: the backbone returns 4 features",
    ),
    "auxiliary weights": (
        ["auxiliary=fcn", "auxiliary.aux.loss={type: CrossEntropyLoss, class_weights: [1]}"],
        "auxiliary.aux.loss.class_weights: must have one weight",
    ),
    "one of several losses": (
        ["loss={a: {type: CrossEntropyLoss}, b: {type: CrossEntropyLoss, weight: -1}}"],
        "loss.b.weight: must be at least 0 (got -1)",
    ),
    "a loss that is not read": (
        ["head=MaskFormer", "loss=DiceLoss"],
        "loss: is not read: MaskFormer brings its own losses, whose options are in `head`",
    ),
    "an option of it": (["head=Mask2Former", "loss.weight=2"], "loss: is not read: Mask2Former brings its own losses"),
    "smoothing without softmax": (
        ["loss.use_sigmoid=true", "loss.label_smoothing=0.1"],
        "loss.label_smoothing: works with the softmax",
    ),
    "crop below the stride": (
        [
            "dataset=camvid_256x256",
            "dataset.train_transforms.crop.crop_size=[4,4]",
            "dataset.train_transforms.padding.output_size=[4,4]",
        ],
        "a training image of 4x4 is smaller than the backbone's output stride",
    ),
    "padding below the crop": (
        ["dataset=camvid_256x256", "dataset.train_transforms.padding.output_size=[64,64]"],
        "padding.output_size: must be at least the crop_size [256, 256]",
    ),
    "no common size": (
        ["dataset=CamVidDataset"],
        "dataset.train_transforms: images of one batch need one size; add a RandomCrop",
    ),
    "edges before labels move": (
        ["++dataset.train_transforms={edges: {type: EdgeExtractor}, turn: {type: RandomFlip}}"],
        "dataset.train_transforms.turn: must come before edges",
    ),
    "a step of training in evaluation": (
        ["++dataset.val_transforms.mosaic={type: RandomMosaic}"],
        "dataset.val_transforms.mosaic: is for training only",
    ),
    "colours of what is grey": (
        [*FOLDER, "dataset.channels=4", "++dataset.train_transforms={color: {type: PhotoMetricDistortion}}"],
        "dataset.train_transforms.color: works on RGB images; these have 4 channels",
    ),
    "other channels in evaluation": (
        ["++dataset.val_transforms={gray: {type: RGB2Gray, out_channels: 1}}"],
        "dataset.val_transforms: images must have as many channels",
    ),
    "no size to choose": (
        ["++dataset.train_transforms.resize={type: RandomChoiceResize, scales: [[3, 4]]}"],
        "ResizeShortestEdge takes single numbers",
    ),
    "a range of nothing": (
        ["++dataset.train_transforms.resize={type: RandomShortestEdgeResize, short_edge_range: [5, 5]}"],
        "the second number must be greater",
    ),
    "channels": (["backbone.in_channels=4"], "backbone.in_channels: must be 3, the channels of the images, or null"),
    "too many channels": (
        [*FOLDER, "dataset.channels=20", "backbone=ERFNet"],
        "backbone: does not fit images of 20 channels: enc_channels must grow",
    ),
    "mean of too few": (
        ["dataset.val_transforms.normalize.mean=[1]"],
        "mean: must have a value for each of 3 channels",
    ),
    "batch over ranks": (
        ["trainer.devices=3", "dataloader.total_batch_size=16"],
        "dataloader.total_batch_size: must divide by 3, trainer.devices (3) x trainer.accumulation_steps; use 15 or 18",
    ),
    "batch over machines": (
        ["trainer.nnodes=2", "trainer.devices=3", "dataloader.total_batch_size=16"],
        "must divide by 6, trainer.nnodes (2) x trainer.devices (3) x trainer.accumulation_steps; use 12 or 18",
    ),
    "a machine too many": (
        ["trainer.nnodes=2", "trainer.node_rank=2"],
        "trainer.node_rank: must be below trainer.nnodes 2; the first machine is 0",
    ),
    "no address": (
        ["trainer.nnodes=2", "trainer.rendezvous=http://gpu1"],
        "trainer.rendezvous: must be machine 0's address, as in 10.0.0.1 or gpu1:29500",
    ),
    "an address for one machine": (["trainer.rendezvous=gpu1"], "trainer.rendezvous: is for several machines"),
    "one image under a 1x1 norm": (["head=PSPNet", "dataloader.total_batch_size=1"], "PSPNet pools to 1x1"),
    "one image under a 1x1 norm of the backbone": (
        ["backbone=FastSCNN", "dataloader.total_batch_size=1"],
        "FastSCNN pools to 1x1",
    ),
    "slide without windows": (["inference.mode=slide"], "inference.crop_size: slide mode needs it"),
    "windows with gaps": (
        ["inference.mode=slide", "inference.crop_size=[8,8]", "inference.stride=[9,8]"],
        "inference.stride: must not exceed crop_size [8, 8]",
    ),
    "floor above the rate": (["scheduler.min_lr=1"], "scheduler.min_lr: must not exceed the base rate 0.01 (got 1)"),
    "endless warm-up": (
        ["scheduler.max_epochs=3", "scheduler.warmup.by_epoch=true", "scheduler.warmup.length=3"],
        "scheduler.warmup.length: must be shorter than the training of 3 epochs",
    ),
    "an unknown metric": (["trainer.monitor=miuo"], "trainer.monitor: must be one of miou"),
    "an average that is off": (["trainer.monitor=ema/miou"], "trainer.monitor: ema/miou needs ema.enabled=true"),
    "no weights file": (["backbone.weights=none.pt"], "backbone.weights: no file none.pt"),
    "no checkpoint": (["trainer.resume=outo"], "trainer.resume: no file outo; must be auto, never or a checkpoint"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_once(name: str) -> None:
    overrides, words = MISTAKES[name]
    with pytest.raises(ConfigError) as raised:
        compose(overrides)
    lines = str(raised.value).splitlines()
    assert [line for line in lines if words in line], lines
    allowed = 2 if name == "slide without windows" else 1  # it lacks crop_size and stride
    assert len(lines) == allowed, lines


def test_all_mistakes_are_told_at_once() -> None:
    mistakes = ["scheduler.max_epoch=3", "head=PSPNett", "trainer.devices=-1", "+loss.wieght=1", "backbone.depth=7"]
    with pytest.raises(ConfigError) as raised:
        compose(mistakes)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(mistakes), lines
    assert all(any(line.startswith(m.lstrip("+").partition("=")[0]) for line in lines) for m in mistakes)


def test_what_hangs_on_a_missing_option_is_not_judged() -> None:
    with pytest.raises(ConfigError) as raised:
        compose(["head=PSPNett", "head.pool_scales=[1,2]"])
    assert len(raised.value.problems) == 1


def test_the_origin_of_a_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\[set on the command line\]"):
        compose(["trainer.seed=-1"])
    with pytest.raises(
        ConfigError, match=r"~head\.dilations on the command line takes it out.*\[set in experiment/quickstart"
    ):
        compose(["+experiment=quickstart", "head=PSPNet"])


def test_the_way_out_works() -> None:
    assert compose(["+experiment=quickstart", "head=PSPNet", "~head.dilations"]).head.type == "PSPNet"  # type: ignore[attr-defined]


BAD_FILES = {
    "broken YAML": ("# @package _global_\nhead: {channels: 1\n", r"mine\.yaml, line 3, column 1: .*expected"),
    "no package line": (
        "head: {channels: 1}\n",
        "experiment: this experiment file lacks its first line: # @package _global_",
    ),
    "an option that is none": (
        "# @package _global_\ndefaults: [override /head: PSPNett]\n",
        "head: a file asks for 'PSPNett', which is no option, did you mean 'PSPNet'",
    ),
    "a typo": (
        "# @package _global_\nhead: {chanels: 1}\n",
        r"head\.chanels: .*did you mean 'channels'.*\[set in experiment/mine",
    ),
    "a wrong type": (
        "# @package _global_\nhead: {channels: many}\n",
        r"head\.channels: must be a whole number \(got 'many'\)",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    text, words = BAD_FILES[name]
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as raised:
        compose(["experiment=mine"], folder)
    assert len(raised.value.problems) == 1


def test_an_auxiliary_head_reads_the_loss_beside_a_head_with_its_own() -> None:
    config = compose(["head=MaskFormer", "auxiliary=fcn", "loss=DiceLoss"])
    assert config.loss == DiceLossConfig()
