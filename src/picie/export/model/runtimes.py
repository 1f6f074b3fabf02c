"""Write and run a traced graph as ONNX and torch.export files."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.errors import ConfigError, MissingExtraError, ModelError
from picie.export.model.graph import LEAST_SIDE, Graph

__all__ = [
    "Kind",
    "Runner",
    "check_opset",
    "is_exported",
    "module_runner",
    "onnx_runner",
    "require",
    "torch_runner",
    "trace",
    "write_onnx",
    "write_torch",
]

Kind = Literal["onnx", "torch"]
Runner = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], NDArray[Any]]]
"""From images (B, H, W, 3) uint8 to ids (B, H, W) int64 and logits (B, N, h, w) float32."""

_EXAMPLE = (2, 96, 160, 3)
_OPSETS = range(18, 24)
_AXES = ("batch", "height", "width")


def require(kind: Kind) -> None:
    """Refuse a format whose packages are missing.

    Raises:
        MissingExtraError: names what to install.
    """
    if kind != "onnx":
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"picie export --model onnx needs onnx, onnxscript and onnxruntime (no {error.name}): "
            'pip install "picie[onnx]"'
        ) from None


def check_opset(opset: int) -> None:
    """Refuse unsupported versions of ONNX operators.

    Raises:
        ConfigError: a version other than 18 to 23.
    """
    if opset not in _OPSETS:
        raise ConfigError(
            f"--opset {opset}: the graph can be written with the operators of ONNX "
            f"{_OPSETS[0]} to {_OPSETS[-1]}; remove it for 18, which most programs read"
        )


def trace(graph: Graph) -> torch.export.ExportedProgram:
    """Trace the graph for any number of images with sides of at least 64 pixels.

    Raises:
        ModelError: operations of the backbone depend on the size or values of images.
    """
    example = torch.zeros(_EXAMPLE, dtype=torch.uint8)
    least = (1, LEAST_SIDE, LEAST_SIDE)
    sizes = {
        axis: torch.export.Dim(name, min=low)
        for axis, (name, low) in enumerate(zip(_AXES, least, strict=True))
    }
    try:
        with torch.no_grad():
            program = torch.export.export(
                graph,
                (example,),
                dynamic_shapes=(sizes,),
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # tracing raises errors without a common base
        raise _untraceable(error) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def write_onnx(
    program: torch.export.ExportedProgram, path: Path, metadata: dict[str, str], opset: int
) -> None:
    """Write a self-contained .onnx file.

    Args:
        program: from `trace`.
        path: the file.
        metadata: strings by key, stored in the file.
        opset: version of ONNX's operators.

    Raises:
        ModelError: an operation that ONNX does not support.
    """
    try:
        written = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=["images"],
            output_names=["ids", "logits"],
            opset_version=opset,
            verbose=False,
        )
    except Exception as error:
        raise _untraceable(error) from error
    assert written is not None  # it returns the model if no path is given
    model = written.model
    _forget_origin(model)
    _name_axes(model)
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    model.producer_name, model.producer_version = "picie", metadata["picie_version"]
    written.save(str(path), external_data=False)


def write_torch(
    program: torch.export.ExportedProgram, path: Path, metadata: dict[str, str]
) -> None:
    """Write a .pt2 file that `torch.export.load` reads.

    Args:
        program: from `trace`.
        path: the file.
        metadata: strings by key, stored in the file.
    """
    # In memory first: torch's own writing ends the process if the disk is full.
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=dict(metadata))
    path.write_bytes(file.getbuffer())


def is_exported(path: Path) -> bool:
    """Whether `write_onnx` or `write_torch` wrote a file, and no other program changed it since.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix == ".onnx":
        with path.open("rb") as file:
            return b"\x12\x05picie" in file.read(64)  # the name of the producer
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("extra/picie_version") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError):
        return False


def onnx_runner(path: Path) -> Runner:
    """Run an .onnx file in ONNX Runtime on the CPU, with as many threads as torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        ids, logits = session.run(["ids", "logits"], {"images": images})
        return ids, logits

    return run


def torch_runner(path: Path) -> Runner:
    """Run a .pt2 file in torch on the CPU."""
    return module_runner(torch.export.load(path).module())


def module_runner(module: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Runner:
    """Run a module in torch on the CPU."""

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        with torch.no_grad():
            ids, logits = module(torch.from_numpy(images))
        return ids.numpy(), logits.numpy()

    return run


def _forget_origin(model: Any) -> None:
    """Remove the exporter's notes on its source: paths of this machine, and much text."""
    values = [*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        values += node.outputs
    for value in values:
        value.metadata_props.clear()
    model.graph.metadata_props.clear()


def _name_axes(model: Any) -> None:
    """Name the dynamic axes of inputs and outputs."""
    import onnx_ir

    names = {"images": (*_AXES, 3), "ids": _AXES}
    for value in [*model.graph.inputs, *model.graph.outputs]:
        if value.name in names:
            value.shape = onnx_ir.Shape(names[value.name])


def _untraceable(error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Some errors start with a listing of the whole trace.
    telling = [line for line in lines if line.startswith(("Could not", "Constraints", "- "))]
    reason = [*telling, *lines, type(error).__name__][0][:200]
    return ModelError(
        f"the network cannot be exported for images of any size ({reason}); train with a "
        "convolutional backbone, such as the default"
    )
