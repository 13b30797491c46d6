"""``segkit-export``: a trained model as a file for another runtime. Torch is imported after its checks."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.cli.arguments import require_checkpoint
from segkit.cli.errors import user_errors
from segkit.config.overrides import changes
from segkit.errors import ConfigError, Problem

if TYPE_CHECKING:
    from segkit.export.deployable import Deployment
    from segkit.inference.saved import SavedModel

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "aoti": ".aoti.pt2", "torchscript": ".ts", "tensorrt": ".engine"}
"""Format -> suffix."""

Size = tuple[int, int]


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    with user_errors():
        require_checkpoint(args.checkpoint)
        size = _size(args.size)
        if args.int8 and args.format != "onnx":
            raise ConfigError([Problem("--int8", f"is a form of --format onnx (got {args.format})")])
        change = changes(args.overrides)
        from segkit.export.deployable import deploy
        from segkit.inference.saved import SavedModel

        saved = SavedModel.read(args.checkpoint, change)
        deployment = deploy(saved, weights=args.weights, output=args.outputs, preprocess=args.pixels)
        path = Path(args.output) if args.output else saved.path.with_suffix(FORMATS[args.format])
        _export(args, saved, deployment, path, size or _usual_size(saved))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-export",
        description="Writes a trained model for another runtime, and compares the file with the model, at sizes that "
        "it was not made at too; a file that differs is not kept.",
        epilog="KEY=VALUE changes the checkpoint's configuration, such as dataset.root=/data for --int8.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="file of segkit-train: .../checkpoints/best.pt")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the configuration")
    parser.add_argument("--format", choices=tuple(FORMATS), default="onnx", help="default: onnx")
    parser.add_argument("--output", "-o", metavar="FILE", help="default: beside the checkpoint")
    parser.add_argument("--weights", choices=("auto", "model", "ema"), default="auto", help="as for segkit-test")
    parser.add_argument("--size", metavar="HxW", help="of the example, and of all images with --fixed-size")
    parser.add_argument("--batch", type=int, default=1, help="images of the example, and of all with --fixed-batch")
    parser.add_argument("--fixed-size", action="store_true", help="for images of one size only")
    parser.add_argument("--fixed-batch", action="store_true", help="for batches of one size only")
    parser.add_argument(
        "--outputs", choices=("logits", "probs", "classes"), default="logits", help="as large as the image"
    )
    parser.add_argument("--pixels", action="store_true", help="take uint8 pixels, and normalise them inside")
    parser.add_argument("--int8", action="store_true", help="also write an INT8 form, and measure what it costs")
    parser.add_argument("--calibration", type=int, default=64, metavar="N", help="validation images for --int8")
    return parser


def _size(text: str | None) -> Size | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None or "0" in found.groups():
        raise ConfigError([Problem("--size", f"must be HEIGHTxWIDTH, such as 512x1024 (got {text!r})")])
    return int(found[1]), int(found[2])


def _usual_size(saved: "SavedModel") -> Size:
    """What the model was trained on: the crop, or the images that are generated or resized to one size."""
    steps = saved.config.dataset.train_transforms.values()
    sizes = [getattr(step, "crop_size", None) or getattr(step, "output_size", None) for step in steps]
    known: list[Size] = [size for size in sizes if isinstance(size, tuple)]
    return known[-1] if known else getattr(saved.config.dataset, "image_size", (512, 512))


def _export(args: argparse.Namespace, saved: "SavedModel", deployment: "Deployment", path: Path, size: Size) -> None:
    from segkit.export.export import export
    from segkit.export.formats import Dynamic

    kind = "onnx" if args.format == "tensorrt" else args.format
    file = path.with_suffix(".onnx") if args.format == "tensorrt" else path
    dynamic = Dynamic(batch=not args.fixed_batch, size=not args.fixed_size)
    trials = export(deployment, file, kind=kind, size=size, batch=args.batch, dynamic=dynamic)
    for trial in trials:
        shape = " x ".join(map(str, trial.shape))
        print(f"compared at {shape}: largest difference {trial.difference:.1e}")
    print(f"{args.format if file == path else 'onnx'}: {file} ({file.stat().st_size / 1e6:.1f} MB)")
    if args.format == "tensorrt":
        from segkit.export.tensorrt import build_engine, profile_of

        build_engine(file, path, profile_of(file, size, args.batch))
        print(f"tensorrt: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if args.int8:
        _quantize(args, saved, deployment, file)


def _quantize(args: argparse.Namespace, saved: "SavedModel", deployment: "Deployment", file: Path) -> None:
    from segkit.export import int8
    from segkit.export.formats import load_onnx

    saved.config.dataset.require_root()
    target = file.with_name(f"{file.stem}.int8.onnx")
    int8.quantize(file, target, int8.calibration_images(saved, deployment, args.calibration))
    before, after = (int8.score(saved, deployment, load_onnx(path)).overall["miou"] for path in (file, target))
    print(f"int8: {target} ({target.stat().st_size / 1e6:.1f} MB)")
    split = saved.config.dataset.val_split
    print(f"mIoU on {split}: {before:.4f} before, {after:.4f} after ({after - before:+.4f})")


if __name__ == "__main__":
    main(sys.argv[1:])
