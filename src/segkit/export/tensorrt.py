"""TensorRT engines, built from a verified ONNX file on the machine that will run them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import ExportError
from segkit.export.formats import require
from segkit.files import write_file

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Profile:
    """Input shapes (N, C, H, W) that an engine is built for.

    Attributes:
        name: of the input.
        least: the smallest.
        usual: what it is tuned for.
        most: the largest.
    """

    name: str
    least: Shape
    usual: Shape
    most: Shape

    def command(self, onnx: Path, engine: Path, *, half: bool) -> str:
        """NVIDIA's own tool doing the same."""
        shapes = zip(("min", "opt", "max"), (self.least, self.usual, self.most), strict=True)
        options = [f"--{which}Shapes={self.name}:{'x'.join(map(str, shape))}" for which, shape in shapes]
        return " ".join(
            ["trtexec", f"--onnx={onnx}", f"--saveEngine={engine}", *options, *(["--fp16"] if half else [])]
        )


def profile_of(onnx_path: Path, size: tuple[int, int], batch: int, *, most: int = 2) -> Profile:
    """The shapes for an ONNX file: a quarter of ``size`` to ``most`` times it where dynamic, else what the file says.

    Raises:
        ExportError: onnx is not installed, or the file takes another size.
    """
    graph = require("onnx", "export").load(str(onnx_path), load_external_data=False).graph
    given = [d.dim_value if d.HasField("dim_value") else None for d in graph.input[0].type.tensor_type.shape.dim]
    usual = (batch, given[1] or 3, *size)
    wrong = [(i, fixed) for i, fixed in enumerate(given) if fixed is not None and fixed != usual[i]]
    if wrong:
        index, fixed = wrong[0]
        raise ExportError(f"{onnx_path}: its {'NCHW'[index]} is fixed at {fixed} (asked for {usual[index]})")
    least = tuple(
        value if fixed else max(value // 4, 1)
        for value, fixed in zip(usual, (g is not None for g in given), strict=True)
    )
    greatest = tuple(
        value if fixed else value * most for value, fixed in zip(usual, (g is not None for g in given), strict=True)
    )
    return Profile(graph.input[0].name, least, usual, greatest)  # type: ignore[arg-type]


def build_engine(onnx_path: Path, engine_path: Path, profile: Profile, *, half: bool = True) -> None:
    """Builds an engine for this machine's GPU; takes minutes.

    Raises:
        ExportError: TensorRT is not installed, or refuses the graph.
    """
    try:
        trt = require("tensorrt", "tensorrt")
    except ExportError:
        command = profile.command(onnx_path, engine_path, half=half)
        text = f"tensorrt is not installed here; on the machine with the GPU: pip install tensorrt, or {command}"
        raise ExportError(text) from None
    write_file(engine_path, _build(trt, onnx_path.read_bytes(), profile, half=half))


def _build(trt: Any, graph: bytes, profile: Profile, *, half: bool) -> bytes:
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"TensorRT cannot read the graph: {errors}")
    config = builder.create_builder_config()
    if half:
        config.set_flag(trt.BuilderFlag.FP16)
    shapes = builder.create_optimization_profile()
    shapes.set_shape(profile.name, profile.least, profile.usual, profile.most)
    config.add_optimization_profile(shapes)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ExportError("TensorRT built no engine; its log says why")
    return bytes(serialized)
