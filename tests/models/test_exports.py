"""Heads, necks and backbones exported to ONNX and compiled give what they give in PyTorch, at any size.

Whole models take 10 s and more each; so a head is exported behind convolutions that stand for a backbone, and the
rest is slow. ``segkit-benchmark models --checks compile,onnx`` does all of it.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support.heads import SPECS, build
from torch import Tensor, nn

from segkit.cli.model_checks import Subject, compiled, exported, onnx
from segkit.models.segmentor import Segmentor
from segkit.registry import BACKBONES, HEADS, NECKS
from segkit.types import FeatureSpec

QUICK_TO_EXPORT = {"FCN", "PSPNet"}
QUICK_TO_COMPILE = {"FCN", "PSPNet", "CCNet"}
BY_NECK = {"ICNet", "SETRMLA"}
"""Exported below, with the necks that they need."""
OTHERS = [Subject("neck", name) for name in NECKS.names()] + [Subject("backbone", name) for name in BACKBONES.names()]
SLOW = [pytest.mark.slow]
SHRINKS = {"PSANet"}
"""Shrinks its map further; a map of one cell is a case of its own for the exporter, which it takes for all sizes."""
DENSE = tuple(spec._replace(stride=min(spec.stride, 8)) for spec in SPECS)
"""As a backbone with output_stride 8 has them."""

pytestmark = pytest.mark.filterwarnings("ignore")  # exporter and compiler warn of their own insides


class Steps(nn.Module):
    """A convolution for each feature, at the strides of ``SPECS``."""

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, channels, 3, stride, 1) for channels, stride in specs)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [conv(images) for conv in self.convs]


def some(names: Sequence[str], quick: set[str]) -> list[Any]:
    """The names as parameters; all but the quick ones are slow."""
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in names]


@pytest.fixture
def runtime() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="pip install segkit[export]")


def behind_steps(name: str) -> Segmentor:
    specs = DENSE if name in SHRINKS else SPECS
    return Segmentor(Steps(specs), build(name, specs)).eval()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("name", some([n for n in HEADS.names() if n not in BY_NECK], QUICK_TO_EXPORT))
def test_heads_are_right_in_onnx(name: str) -> None:
    assert exported(behind_steps(name)) == "yes"


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("subject", OTHERS, ids=str)
def test_necks_and_backbones_are_right_in_onnx(subject: Subject) -> None:
    assert onnx(subject) == "yes"


@torch.no_grad()
@pytest.mark.parametrize("name", some(HEADS.names(), QUICK_TO_COMPILE))
def test_compiled_heads_are_the_same(name: str) -> None:
    torch.compiler.reset()
    head, features = build(name).eval(), Steps(SPECS)(torch.randn(2, 3, 64, 96))
    torch.testing.assert_close(torch.compile(head, backend="aot_eager")(features), head(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "subject", [pytest.param(s, id=str(s), marks=SLOW if s.name != "CGNet" else []) for s in OTHERS]
)
def test_compiled_necks_and_backbones_are_the_same(subject: Subject) -> None:
    torch.compiler.reset()
    assert compiled(subject, backend="aot_eager") == "yes"
