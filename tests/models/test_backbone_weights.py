"""First weights of a backbone: from files of several kinds, or from timm, or an error that says what to do."""

import logging
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from support.backbones import small
from torch import Tensor, nn

from segkit.config.backbones import OwnBackboneConfig
from segkit.config.component import adapter
from segkit.errors import CheckpointError
from segkit.models.backbones import weights
from segkit.models.interop.sssegmentation.backbones import backbone_config
from segkit.registry import BACKBONES

every_backbone = pytest.mark.parametrize("name", BACKBONES.names())
of_timm = pytest.mark.parametrize(
    "name", [name for name in BACKBONES.names() if not issubclass(BACKBONES.config(name), OwnBackboneConfig)]
)


def randomised(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    model: nn.Module = BACKBONES.build(small(name, **options))
    for value in model.state_dict().values():
        if value.is_floating_point():
            nn.init.uniform_(value)
    return model


def saved(state: Any, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(state, path)
    return path


def assert_equal(model: nn.Module, other: nn.Module, start: str = "") -> None:
    for name, value in model.state_dict().items():
        if name.startswith(start):
            assert torch.equal(value, other.state_dict()[name]), name


@every_backbone
@pytest.mark.parametrize("wrapped", ["plain", "of a segmentor", "under state_dict", "under model, of DDP"])
def test_segkits_own_names(name: str, wrapped: str, tmp_path: Path) -> None:
    source = randomised(name)
    state = source.state_dict()
    whole = {f"backbone.{k}": v for k, v in state.items()} | {"head.classify.weight": torch.zeros(3)}
    content = {
        "plain": state,
        "of a segmentor": whole,
        "under state_dict": {"state_dict": state, "epoch": 3},
        "under model, of DDP": {"model": {f"module.{k}": v for k, v in whole.items()}},
    }[wrapped]
    assert_equal(BACKBONES.build(small(name, weights=saved(content, tmp_path))), source)


@of_timm
def test_timms_names(name: str, tmp_path: Path) -> None:
    source = randomised(name)
    state = {k.removeprefix("model."): v for k, v in source.state_dict().items() if k.startswith("model.")}
    path = saved(state | {"fc.weight": torch.zeros(10, 4)}, tmp_path)
    assert_equal(BACKBONES.build(small(name, weights=path)), source, start="model.")


def test_safetensors(tmp_path: Path) -> None:
    source = randomised("ResNet")
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(source.state_dict(), path)
    assert_equal(BACKBONES.build(small("ResNet", weights=path)), source)


def test_the_references_names(tmp_path: Path) -> None:
    source = randomised("ResNet", deep_stem=True)
    theirs: dict[str, Tensor] = {}
    for name, value in source.state_dict().items():
        inner = re.sub(r"^conv1\.", "stem.", name.removeprefix("model."))
        theirs["backbone_net." + re.sub(r"^bn1\.", "stem.7.", inner)] = value
    path = saved({"model": theirs | {"decoder.1.weight": torch.zeros(3)}}, tmp_path)
    assert_equal(BACKBONES.build(small("ResNet", deep_stem=True, weights=path)), source)


def test_the_authors_file_of_segformer(tmp_path: Path) -> None:
    source = randomised("MixVisionTransformer")
    theirs: dict[str, Tensor] = {"head.weight": torch.zeros(1000, 64)}
    for name, value in source.state_dict().items():
        inner = (
            name.removeprefix("model.").replace("patch_embed.", "patch_embed1.").replace("dwconv.", "dwconv.dwconv.")
        )
        inner = re.sub(r"stages\.(\d)\.downsample", lambda m: f"patch_embed{int(m[1]) + 1}", inner)
        inner = re.sub(r"stages\.(\d)\.blocks", lambda m: f"block{int(m[1]) + 1}", inner)
        theirs[re.sub(r"stages\.(\d)\.norm", lambda m: f"norm{int(m[1]) + 1}", inner)] = value
    assert_equal(BACKBONES.build(small("MixVisionTransformer", weights=saved(theirs, tmp_path))), source)


@pytest.mark.parametrize("channels", [1, 6])
def test_colours_are_spread_over_other_channels(channels: int, tmp_path: Path) -> None:
    source = randomised("ResNet")
    path = saved(source.state_dict(), tmp_path)
    found = BACKBONES.build(small("ResNet", in_channels=channels, weights=path)).model.conv1.weight
    torch.testing.assert_close(found.sum(1), source.model.conv1.weight.sum(1))


def test_what_is_missing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = randomised("ResNet").state_dict()
    del state["model.bn1.bias"]
    with caplog.at_level(logging.INFO):
        BACKBONES.build(small("ResNet", weights=saved(state | {"fc.bias": torch.zeros(4)}, tmp_path)))
    assert "left at random: model.bn1.bias" in caplog.text
    assert "not in the backbone: " in caplog.text


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = saved(randomised("ResNet").state_dict(), tmp_path)
    with pytest.raises(CheckpointError, match=r"fits only \d+ of \d+ tensors of the network \(absent or of another"):
        BACKBONES.build(small("ConvNeXt", weights=path))


class Trap:
    """What a malicious file may hold: code that runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return (print, ("code of a weights file has run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such checkpoint"),
        (b"", r"torn, or not a checkpoint \(0 bytes"),
        (b"no weights at all", "torn, or not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "torn, or not a checkpoint"),
        ({"model": Trap()}, "not read, because it holds more than tensors"),
        ({"epoch": 3}, "holds no tensors by name"),
        (torch.zeros(3), "holds no tensors by name"),
    ],
    ids=["absent", "empty", "garbage", "torn", "code", "no tensors", "one tensor"],
)
def test_a_bad_file_is_one_line(content: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"^backbone\.weights: .*{message}[^\n]*$"):
        BACKBONES.build(small("ResNet", weights=path))
    assert "has run" not in capsys.readouterr().out


def no_network(*_: Any) -> Any:
    raise socket.gaierror("Name or service not known")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.socket, "getaddrinfo", no_network)
    monkeypatch.setattr(weights, "getproxies", dict)
    monkeypatch.setattr(weights.huggingface_hub, "try_to_load_from_cache", lambda *_: None)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["ResNet", "TIMMBackbone", "MobileNetV2"])
def test_without_network_one_line_tells_the_remedies(name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        BACKBONES.build(BACKBONES.config(name)(pretrained=True))
    message = str(caught.value)
    assert message.startswith("backbone.pretrained: cannot get ")
    assert "no connection to huggingface.co" in message
    assert "backbone.pretrained=false" in message
    assert "backbone.weights=FILE" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [{"fc.weight": Trap()}, b"", b"garbage" * 9], ids=["code", "empty", "garbage"])
def test_a_spoilt_file_in_the_cache_is_one_line(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    monkeypatch.setattr(weights.huggingface_hub, "try_to_load_from_cache", lambda *_: str(path))
    with pytest.raises(CheckpointError, match=r"^backbone\.pretrained: cannot get resnet18\.[^\n]*$"):
        BACKBONES.build(small("ResNet", depth=18, base_channels=64, pretrained=True))
    assert "has run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options"),
    [("MixVisionTransformer", {}), ("ResNet", {"depth": 18, "deep_stem": True}), ("MobileNetV2", {"width": 0.9})],
)
def test_no_such_weights_is_told_as_such(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(
        CheckpointError, match=r"backbone\.pretrained: timm has no weights for a \w+ with these options"
    ):
        BACKBONES.build(BACKBONES.config(name)(pretrained=True, **options))


def test_cached_weights_need_no_network(offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(3)
    source = timm.create_model("resnet18", pretrained=False)
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(source.state_dict(), path)
    monkeypatch.setattr(weights.huggingface_hub, "try_to_load_from_cache", lambda *_: str(path))
    model = BACKBONES.build(BACKBONES.config("ResNet")(depth=18, pretrained=True)).model
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_a_file_goes_before_timms_weights(offline: None, tmp_path: Path) -> None:
    source = randomised("ResNet")
    path = saved(source.state_dict(), tmp_path)
    assert_equal(BACKBONES.build(small("ResNet", pretrained=True, weights=path)), source)


NAMED = [
    *({"type": "ResNet", "depth": depth} for depth in (18, 34, 50, 101, 152)),
    *({"type": "ResNet", "depth": depth, "deep_stem": True} for depth in (50, 101, 152)),
    *({"type": "ResNet", "depth": depth, "deep_stem": True, "stem_channels": 128} for depth in (50, 101, 152)),
    *({"type": "ResNet", "depth": depth, "deep_stem": True, "avg_down": True} for depth in (18, 34, 50, 101, 152)),
    *({"type": "ResNeSt", "depth": depth, "stem_channels": stem} for depth, stem in ((50, 64), (101, 128), (200, 128))),
    *({"type": "MobileNetV2", "width": width} for width in (0.5, 1.0, 1.4)),
    *({"type": "MobileNetV3", "arch": arch} for arch in ("small", "large")),
    *(
        {"type": "ConvNeXt", "depths": [3, 3, deep, 3], "channels": [width * 2**i for i in range(4)], "use_grn": grn}
        for deep, width, grn in (
            (9, 96, False),
            (27, 96, False),
            (27, 128, False),
            (27, 192, False),
            (27, 256, False),
            (9, 96, True),
            (27, 128, True),
            (27, 192, True),
        )
    ),
    *(
        {"type": "SwinTransformer", "embed_dim": width, "num_heads": [width // 32 * 2**i for i in range(4)]}
        | {"depths": [2, 2, deep, 2], "window_size": window}
        for width, deep, window in ((96, 6, 7), (96, 18, 7), (128, 18, 7), (128, 18, 12), (192, 18, 7), (192, 18, 12))
    ),
    *({"type": "HRNet", "width": width} for width in (18, 30, 32, 40, 44, 48, 64)),
    {"type": "HRNet", "width": 18, "small": True},
    *(
        {"type": "VisionTransformer", "embed_dim": width, "depth": depth, "num_heads": width // 64}
        for width, depth in ((192, 12), (384, 12), (768, 12), (1024, 24))
    ),
    *(
        {"type": name, "embed_dim": width, "depth": depth, "num_heads": width // 64}
        for name in ("BEiT", "MAE")
        for width, depth in ((768, 12), (1024, 24))
    ),
    {"type": "MAE", "embed_dim": 1280, "depth": 32, "num_heads": 16, "patch_size": 14},
    *({"type": "PCPVT", "depths": depths} for depths in ([3, 4, 6, 3], [3, 4, 18, 3], [3, 8, 27, 3])),
    *(
        {
            "type": "SVT",
            "embed_dims": [width * 2**i for i in range(4)],
            "num_heads": [width // 32 * 2**i for i in range(4)],
        }
        | {"depths": depths}
        for width, depths in ((64, [2, 2, 10, 4]), (96, [2, 2, 18, 2]), (128, [2, 2, 18, 2]))
    ),
    *({"type": "MobileViT", "arch": arch} for arch in ("xx_small", "x_small", "small")),
    *({"type": "MobileViTV2", "width": width} for width in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)),
    {"type": "ConvNeXtV2"},
]


@pytest.mark.parametrize("options", NAMED, ids=lambda options: " ".join(map(str, options.values())))
def test_timm_has_the_weights_that_are_named(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(name: str, tag: str) -> Any:
        asked.append(f"{name}.{tag}")
        raise OSError("asked")

    monkeypatch.setattr(weights, "_source", ask)
    made = adapter(BACKBONES.config(options["type"])).validate_python(options | {"pretrained": True})
    with pytest.raises(CheckpointError, match="asked"):
        BACKBONES.build(made)
    known = timm.get_pretrained_cfg(asked[0])
    assert known is not None
    assert known.has_weights


def test_pretrained_of_the_reference_is_kept() -> None:
    assert backbone_config({"backbone": {"type": "ResNet", "pretrained": True}}).pretrained
