"""``segkit-serve``: a page and an HTTP service around a trained model. Torch is imported after its checks."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from segkit.cli.arguments import add_model_arguments, require_checkpoint
from segkit.cli.errors import user_errors
from segkit.config.overrides import changes
from segkit.errors import ConfigError, Problem, SegkitError

_PACKAGES = ("fastapi", "uvicorn", "python_multipart")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Args:
        argv: arguments after the program's name; the process's own by default.
    """
    args = _parser().parse_intermixed_args(argv)
    with user_errors():
        _check(args)
        require_checkpoint(args.checkpoint)
        change = changes(args.overrides)
        from segkit.inference.predictor import Predictor
        from segkit.inference.saved import SavedModel
        from segkit.serve.limits import Limits
        from segkit.serve.run import listen, serve

        with listen(args.host, args.port) as listener:  # first: to read a model takes seconds
            saved = SavedModel.read(args.checkpoint, change)
            predictor = Predictor(saved, device=args.device, weights=args.weights, tta=args.tta)
            limits = Limits(round(args.max_mb * 1e6), args.max_pixels, args.max_waiting)
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"{saved.path}: {len(saved.info.names)} classes, on {predictor.device}")
            if args.host not in _LOOPBACK:
                print("whoever reaches this address may use it: there is no password")
            print(f"http://{shown}:{port}/ (Ctrl-C ends it)", flush=True)
            serve(predictor, saved.path, listener, limits, origins=args.allow_origin)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit-serve",
        description="Serves a trained model: a page to drop an image on, and POST /predict?format=json|mask|overlay "
        "with the image as the form's field `file`. One image is segmented at a time, others wait.",
        epilog="KEY=VALUE changes the checkpoint's configuration, such as inference=slide_512x1024 amp=bf16.",
    )
    add_model_arguments(parser)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the configuration")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--max-mb", type=float, default=20.0, help="megabytes of an upload (default: 20)")
    parser.add_argument(
        "--max-pixels", type=int, default=40_000_000, metavar="N", help="of an image (default: 40000000)"
    )
    parser.add_argument(
        "--max-waiting", type=int, default=16, metavar="N", help="requests at a time; more get a 503 (default: 16)"
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="web site whose pages may ask (default: none)",
    )
    return parser


def _check(args: argparse.Namespace) -> None:
    """Raises what can be told without torch."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise SegkitError(f"segkit-serve needs {', '.join(missing)}: pip install 'segkit[serve]'")
    problems = [
        Problem(name, f"must be positive (got {value:g})")
        for name, value in {
            "--max-mb": args.max_mb,
            "--max-pixels": args.max_pixels,
            "--max-waiting": args.max_waiting,
        }.items()
        if not value > 0
    ]
    if not 0 <= args.port <= 65535:
        problems.append(Problem("--port", f"must be from 0 to 65535 (got {args.port})"))
    if problems:
        raise ConfigError(problems)


if __name__ == "__main__":
    main(sys.argv[1:])
