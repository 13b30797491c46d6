"""Exported files do what the model does, at sizes they were not made at; or there is no file."""

import shutil
from pathlib import Path

import pytest
import torch
from support.checkpoints import write_untrained
from torch import Tensor, nn

from segkit.cli.export import FORMATS as SUFFIXES
from segkit.config.backbones import ResNetConfig
from segkit.config.datasets import FolderDatasetConfig, ShapesConfig
from segkit.config.heads import FCNConfig
from segkit.config.segmentor import SegmentorConfig
from segkit.config.training import DataloaderConfig, TrainerConfig
from segkit.config.transforms import NormalizeConfig
from segkit.errors import ExportError
from segkit.export import int8, tensorrt
from segkit.export.deployable import Deployable, Deployment, deploy
from segkit.export.export import export
from segkit.export.formats import FORMATS, Dynamic, load_onnx
from segkit.export.verify import other_shapes, verify
from segkit.inference.saved import SavedModel

NORMALIZE = {"normalize": NormalizeConfig()}
SMALL = {
    "backbone": ResNetConfig(depth=18, base_channels=8),
    "head": FCNConfig(channels=16),
    "trainer": TrainerConfig(accelerator="cpu"),
    "dataloader": DataloaderConfig(num_workers=0, val_batch_size=2),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    data = ShapesConfig(image_size=(64, 96), num_val=5, val_transforms=NORMALIZE, train_transforms=NORMALIZE)
    config = SegmentorConfig(dataset=data, **SMALL)
    return SavedModel.read(write_untrained(tmp_path_factory.mktemp("export") / "model.pt", config))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    data = FolderDatasetConfig(class_names=("crack",), val_transforms=NORMALIZE, train_transforms=NORMALIZE)
    config = SegmentorConfig(dataset=data, **SMALL)
    return SavedModel.read(write_untrained(tmp_path_factory.mktemp("single") / "model.pt", config))


def needs(kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    if kind == "aoti" and shutil.which("g++") is None:
        pytest.skip("AOTInductor needs a C++ compiler")


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("kind", ["onnx", "torch", "torchscript", pytest.param("aoti", marks=pytest.mark.slow)])
def test_file_equals_the_model_at_four_sizes_or_more(kind: str, saved: SavedModel, tmp_path: Path) -> None:
    needs(kind)
    path = tmp_path / f"model{FORMATS[kind].suffix}"
    trials = export(deploy(saved, output="logits", preprocess=False), path, kind=kind, size=(64, 96))
    shapes = {trial.shape[2:] for trial in trials}
    assert len(shapes - {(64, 96)}) >= 4
    assert {trial.shape[0] for trial in trials} >= {1, 2, 3}
    assert max(trial.difference for trial in trials) < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    run = FORMATS[kind].load(path)
    images = torch.randn(1, 3, 70, 50)
    deployed = deploy(saved, output="logits", preprocess=False).module
    with torch.no_grad():
        torch.testing.assert_close(run(images), deployed(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("output", ["logits", "probs", "classes"])
def test_outputs_are_as_large_as_the_image(output: str, saved: SavedModel, single: SavedModel) -> None:
    for model, classes in ((saved, len(saved.info.names)), (single, 1)):
        deployment = deploy(model, output=output, preprocess=True)  # type: ignore[arg-type]
        pixels = deployment.example((33, 47), 2)
        assert pixels.dtype == torch.uint8
        with torch.no_grad():
            found = deployment.module(pixels)
        if output == "classes":
            assert found.shape == (2, 33, 47)
            assert found.dtype == torch.int32
            assert int(found.max()) <= max(classes - 1, 1)
        else:
            assert found.shape == (2, classes, 33, 47)
        if output == "probs":
            assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_normalisation_inside_is_the_trainings_own(saved: SavedModel) -> None:
    inside, outside = (deploy(saved, output="logits", preprocess=inside) for inside in (True, False))
    pixels = inside.example((40, 40), 1)
    mean, std = (
        torch.tensor([float(v) for v in inside.facts[key].split()]).view(1, 3, 1, 1) for key in ("mean", "std")
    )
    with torch.no_grad():
        found, wanted = inside.module(pixels), outside.module((pixels - mean) / std)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_onnx_says_what_it_is(saved: SavedModel, tmp_path: Path) -> None:
    needs("onnx")
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "fixed.onnx"
    deployment = deploy(saved, output="classes", preprocess=True)
    trials = export(deployment, path, kind="onnx", size=(64, 64), batch=1, dynamic=Dynamic(batch=False, size=False))
    assert [trial.shape for trial in trials] == [(1, 3, 64, 64)]
    model = onnx.load(str(path))
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["classes"].splitlines() == list(saved.info.names)
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 64]
    with pytest.raises(ExportError, match="its H is fixed at 64"):
        tensorrt.profile_of(path, (128, 64), 1)


@pytest.mark.filterwarnings("ignore")
def test_int8_is_smaller_and_measured_on_the_split(saved: SavedModel, tmp_path: Path) -> None:
    needs("onnx")
    deployment = deploy(saved, output="logits", preprocess=False)
    full, small = tmp_path / "full.onnx", tmp_path / "small.onnx"
    export(deployment, full, kind="onnx", size=(64, 96), shapes=[(2, 64, 96)])
    batches = list(int8.calibration_images(saved, deployment, 3))
    assert sum(map(len, batches)) == 3
    int8.quantize(full, small, batches)
    assert small.stat().st_size < 0.5 * full.stat().st_size
    before, exported, after = (
        int8.score(saved, deployment, run).overall["all_accuracy"]
        for run in (deployment.module, load_onnx(full), load_onnx(small))
    )
    assert exported == pytest.approx(before, abs=1e-3)
    assert after == pytest.approx(before, abs=0.1)
    with torch.no_grad():
        images = batches[0]
        wanted, found = deployment.module(images), load_onnx(small)(images)
    assert 0 < float((found - wanted).abs().mean()) < 0.2 * float(wanted.abs().mean())

    profile = tensorrt.profile_of(full, (512, 1024), 4)
    assert (profile.least, profile.usual, profile.most) == ((1, 3, 128, 256), (4, 3, 512, 1024), (8, 3, 1024, 2048))
    if shutil.which("trtexec") is None:
        with pytest.raises(ExportError, match=r"trtexec --onnx=.* --maxShapes=images:8x3x1024x2048 --fp16"):
            tensorrt.build_engine(full, tmp_path / "model.engine", profile)


class SizeAsNumber(nn.Module):
    """A model that a trace freezes: it divides by the width of the image it was traced with."""

    align_corners = False

    def forward(self, x: Tensor) -> Tensor:
        return x / int(x.shape[3])


class Untraceable(nn.Module):
    align_corners = False

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum().item() > 0 else x


def deployment_of(module: nn.Module) -> Deployment:
    return Deployment(Deployable(module, None, "logits", 0.5).eval(), 3, False, {"head": type(module).__name__})


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_does_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"the exported file differs from the model by .* at 2 x 3 x 32 x 96"):
        export(deployment_of(SizeAsNumber()), tmp_path / "model.ts", kind="torchscript", size=(32, 32))
    assert list(tmp_path.iterdir()) == []
    fixed = Dynamic(size=False)
    assert export(
        deployment_of(SizeAsNumber()), tmp_path / "model.ts", kind="torchscript", size=(32, 32), dynamic=fixed
    )


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Untraceable: cannot be exported as torch: "):
        export(deployment_of(Untraceable()), tmp_path / "model.pt2", kind="torch", size=(32, 32))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_says_where() -> None:
    def broken(images: Tensor) -> Tensor:
        raise RuntimeError("no such\nkernel")

    with pytest.raises(ExportError, match="fails at 2 x 3 x 32 x 32: RuntimeError: no such"):
        verify(deployment_of(SizeAsNumber()), broken, other_shapes((32, 32), 2, Dynamic()))
    with pytest.raises(ExportError, match=r"gives \(2, 3, 32\) at"):
        verify(deployment_of(SizeAsNumber()), lambda images: images[..., 0], other_shapes((32, 32), 2, Dynamic()))


def test_no_two_forms_share_a_file() -> None:
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
    assert {name: form.suffix for name, form in FORMATS.items()}.items() <= SUFFIXES.items()
