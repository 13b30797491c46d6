"""The training loss: names, weights, and logits brought to the target's size."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit.build import build_criterion
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.heads import AuxiliaryConfig
from segkit.config.losses import CrossEntropyLossConfig, DiceLossConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError
from segkit.losses.criterion import Criterion

DATA = FolderDatasetConfig(class_names=("a", "b", "c"))


def outputs() -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    return {"main": torch.randn(2, 3, 4, 5), "aux": torch.randn(2, 3, 2, 3)}, torch.randint(0, 3, (2, 9, 11))


@pytest.mark.parametrize("align_corners", [False, True])
def test_each_output_has_each_loss_at_the_size_of_the_target(align_corners: bool) -> None:
    found, target = outputs()
    losses = {"main": {"ce": nn.CrossEntropyLoss()}, "aux": {"ce": nn.CrossEntropyLoss()}}
    terms = Criterion(losses, {"main": 1.0, "aux": 0.4}, align_corners)(found, target.byte())
    assert list(terms) == ["main.ce", "aux.ce"]
    for name, weight in (("main", 1.0), ("aux", 0.4)):
        logits = F.interpolate(found[name], (9, 11), mode="bilinear", align_corners=align_corners)
        torch.testing.assert_close(terms[f"{name}.ce"], weight * F.cross_entropy(logits, target))


def test_is_built_from_a_config() -> None:
    found, target = outputs()
    aux = AuxiliaryConfig(weight=0.5)
    main = {"ce": CrossEntropyLossConfig(), "dice": DiceLossConfig(weight=3.0)}
    terms = build_criterion(SegmentorConfig(dataset=DATA, loss=main, auxiliary={"aux": aux}))(found, target)
    assert list(terms) == ["main.ce", "main.dice", "aux.ce", "aux.dice"]

    own = AuxiliaryConfig(weight=0.5, loss=CrossEntropyLossConfig())
    other = build_criterion(SegmentorConfig(dataset=DATA, loss=main, auxiliary={"aux": own}))(found, target)
    assert list(other) == ["main.ce", "main.dice", "aux.loss"]
    torch.testing.assert_close(other["aux.loss"], terms["aux.ce"])


def test_a_loss_of_the_head_s_own_sees_all_outputs() -> None:
    class Own(nn.Module):
        def forward(self, outputs: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
            return {"masks": outputs["masks"].sum() * target.dtype.itemsize}

    terms = Criterion({}, {}, False, Own())({"masks": torch.ones(3)}, torch.zeros(1, 2, 2, dtype=torch.uint8))
    assert {name: float(x) for name, x in terms.items()} == {"masks": 24.0}


def test_moves_with_its_losses() -> None:
    config = SegmentorConfig(dataset=DATA, loss=CrossEntropyLossConfig(class_weights=(1.0, 2.0, 3.0)))
    criterion = build_criterion(config).to("meta")
    assert {buffer.device.type for buffer in criterion.buffers()} == {"meta"}


def test_an_auxiliary_head_cannot_be_called_main() -> None:
    with pytest.raises(ConfigError, match=r"auxiliary\.main: is the name of an output"):
        build_criterion(SegmentorConfig(dataset=DATA, auxiliary={"main": AuxiliaryConfig()}))
