"""``segkit-predict``: what a trained model sees in files. Torch is imported when the arguments have been checked."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from segkit.cli.arguments import (
    add_model_arguments,
    is_override,
    looks_several_times,
    on_devices,
    require_checkpoint,
    take_processes,
)
from segkit.cli.errors import user_errors
from segkit.config.spelling import hint
from segkit.data.inputs import SUFFIXES, find_jobs
from segkit.errors import SegkitError

KINDS = {
    "masks": "PNGs of class ids with the classes' colours as palette",
    "overlays": "the images under these colours; of a video, a video",
    "probs": "probabilities of the classes, (K, H, W) in an .npz",
    "rle": "segments as COCO's run-length code, and all in coco.json",
    "geotiff": "class ids with the georeference of a TIFF source",
    "gallery": "gallery.html, a page to look at all of them",
}
_DEFAULT = "masks,overlays"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    inputs = [text for text in args.inputs if not is_override(text)]
    with user_errors():
        save = _kinds(args.save)
        if not 0 <= args.opacity <= 1:
            raise SegkitError(f"--opacity must be from 0 to 1 (got {args.opacity:g})")
        if args.raster_above < 0:
            raise SegkitError(f"--raster-above must not be negative (got {args.raster_above:g})")
        processes, lines = take_processes([text for text in args.inputs if is_override(text)])
        require_checkpoint(args.checkpoint)
        output = Path(args.output)
        jobs, problems = find_jobs(inputs, output)
        if not jobs:
            raise SegkitError("\n".join(problems) or "no file to segment")
        tiffs = [job for job in jobs if job.source.suffix.lower() in (".tif", ".tiff")]
        if "geotiff" in save and args.save != "all" and not tiffs:
            raise SegkitError("--save geotiff: no input is a TIFF, which has the georeference")
        from segkit.config.overrides import changes
        from segkit.engine.predictions.outputs import Looks
        from segkit.engine.predictions.run import Request, segment_files
        from segkit.inference.saved import SavedModel

        change = on_devices(changes(lines), args.device, processes)

        saved = SavedModel.read(args.checkpoint, change)
        request = Request(
            Looks(output, save, args.opacity, args.half),
            weights=args.weights,
            tta=looks_several_times(args, lines),
            device=args.device,
            processes=processes,
            overwrite=args.overwrite,
            raster_above=round(args.raster_above * 1e6),
        )
        segment_files(saved, jobs, request, problems)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, KINDS))
    kinds = "\n".join(f"  {name:{width}}  {what}" for name, what in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="segkit-predict",
        description="Segments images, videos and rasters with a trained model. A call that was cut off goes on where "
        f"it stopped.\n\nKinds of results, each a folder of OUTPUT:\n{kinds}",
        epilog="KEY=VALUE changes the checkpoint's configuration: inference.mode=slide inference.crop_size=[512,512]\n"
        "inference.stride=[341,341], inference.tta.flip=true, dataloader.val_batch_size=8, amp=bf16;\n"
        "trainer.devices=2 shares the files among processes, as torchrun does.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help=f"file, folder, pattern such as 'day/*.jpg', or KEY=VALUE; from a folder are taken {' '.join(SUFFIXES)}",
    )
    parser.add_argument("--output", "-o", default="predictions", help="folder of the results (default: predictions)")
    parser.add_argument(
        "--save", default=_DEFAULT, metavar="KIND,...", help=f"kinds of results, or all (default: {_DEFAULT})"
    )
    parser.add_argument("--opacity", type=float, default=0.5, help="of the colours in overlays, 0 to 1 (default: 0.5)")
    parser.add_argument("--half", action="store_true", help="probabilities as float16")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done already")
    parser.add_argument(
        "--raster-above", type=float, default=64.0, metavar="MEGAPIXELS",
        help="a TIFF with more pixels is read and written by windows, as a TIFF (default: 64)",
    )  # fmt: skip
    return parser


def _kinds(text: str) -> frozenset[str]:
    """The kinds that ``--save`` names.

    Raises:
        SegkitError: one is unknown, or there is none.
    """
    if text == "all":
        return frozenset(KINDS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in KINDS]
    if wrong or not names:
        told = [f"unknown kind {name!r}{hint(name, KINDS)}" for name in wrong] or ["no kind is named"]
        raise SegkitError(f"--save: {'; '.join(told)}; kinds: {', '.join(KINDS)}, all")
    return frozenset(names)


if __name__ == "__main__":
    main(sys.argv[1:])
