"""What every head promises, checked for every registered head."""

import pytest
import torch
from support.heads import SPECS, build
from torch import Tensor

from segkit.config.layers import GroupNormConfig
from segkit.errors import ConfigError
from segkit.layers.defaults import layer_defaults
from segkit.registry import HEADS
from segkit.types import StepInfo

POOLS_TO_ONE_CELL = {"APCNet", "CE2P", "Deeplabv3", "Deeplabv3Plus", "LRASPPNet", "MCIBI", "PSPNet", "UPerNet"}
POOLS_TO_ONE_CELL |= {"MaskFormer"}
"""Batch normalisation cannot train on one value a channel: these need two images, which validation says."""

OWN_SIZE = {"MaskFormer", "Mask2Former", "PointRend", "SETRMLA", "SETRUP"}
"""Their logits are larger than any feature."""
RESIZES_NOTHING = {"FCN", "Deeplabv3", "ANNNet", "APCNet", "CCNet", "DMNet", "EMANet", "ENCNet", "ICNet", "ISANet"}
RESIZES_NOTHING |= {"Mask2Former"}  # but for the image, in ``predict``
RESIZES_NOTHING |= {"DANet", "DNLNet", "GCNet", "IDRNet", "ISNet", "MCIBI", "MCIBIPlusPlus", "NonLocalNet"}
TRAINS_OTHERWISE = {"MaskFormer", "Mask2Former", "PointRend"}
"""By masks, or at points: logits of all cells are made for inference alone."""
SILENT_AT_FIRST = {"MaskFormer": "query_decoder.layers.0.self_attention."}
"""The paper's queries start from zero, so that they have nothing to tell each other in the first layer."""
OWN_CORNERS = {"PSANet"}
"""How the corners line up depends on the size."""

every_head = pytest.mark.parametrize("name", HEADS.names())


def maps(height: int = 64, width: int = 96, batch: int = 2) -> list[Tensor]:
    """Features of an image, as strided convolutions give them: sizes rounded up."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((spec.channels, -(-height // spec.stride), -(-width // spec.stride)) for spec in SPECS)
    return [torch.randn(batch, *size, generator=generator) for size in sizes]


@every_head
def test_logits_have_a_channel_for_each_class(name: str) -> None:
    features = maps()
    logits = build(name).eval()(features)
    assert logits.shape[:2] == (2, 5)
    assert name in OWN_SIZE or logits.shape[-2:] in [f.shape[-2:] for f in features]


@every_head
def test_every_parameter_gets_a_gradient(name: str) -> None:
    head = build(name).train()
    for parameter in head.parameters():
        if parameter.ndim in (0, 2) and not parameter.any():  # a branch, or a linear layer, that is off at first
            torch.nn.init.normal_(parameter, 1.0, 0.1)
    features = maps(256, 320)  # attention to a single cell has no gradient
    target = torch.randint(0, 5, (2, 256, 320), generator=torch.Generator().manual_seed(2))
    head.learn(features, StepInfo(target, 1, 0.01))  # memories are empty before
    outputs = head.learn(features, StepInfo(target, 1, 0.01))
    sum((x.float() ** 2).mean() for x in outputs.values()).backward()
    trained = [(n, p) for n, p in head.named_parameters() if p.requires_grad]
    assert [n for n, p in trained if p.grad is None] == []
    silent = SILENT_AT_FIRST.get(name, "-")
    assert [n for n, p in trained if not n.startswith(silent) and not p.grad.any()] == []


@every_head
def test_images_do_not_mix_in_eval(name: str) -> None:
    head = build(name).eval()
    torch.testing.assert_close(head(maps())[:1], head([f[:1] for f in maps()]), rtol=1e-4, atol=1e-5)


@every_head
@pytest.mark.parametrize("size", [(33, 65), (47, 33), (32, 32), (1, 1)])
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    features = maps(*size)
    logits = build(name).eval()(features)
    assert logits.isfinite().all()
    assert name in OWN_SIZE or logits.shape[-2:] in [f.shape[-2:] for f in features]


@every_head
def test_trains_on_one_image(name: str) -> None:
    features = maps(batch=1)
    if name in POOLS_TO_ONE_CELL:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            build(name).train()(features)
    with layer_defaults(norm=GroupNormConfig(num_groups=4)):
        head = build(name).train()
    head(features).sum().backward()


@every_head
@torch.no_grad()
def test_bfloat16_is_near_float32(name: str) -> None:
    head = build(name).eval()
    whole = head(maps())
    with torch.autocast("cpu", torch.bfloat16):
        half = head(maps())
    assert half.dtype == torch.bfloat16
    assert float((half.float() - whole).abs().max()) < 0.03 * float(whole.abs().max())


@every_head
def test_memory_order_does_not_matter(name: str) -> None:
    head = build(name).eval()
    last = [f.contiguous(memory_format=torch.channels_last) for f in maps()]
    torch.testing.assert_close(head(last), head(maps()), rtol=1e-4, atol=1e-5)


@every_head
def test_corners_line_up_when_asked(name: str) -> None:
    straight, cornered = build(name).eval(), build(name, align_corners=True).eval()
    assert cornered.align_corners
    cornered.load_state_dict(straight.state_dict())
    same = torch.equal(straight(maps()), cornered(maps()))
    assert name in OWN_CORNERS or same == (name in RESIZES_NOTHING)


@every_head
def test_outputs_are_those_that_the_config_weighs(name: str) -> None:
    head = build(name).eval()
    outputs = head.outputs(maps())
    assert set(outputs) >= set(HEADS.config(name)().output_weights)
    if name in TRAINS_OTHERWISE:
        return
    torch.testing.assert_close(outputs["main"], head(maps()))


@every_head
def test_features_are_kept_for_other_heads(name: str) -> None:
    features = maps()
    build(name).train()(features)
    assert all(torch.equal(a, b) for a, b in zip(features, maps(), strict=True))


@every_head
def test_one_feature_may_be_all(name: str) -> None:
    if name == "LRASPPNet":  # its shortcuts need more, which it says
        with pytest.raises(ConfigError, match=r"head\.branch_channels"):
            build(name, SPECS[-1:])
        return
    assert build(name, SPECS[-1:]).eval()(maps()[-1:]).shape[:2] == (2, 5)
