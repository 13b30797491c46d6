"""The predictor on a small checkpoint: what goes in, what comes out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support.checkpoints import write_untrained
from support.runs import tiny_config

import segkit
from segkit.checkpoint import read_checkpoint
from segkit.config.component import to_plain
from segkit.config.datasets import FolderDatasetConfig
from segkit.config.inference import InferenceConfig, TTAConfig
from segkit.config.transforms import NormalizeConfig, PaddingConfig, RandomFlipConfig, ResizeConfig
from segkit.errors import CheckpointError, ConfigError, DatasetError, SegkitError
from segkit.inference.options import inference_options
from segkit.inference.predictor import Predictor
from segkit.inference.saved import SavedModel
from segkit.inference.video import Video, VideoWriter


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return segkit.load(checkpoint, device="cpu")


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """(45, 60, 3) RGB."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (60, 45), interpolation=cv2.INTER_LINEAR)


def test_a_file_an_image_and_an_array_are_the_same(
    predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "strasse, süd.png"
    Image.fromarray(image).save(path)
    expected = predictor(image)
    for source in (path, str(path), Image.fromarray(image), Image.fromarray(image).convert("RGBA")):
        np.testing.assert_array_equal(predictor(source).mask, expected.mask)
    assert predictor(path).name == "strasse, süd"
    assert expected.mask.shape == (45, 60)
    assert expected.mask.dtype == np.uint8
    assert len(np.unique(expected.mask)) > 1


def test_tensors_are_taken_as_torchvision_has_them(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    expected = predictor(image).mask
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    np.testing.assert_array_equal(predictor(tensor).mask, expected)
    np.testing.assert_array_equal(predictor(tensor / 255).mask, expected)
    assert [r.mask.shape for r in predictor(torch.stack([tensor, tensor]))] == [(45, 60)] * 2
    with pytest.raises(DatasetError, match="from 0 to 1, not normalised"):
        predictor(tensor / 255 - 0.5)
    with pytest.raises(DatasetError, match=r"height x width x 3 .got 45 x 60 x 4"):
        predictor(torch.cat([tensor, tensor[:1]]))
    with pytest.raises(DatasetError, match=r"a path, a PIL image, an array or a tensor .got int"):
        predictor(3)  # type: ignore[call-overload]


def test_a_generator_is_read_as_its_results_are(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    read: list[int] = []

    def endless() -> Any:
        for number in range(1000):
            read.append(number)
            yield image

    results = predictor(endless())
    assert [next(results).name for _ in range(3)] == ["0", "1", "2"]
    assert len(read) <= 3 + predictor.batch_size


def test_a_video_is_its_frames(predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.webm", 10) as writer:
        for _ in range(5):
            writer.write(image)
    frames = list(Video.open(tmp_path / "a.webm").frames())
    found = list(predictor(tmp_path / "a.webm"))
    assert len(found) == 5
    np.testing.assert_array_equal(found[3].mask, predictor(frames[3]).mask)


def test_a_class_has_its_own_map(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    result = predictor(image)
    np.testing.assert_array_equal(result.prob("disc"), result.probs[1])
    with pytest.raises(SegkitError, match="no class is called 'dics', did you mean 'disc'"):
        result.prob("dics")
    assert sum(result.shares().values()) == pytest.approx(1)
    assert max(result.shares(), key=result.shares().__getitem__) == next(iter(result.shares()))


def test_probs_are_written_with_their_classes(predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path) -> None:
    result = predictor(image)
    result.save_probs(tmp_path / "a.npz", half=True)
    with np.load(tmp_path / "a.npz") as saved:
        assert saved["probs"].dtype == np.float16
        np.testing.assert_allclose(saved["probs"], result.probs, atol=1e-3)
        assert saved["classes"].tolist() == list(predictor.info.names)


def test_probs_kept_at_once_are_those_of_a_second_look(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    (kept,) = predictor.predict([predictor.read(image)], probs=True)
    np.testing.assert_array_equal(kept.probs, predictor(image).probs)
    np.testing.assert_array_equal(kept.mask, predictor(image).mask)


def test_changes_are_those_of_the_command_line(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    changes = ["inference.mode=slide", "inference.crop_size=[16,16]", "inference.stride=[10,10]", "amp=bf16"]
    changed = segkit.load(checkpoint, device="cpu", changes=changes)
    assert (changed.options.mode, changed.config.amp.enabled) == ("slide", True)
    assert changed(image).mask.shape == (45, 60)
    with pytest.raises(ConfigError, match="did you mean 'crop_size'"):
        segkit.load(checkpoint, device="cpu", changes=["inference.crop_siz=[16,16]"])


def test_fewer_images_are_taken_where_memory_ends(checkpoint: Path, image: NDArray[np.uint8]) -> None:
    predictor = segkit.load(checkpoint, device="cpu")
    predictor.batch_size = 5
    expected = [r.mask for r in predictor([image] * 5)]
    forward: Callable[..., torch.Tensor] = predictor.model.forward
    holds = 2

    def small(images: torch.Tensor) -> torch.Tensor:
        if len(images) > holds:
            raise torch.OutOfMemoryError
        return forward(images)

    predictor.model.forward = small  # type: ignore[method-assign]
    np.testing.assert_array_equal([r.mask for r in predictor([image] * 5)], expected)
    holds = 0
    with pytest.raises(SegkitError, match=r"45 x 60 pixels .* use inference.mode=slide"):
        predictor(image)


def test_several_images_come_out_in_order_at_their_own_sizes(
    checkpoint: Path, predictor: Predictor, image: NDArray[np.uint8]
) -> None:
    images = [image, image[:30], image[::-1].copy(), image[:30, :33]]
    alone = [predictor(i).mask for i in images]
    for batch_size in (1, 2, 10):
        together = segkit.load(checkpoint, device="cpu")
        together.batch_size = batch_size
        results = together(images)
        assert [r.name for r in results] == ["0", "1", "2", "3"]
        for result, mask in zip(results, alone, strict=True):
            np.testing.assert_array_equal(result.mask, mask)
    assert [r.mask.shape for r in predictor.stream(iter(images))] == [i.shape[:2] for i in images]


def test_probs_agree_with_the_mask(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    result = predictor(image)
    assert result.probs.shape == (7, 45, 60)
    np.testing.assert_allclose(result.probs.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(result.probs.argmax(axis=0), result.mask)
    assert result.probs is result.probs


def test_a_mask_file_holds_ids_and_colours(predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path) -> None:
    result = predictor(image)
    result.save_mask(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as saved:
        assert saved.mode == "P"
        np.testing.assert_array_equal(np.asarray(saved), result.mask)
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), result.colors())


def test_an_overlay_lies_between_image_and_colours(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    result = predictor(image)
    np.testing.assert_array_equal(result.overlay(0), image)
    coloured = result.colors().any(axis=2)
    np.testing.assert_array_equal(result.overlay(1)[coloured], result.colors()[coloured])
    half = result.overlay(0.5).astype(int)
    np.testing.assert_allclose(half[coloured], (image / 2 + result.colors() / 2)[coloured], atol=1)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((4, 5, 3)), "must be uint8 or uint16.*got 4 x 5 x 3 float64"),
        (np.zeros((4, 5, 4), np.uint8), "must be height x width x 3 .got 4 x 5 x 4 uint8"),
        (np.zeros((0, 5, 3), np.uint8), "must be height x width x 3 .got 0 x 5 x 3 uint8"),
    ],
)
def test_other_pixels_are_refused(predictor: Predictor, pixels: NDArray[Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        predictor(pixels)


def test_grey_pixels_are_taken_for_rgb(predictor: Predictor, image: NDArray[np.uint8]) -> None:
    grey = image[..., 0]
    np.testing.assert_array_equal(predictor(grey).mask, predictor(np.stack([grey] * 3, axis=2)).mask)


def test_images_are_transformed_as_in_evaluation_and_masks_keep_their_size(
    tmp_path: Path, image: NDArray[np.uint8]
) -> None:
    transforms = {
        "resize": ResizeConfig(output_size=(40, 40), scale_range=None),
        "normalize": NormalizeConfig(),
        "padding": PaddingConfig(output_size=(64, 64)),
    }
    config = tiny_config(dataset={"val_transforms": transforms, "train_transforms": transforms})
    padded = segkit.load(write_untrained(tmp_path / "padded.pt", config), device="cpu")
    result = padded(image)
    assert result.mask.shape == (45, 60)
    np.testing.assert_array_equal(result.probs.argmax(axis=0), result.mask)


def test_a_single_class_is_told_from_the_background(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    data = FolderDatasetConfig(class_names=("crack",), colors=((250, 10, 20),), root=tmp_path)
    config = tiny_config(dataset=data, dataloader={"total_batch_size": 1})
    config = replace(config, dataset=replace(data, train_transforms={}, val_transforms={"n": NormalizeConfig()}))
    result = segkit.load(write_untrained(tmp_path / "crack.pt", config), device="cpu")(image)
    assert set(np.unique(result.mask)) <= {0, 1}
    assert result.classes == ("background", "crack")
    assert result.probs.shape == (1, 45, 60)
    np.testing.assert_array_equal(result.probs[0] >= 0.5, result.mask == 1)
    outside = result.mask == 0
    np.testing.assert_array_equal(result.overlay()[outside], image[outside])


def test_averaged_weights_are_taken_where_they_were_judged(tmp_path: Path) -> None:
    averaged = {
        name: value * 2 if value.is_floating_point() else value
        for name, value in read_checkpoint(write_untrained(tmp_path / "a.pt", tiny_config()))["model"].items()
    }
    judged = tiny_config(ema={"enabled": True}, trainer={"monitor": "ema/miou"})
    for config, expected in ((judged, "ema"), (tiny_config(ema={"enabled": True}), "model")):
        saved = SavedModel.read(write_untrained(tmp_path / "b.pt", config, ema=averaged))
        assert saved.choose() == expected
        assert saved.choose("ema") == "ema"
        model = saved.build(torch.device("cpu"), "auto")
        torch.testing.assert_close(model.state_dict(), saved.payload[expected], rtol=0, atol=0)
    with pytest.raises(CheckpointError, match="no averaged weights"):
        SavedModel.read(tmp_path / "a.pt").choose("ema")


def test_what_only_training_needed_may_be_gone(tmp_path: Path) -> None:
    config = tiny_config(
        backbone={"pretrained": True, "weights": Path("/gone.pt")}, trainer={"init_from": Path("/gone.pt")}
    )
    segkit.load(write_untrained(tmp_path / "a.pt", tiny_config(), config=to_plain(config)), device="cpu")


def test_nothing_that_a_checkpoint_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    payload = read_checkpoint(write_untrained(tmp_path / "a.pt", tiny_config()))
    plain = {**payload["config"], "plugins": ["harmful"]}
    segkit.load(write_untrained(tmp_path / "b.pt", tiny_config(), config=plain), device="cpu")
    plain["head"] = {"type": "TheirHead"}
    with pytest.raises(CheckpointError, match=r"plug-ins; if you trust them, say plugins=\[harmful\]"):
        SavedModel.read(write_untrained(tmp_path / "c.pt", tiny_config(), config=plain))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"head": {"type": "Gone"}}}, "its configuration does not fit this segkit: head"),
        ({"config": {"backbone": 3}}, "its configuration does not fit this segkit"),
        ({"config": None}, "without config"),
        ({"classes": ["a", "b"], "palette": [[0, 0, 0], [1, 1, 1]]}, "has 7 classes that are not the 2"),
        ({"model": {}}, "weights of another model: .* is missing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=words):
        segkit.load(write_untrained(tmp_path / "a.pt", tiny_config(), **change), device="cpu")


@pytest.mark.parametrize("device", ["cuda:99", "tpu-v9"])
def test_a_device_that_is_not_there_is_refused(checkpoint: Path, device: str) -> None:
    with pytest.raises(ConfigError, match="device"):
        segkit.load(checkpoint, device=device)


def test_looks_come_from_the_configuration(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    several = InferenceConfig(tta=TTAConfig(scales=(0.75, 1.5), flip=True))
    path = write_untrained(tmp_path / "a.pt", tiny_config(inference=several))
    plain, augmented = segkit.load(path, device="cpu"), segkit.load(path, device="cpu", tta=True)
    assert plain.options.tta == TTAConfig()
    assert augmented.options.tta == replace(several.tta, swaps=())
    assert not np.array_equal(plain(image).probs, augmented(image).probs)


def test_looks_without_anything_to_look_at_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"set inference\.tta\.flip=true"):
        segkit.load(checkpoint, device="cpu", tta=True)


@pytest.mark.parametrize(("given", "expected"), [(None, ((1, 2),)), ((), ()), (((3, 4),), ((3, 4),))])
def test_swaps_are_those_of_the_training_flip_unless_given(given: Any, expected: Any) -> None:
    flips = {"flip": RandomFlipConfig(swaps=((1, 2),))}
    config = tiny_config(
        dataset={"train_transforms": flips}, inference=InferenceConfig(tta=TTAConfig(flip=True, swaps=given))
    )
    assert inference_options(config, tta=True).tta.swaps == expected
    assert inference_options(config).tta == TTAConfig()


def test_mixed_precision_is_that_of_the_configuration(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    seen: list[torch.dtype] = []
    half = segkit.load(write_untrained(tmp_path / "a.pt", tiny_config(amp={"enabled": True})), device="cpu")
    forward: Callable[..., torch.Tensor] = half.model.forward
    half.model.forward = lambda x: seen.append(forward(x).dtype) or forward(x)  # type: ignore[func-returns-value]
    assert half(image).probs.dtype == np.float32
    assert set(seen) == {torch.bfloat16}


def test_a_predictor_says_what_it_is(predictor: Predictor) -> None:
    assert repr(predictor) == "Predictor(FCN on TIMMBackbone, 7 classes, on cpu)"
