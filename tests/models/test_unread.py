"""A training that would leave a part of the model without gradient is refused, and nothing else is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import finish, start, tiny_config

from segkit.build import build_segmentor
from segkit.cli.model_checks import Subject
from segkit.config import store
from segkit.config.backbones import ConvNeXtConfig, ResNetConfig, SwinTransformerConfig, VisionTransformerConfig
from segkit.config.compose import compose
from segkit.config.heads import (
    AuxiliaryConfig,
    FCNConfig,
    ICNeckConfig,
    JPUConfig,
    LevelsNeckConfig,
    MLANeckConfig,
    PSPNetConfig,
    UPerNetConfig,
)
from segkit.config.segmentor import SegmentorConfig
from segkit.engine.launch import train
from segkit.errors import ConfigError
from segkit.models.unread import follow
from segkit.registry import BACKBONES, HEADS, NECKS

PLAIN = VisionTransformerConfig(embed_dim=24, depth=2, num_heads=3, image_size=(64, 96), out_indices=(0, 0, 1, 1))
SWIN = SwinTransformerConfig(embed_dim=12, depths=(2, 2, 2, 2))
THIN = FCNConfig(channels=8, num_convs=1)
EXPERIMENTS = sorted(path.stem for path in (store.conf_folder() / "experiment").glob("*.yaml"))


def config(**options: Any) -> SegmentorConfig:
    return replace(tiny_config(), **{"backbone": PLAIN, "head": THIN} | options)


def aux(*levels: int) -> dict[str, AuxiliaryConfig]:
    return {f"aux{level}": AuxiliaryConfig(head=THIN, level=level) for level in levels}


def refusal(wrong: SegmentorConfig) -> str:
    build_segmentor(wrong)  # to predict with it is fine
    with pytest.raises(ConfigError) as caught:
        build_segmentor(wrong, training=True)
    return str(caught.value)


def without_gradient(wrong: SegmentorConfig) -> list[str]:
    """What a real backward pass leaves out."""
    model = build_segmentor(wrong).train()
    sum(x.square().mean() for x in model.outputs(torch.randn(2, 3, 64, 96)).values()).backward()
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_a_neck_of_which_heads_read_a_part() -> None:
    wrong = config(head=replace(THIN, neck=MLANeckConfig(channels=8)), auxiliary=aux(0))
    assert refusal(wrong) == (
        "head.neck: no head reads features 1, 2 of 0 to 3: head (FCN) reads 3, auxiliary.aux0 (FCN) reads 0; "
        "neck.smooth.1.conv.weight, neck.smooth.1.norm.weight, neck.smooth.1.norm.bias and 3 more would never be "
        "trained; choose a head that reads all, or auxiliary ones of levels 1, 2, or leave MLANeck out "
        "(head.neck=null)"
    )
    build_segmentor(replace(wrong, auxiliary=aux(0, 1, 2)), training=True)
    build_segmentor(replace(wrong, head=UPerNetConfig(channels=8, neck=wrong.head.neck), auxiliary={}), training=True)
    build_segmentor(replace(wrong, head=THIN, auxiliary={}), training=True)


def test_a_backbone_with_a_norm_for_each_feature() -> None:
    wrong = config(backbone=SWIN, head=PSPNetConfig(channels=8), auxiliary=aux(2))
    said = refusal(wrong)
    assert said.startswith("backbone: no head reads features 0, 1 of 0 to 3: head (PSPNet) reads 3, ")
    assert "set backbone.out_indices=[2,3], from which auxiliary levels then count, or choose a head" in said
    build_segmentor(replace(wrong, backbone=replace(SWIN, out_indices=(2, 3)), auxiliary=aux(0)), training=True)


@pytest.mark.parametrize(
    "wrong",
    [
        config(head=replace(THIN, neck=LevelsNeckConfig(normalize=True)), auxiliary=aux(1)),
        config(backbone=SWIN, head=replace(THIN, neck=JPUConfig(channels=8, levels=2))),
        config(backbone=ConvNeXtConfig(), auxiliary=aux(0)),
    ],
)
def test_it_is_what_a_backward_pass_leaves_out(wrong: SegmentorConfig) -> None:
    found = list(follow(build_segmentor(wrong), (2, 3, 64, 96)).untrained)
    assert found
    assert found == without_gradient(wrong)


@pytest.mark.parametrize(
    "right",
    [
        config(backbone=ResNetConfig(depth=18, base_channels=8)),  # the finer features are on the way to the last
        config(head=replace(THIN, neck=LevelsNeckConfig(normalize=False))),  # nothing in it to train
        config(backbone=replace(PLAIN, grad_checkpointing=True)),
        config(
            backbone=ResNetConfig(depth=18, base_channels=8, grad_checkpointing=True),
            head=replace(THIN, neck=ICNeckConfig(channels=8)),
        ),
    ],
)
def test_what_has_gradients_is_not_refused(right: SegmentorConfig) -> None:
    assert without_gradient(right) == []
    build_segmentor(right, training=True)


def test_frozen_parts_need_no_reader() -> None:
    model = build_segmentor(config(head=replace(THIN, neck=MLANeckConfig(channels=8))))
    model.neck.smooth[:-1].requires_grad_(False)
    assert follow(model, (2, 3, 64, 96)).untrained == []


@pytest.mark.parametrize("name", HEADS.names())
def test_every_head_can_be_followed(name: str) -> None:
    subject = Subject("head", name)
    model = subject.build(subject.config(small=True)).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    reading = follow(model, (2, 3, 64, 96))
    assert reading.untrained == []
    assert reading.read["head"]
    assert torch.equal(torch.get_rng_state(), random)  # or training would draw other weights
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NECKS.names())
def test_every_neck_can_be_followed(name: str) -> None:
    subject = Subject("neck", name)
    assert follow(subject.build(subject.config(small=True)), (2, 3, 64, 96)).untrained == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES.names())
def test_every_backbone_can_be_followed(name: str) -> None:
    chosen = replace(Subject("backbone", name).config(small=True), head=THIN)
    reading = follow(build_segmentor(chosen), (2, 3, 64, 96))
    assert {part.split(".")[0] for part in reading.untrained} <= {"backbone"}
    assert all(".norms." in part for part in reading.untrained)  # those of features that FCN does not read


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_experiment_is_refused(name: str) -> None:
    chosen = compose([f"+experiment={name}", "backbone.pretrained=false"], training=False)
    build_segmentor(chosen, training=True)


@pytest.mark.slow
def test_two_processes_refuse_it_with_one_line(tmp_path: Path) -> None:
    """The second step would end in an error of torch's."""
    wrong = config(head=replace(THIN, neck=MLANeckConfig(channels=8)), auxiliary=aux(0, 2))
    code, output = finish(start(replace(wrong, trainer=replace(wrong.trainer, devices=2)), tmp_path / "run"))
    assert code == 2
    assert output.startswith("error: head.neck: no head reads feature 1 of 0 to 3: head (FCN) reads 3, ")
    assert output.count("\n") == 1
    assert "choose a head that reads all, or an auxiliary one of level 1, or leave MLANeck out" in output
    assert not (tmp_path / "run").exists()


def test_a_training_is_refused_before_it_begins(tmp_path: Path) -> None:
    wrong = config(head=replace(THIN, neck=MLANeckConfig(channels=8)))
    with pytest.raises(ConfigError, match=r"head\.neck: no head reads features 0, 1, 2 of 0 to 3"):
        train(wrong, tmp_path / "runs" / "name" / "run")
    assert list(tmp_path.iterdir()) == []
