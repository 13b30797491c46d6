"""The formats: how each is written, and how a file of it is run to check it."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segkit.errors import ExportError
from segkit.export.deployable import Deployment

Runner = Callable[[Tensor], Tensor]
"""A loaded file: a batch in, the module's output out."""


class Dynamic(NamedTuple):
    """What may differ from the example when the file runs."""

    batch: bool = True
    size: bool = True


EVERYTHING = Dynamic()
"""Any number of images of any size."""


@dataclass(frozen=True)
class Format:
    """One way to write a model.

    Attributes:
        suffix: of its files.
        write: (module, example, what is dynamic, path).
        load: path to a runner on the CPU.
        what: in a line, for help.
        extra: brings the packages that it needs; "" for none.
    """

    suffix: str
    write: Callable[[Deployment, Tensor, Dynamic, Path], None]
    load: Callable[[Path], Runner]
    what: str
    extra: str = ""


def require(package: str, extra: str) -> Any:
    """An optional package.

    Raises:
        ExportError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExportError(f"{package} is needed: pip install 'segkit[{extra}]' ({error})") from None


def write_onnx(deployment: Deployment, example: Tensor, dynamic: Dynamic, path: Path) -> None:
    """An ONNX graph with input ``images`` and output ``logits``, ``probs`` or ``classes``."""
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    program: Any = torch.onnx.export(
        _exported(deployment, example, dynamic),
        dynamo=True,
        input_names=["images"],
        output_names=[deployment.module.output],
        dynamic_shapes=(_dynamic_shapes(dynamic),),
        external_data=False,
        verbose=False,
    )
    program.save(str(path), external_data=False)
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(deployment.facts))
    onnx.save(model, str(path))


def load_onnx(path: Path) -> Runner:
    """Runs a graph with onnxruntime on the CPU."""
    session = require("onnxruntime", "export").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def write_program(deployment: Deployment, example: Tensor, dynamic: Dynamic, path: Path) -> None:
    """A ``torch.export`` program: ``torch.export.load(path).module()(images)``."""
    torch.export.save(
        _exported(deployment, example, dynamic), str(path), extra_files={"segkit": _as_lines(deployment.facts)}
    )


def load_program(path: Path) -> Runner:
    """Runs a program in PyTorch."""
    module: Runner = torch.export.load(str(path)).module()
    return module


def write_aoti(deployment: Deployment, example: Tensor, dynamic: Dynamic, path: Path) -> None:
    """A package of compiled code for this kind of machine: ``torch._inductor.aoti_load_package(path)(images)``."""
    compile_package: Any = importlib.import_module("torch._inductor").aoti_compile_and_package
    compile_package(_exported(deployment, example, dynamic), package_path=str(path))


def load_aoti(path: Path) -> Runner:
    """Runs a package."""
    runner: Runner = importlib.import_module("torch._inductor").aoti_load_package(str(path))
    return runner


def write_torchscript(deployment: Deployment, example: Tensor, dynamic: Dynamic, path: Path) -> None:
    """A TorchScript trace, for runtimes that read nothing newer."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it is deprecated, and wary of every size that becomes a number
        traced = torch.jit.trace(deployment.module, example, check_trace=False)
        traced.save(str(path), _extra_files={"segkit": _as_lines(deployment.facts)})


def load_torchscript(path: Path) -> Runner:
    """Runs a trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: Runner = torch.jit.load(str(path))
    return module


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", write_onnx, load_onnx, "for onnxruntime, TensorRT, OpenVINO and many others", "export"),
    "torch": Format(".pt2", write_program, load_program, "torch.export's program, run by PyTorch"),
    "aoti": Format(".aoti.pt2", write_aoti, load_aoti, "AOTInductor's compiled package; needs a C++ compiler here"),
    "torchscript": Format(".ts", write_torchscript, load_torchscript, "a trace, for runtimes that read nothing newer"),
}
"""Name -> format."""


def _exported(deployment: Deployment, example: Tensor, dynamic: Dynamic) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(
            deployment.module, (example,), dynamic_shapes=(_dynamic_shapes(dynamic),), strict=False
        )


def _dynamic_shapes(dynamic: Dynamic) -> dict[int, Any]:
    free = torch.export.Dim.DYNAMIC
    return ({0: free} if dynamic.batch else {}) | ({2: free, 3: free} if dynamic.size else {})


def _as_lines(facts: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value!r}" for name, value in facts.items())
