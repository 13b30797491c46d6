"""Settings and weights of SSSegmentation become ours; tests/golden holds the numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segkit.build import build_criterion, build_segmentor
from segkit.config.heads import FCNConfig, UPerNetConfig
from segkit.config.layers import GroupNormConfig, LeakyReLUConfig, SiLUConfig
from segkit.config.losses import CrossEntropyLossConfig, DiceLossConfig, LovaszLossConfig, OHEMConfig
from segkit.errors import CheckpointError, ConfigError
from segkit.models.interop.sssegmentation import config_from_facts, convert_state, output_of

CE = {"type": "CrossEntropyLoss", "scale_factor": 1.0, "ignore_index": -100, "reduction": "mean"}
AUX = {"in_channels": 256, "out_channels": 32, "dropout": 0.2}


def facts(**changes: Any) -> dict[str, Any]:
    """A small model in their words."""
    return {
        "segmentor": "FCN",
        "num_classes": 4,
        "backbone": {"type": "ResNet", "depth": 18, "structure_type": "resnet18", "selected_indices": [2, 3]},
        "head": {"in_channels": 512, "feats_channels": 64, "dropout": 0.1},
        "auxiliary": None,
        "losses": {"loss_cls": CE},
        "norm": {"type": "SyncBatchNorm"},
        "act": {"type": "ReLU", "inplace": True},
        "align_corners": False,
        **changes,
    }


def head(segmentor: str, **arguments: Any) -> Any:
    return config_from_facts(facts(segmentor=segmentor, head=arguments)).head


@pytest.mark.parametrize("align_corners", [False, True])
def test_what_is_shared(align_corners: bool) -> None:
    norm, act = {"type": "GroupNorm", "num_groups": 8}, {"type": "Swish"}
    config = config_from_facts(facts(norm=norm, act=act, align_corners=align_corners))
    assert (config.norm, config.act) == (GroupNormConfig(num_groups=8), SiLUConfig())
    assert len(config.dataset.classes) == 4
    assert config.head == FCNConfig(channels=64, align_corners=align_corners)
    assert config.backbone.strides == (8, 8)
    act = {"type": "LeakyReLU", "negative_slope": 0.01, "inplace": True}
    assert config_from_facts(facts(act=act)).act == LeakyReLUConfig()


def test_arguments_of_heads() -> None:
    assert head("DepthwiseSeparableFCN", feats_channels=16, num_convs=3, dropout=0).depthwise
    assert head("Deeplabv3", feats_channels=16, dilations=[1, 2]).dilations == (1, 2)
    fpn = head("SemanticFPN", feature_stride_list=[4, 8], upsample_cfg={"mode": "bilinear"}, feats_channels=8)
    assert (fpn.strides, fpn.upsample, fpn.channels) == ((4, 8), "bilinear", 8)
    upernet = head("UPerNet", feature2pyramid={"embed_dim": 768, "rescales": [2, 1, 0.5, 0.25]}, pool_scales=[1, 2])
    assert isinstance(upernet, UPerNetConfig)
    assert (upernet.neck.rescales, upernet.pool_scales) == ((2, 1, 0.5, 0.25), (1, 2))  # type: ignore[union-attr]


def test_auxiliary_heads_take_the_last_features_but_one() -> None:
    losses = {"loss_cls": CE, "loss_aux": CE | {"scale_factor": 0.4}}
    for given in (AUX, [AUX]):
        (aux,) = config_from_facts(facts(auxiliary=given, losses=losses)).auxiliary.values()
        assert (aux.level, aux.weight, aux.loss) == (-2, 0.4, None)
        assert aux.head == FCNConfig(channels=32, num_convs=1, dropout=0.2)
    three = {"loss_cls": CE} | {f"loss_aux{i}": CE | {"use_sigmoid": True} for i in (1, 2, 3)}
    backbone = facts()["backbone"] | {"selected_indices": [0, 1, 2, 3]}
    config = config_from_facts(facts(auxiliary=[AUX] * 3, losses=three, backbone=backbone))
    assert [(name, aux.level) for name, aux in config.auxiliary.items()] == [("aux1", -4), ("aux2", -3), ("aux3", -2)]
    assert all(aux.loss == CrossEntropyLossConfig(use_sigmoid=True) for aux in config.auxiliary.values())
    assert output_of("loss_aux2") == "aux2"


def test_losses_with_their_factors() -> None:
    weights = [1.0, 2.0, 3.0, 4.0]
    ce = CE | {"class_weight": weights, "norm_loss_with_class_weight": False, "label_smoothing": 0.1, "scale_factor": 2}
    main = [ce, {"type": "DiceLoss", "scale_factor": 3.0, "naive_dice": True}, {"type": "LovaszLoss", "classes": [1]}]
    aux = [CE | {"scale_factor": 0.4}, CE | {"use_sigmoid": True}]
    config = config_from_facts(facts(auxiliary=AUX, losses={"loss_cls": main, "loss_aux": aux}))
    assert config.loss == {
        "crossentropy": CrossEntropyLossConfig(
            weight=2.0, class_weights=tuple(weights), weighted_mean=False, label_smoothing=0.1
        ),
        "dice": DiceLossConfig(weight=3.0, naive=True),
        "lovasz": LovaszLossConfig(classes=(1,)),
    }
    assert config.auxiliary["aux"].weight == 1.0
    assert config.auxiliary["aux"].loss == {
        "crossentropy0": CrossEntropyLossConfig(weight=0.4),
        "crossentropy1": CrossEntropyLossConfig(use_sigmoid=True),
    }


def test_flooding_is_after_the_factor() -> None:
    losses = {"loss_cls": CE, "loss_aux": CE | {"scale_factor": 0.4, "lowest_loss_value": 10.0}}
    config = config_from_facts(facts(auxiliary=AUX, losses=losses))
    logits, target = torch.randn(2, 4, 5, 5), torch.randint(0, 4, (2, 5, 5))
    terms = build_criterion(config)({"main": logits, "aux": logits}, target)
    torch.testing.assert_close(terms["aux.loss"], 20 - 0.4 * terms["main.loss"])


def test_a_pixel_sampler_is_a_part_of_every_loss() -> None:
    sampler = {"type": "OHEMPixelSampler", "thresh": 0.6, "min_kept_per_image": 50, "ignore_index": -100}
    options = facts()["head"] | {"pixelsampler": sampler}
    config = config_from_facts(facts(head=options, auxiliary=AUX, losses={"loss_cls": CE, "loss_aux": CE}))
    assert config.loss == CrossEntropyLossConfig(ohem=OHEMConfig(threshold=0.6, min_kept=50))
    assert config.auxiliary["aux"].loss is None  # the main one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmentor": "PSPNt"}, r"segmentor: no head here is PSPNt, did you mean 'PSPNet'\?"),
        ({"head": {"feats_channels": 8, "sharpness": 3}}, r"head\.sharpness: has no counterpart here"),
        ({"head": {"feats_channels": 8, "dropout": 1.5}}, r"head\.dropout: must be less than 1"),
        ({"losses": {"loss_cls": {"type": "HingeLoss"}}}, "losses: no loss here is HingeLoss"),
        (
            {"losses": {"loss_cls": CE | {"reduction": "sum"}}},
            r"losses\.CrossEntropyLoss\.reduction: has no counterpart",
        ),
        ({"auxiliary": AUX}, r"losses: must be loss_cls, loss_aux \(got loss_cls\)"),
        (
            {"auxiliary": AUX | {"spread": {}}, "losses": {"loss_cls": CE, "loss_aux": CE}},
            r"auxiliary\.0\.spread: has no counterpart",
        ),
        ({"norm": {"type": "InstanceNorm2d"}}, "norm: no norm is called 'InstanceNorm2d'"),
        ({"backbone": {"type": "ResNext"}}, "backbone.type: no backbone here is ResNext, did you mean 'ResNet'"),
    ],
)
def test_what_has_no_counterpart_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_facts(facts(**changes))


def test_every_recipe_is_understood(shared: Callable[..., Path]) -> None:
    recipes = json.loads(shared("facts", "recipes.json").read_text())
    assert len(recipes) == 450
    for recipe in recipes:
        config_from_facts(recipe)


def a_state() -> tuple[Any, Any, dict[str, Tensor]]:
    """A config, its model, and the model's weights under their names."""
    config = config_from_facts(facts(auxiliary=AUX, losses={"loss_cls": CE, "loss_aux": CE}))
    model = build_segmentor(config)
    ours = model.state_dict()
    theirs = {}
    for name, x in ours.items():
        if name.startswith("backbone."):
            theirs[name.replace("backbone.model.", "backbone_net.").replace("net.conv1.", "net.stem.")] = x
    theirs = {name.replace("net.bn1.", "net.stem.7."): x for name, x in theirs.items()}
    for prefix, sequential, convs in (("head", "decoder", 2), ("auxiliary.aux", "auxiliary_decoder", 1)):
        for i in range(convs):
            theirs[f"{sequential}.{3 * i}.weight"] = ours[f"{prefix}.convs.{i}.conv.weight"]
            for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                theirs[f"{sequential}.{3 * i + 1}.{leaf}"] = ours[f"{prefix}.convs.{i}.norm.{leaf}"]
        for leaf in ("weight", "bias"):
            theirs[f"{sequential}.{3 * convs + 1}.{leaf}"] = ours[f"{prefix}.classify.1.{leaf}"]
    return config, model, theirs


def test_weights_come_back_as_they_went() -> None:
    config, model, theirs = a_state()
    converted = convert_state(theirs, config, model.state_dict())
    assert all(torch.equal(converted[name], x) for name, x in model.state_dict().items())
    assert len(converted) == len(model.state_dict())


def test_all_that_does_not_fit_is_told_at_once() -> None:
    config, model, theirs = a_state()
    del theirs["decoder.7.bias"]
    theirs["decoder.7.weight"] = torch.zeros(9, 64, 1, 1)
    theirs["ema.weight"] = torch.zeros(1)
    theirs["backbone_net.layer9.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        convert_state(theirs, config, model.state_dict())
    message = str(caught.value)
    for part in (
        "1 unknown (ema.weight)",
        "layer9.weight",
        "1 missing (head.classify.1.bias)",
        "1 of another shape (head.classify.1.weight (9, 64, 1, 1) for (4, 64, 1, 1))",
    ):
        assert part in message
    assert "\n" not in message


def test_unknown_names_are_told_without_a_model_too() -> None:
    config, _, theirs = a_state()
    with pytest.raises(CheckpointError, match=r"1 unknown \(memory\)"):
        convert_state(theirs | {"memory": torch.zeros(1)}, config)
