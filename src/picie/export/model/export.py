"""Write a trained model to one file that runs without picie, and check it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from picie.config import Config
from picie.errors import ConfigError, ModelError
from picie.export.model.checking import Check, Prediction, check_file, check_graph, check_sizes
from picie.export.model.graph import LEAST_SIDE, Graph, ignored_id
from picie.export.model.runtimes import (
    Kind,
    check_opset,
    is_exported,
    module_runner,
    onnx_runner,
    require,
    torch_runner,
    trace,
    write_onnx,
    write_torch,
)
from picie.inference.plan import files_of
from picie.inference.segmenter import Segmenter, load
from picie.runtime.files import write_atomically, writing
from picie.runtime.outputs import check_output, has_content
from picie.version import __version__

__all__ = ["Exported", "export_model"]

_ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
_GRAPH_TOLERANCE = 1e-3  # of the largest logit, between the graph and prediction


@dataclass(frozen=True)
class Exported:
    """The exported file.

    Attributes:
        path: the file.
        bytes: its size.
        check: comparison with torch.
        graph_difference: largest difference between the logits of graph and prediction, as a share
            of the largest logit.
    """

    path: Path
    bytes: int
    check: Check
    graph_difference: float


def export_model(
    model: Segmenter | str | Path,
    path: str | Path,
    kind: Kind = "onnx",
    *,
    opset: int = 18,
    overwrite: bool = False,
) -> Exported:
    """Write a model to one file: from images (B, H, W, 3) uint8 RGB to ids (B, H, W) int64.

    The file contains normalisation, network, classification with names, averaging of scales and
    upsampling, but not boundary refinement (`refine`). It is written only if its results match
    torch.

    Args:
        model: trained, or its folder.
        path: ends in .onnx, or in .pt2 for `torch`.
        kind: `onnx` or `torch` (a torch.export program).
        opset: version of ONNX's operators, 18 to 23.
        overwrite: replace an existing file, provided that this function wrote it.

    Raises:
        ConfigError: another file extension, an existing file, or an unsupported opset.
        MissingExtraError: packages for ONNX are not installed.
        ModelError: the network cannot be exported, or the file does not match torch.
        NotFittedError: the model has no centroids.
        PicieError: the file cannot be written.

    Example:
        >>> picie.export_model("runs/first", "model.onnx").path.name  # doctest: +SKIP
        'model.onnx'
    """
    path = Path(path)
    _check_path(path, kind, model, overwrite=overwrite)
    check_opset(opset)
    require(kind)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    model = _on_cpu(model)
    graph = Graph(model)
    torch_run, prediction = module_runner(graph), Prediction(model)
    sizes = check_sizes(max(model.config.size, LEAST_SIDE))
    apart = check_graph(torch_run, prediction, sizes[-1][1])
    if apart > _GRAPH_TOLERANCE:
        raise ModelError(
            f"the graph of this network differs from its own prediction by {apart:.1%} of the "
            f"largest logit, so no file was written; backbone {model.config.backbone} pads its "
            "images in a way that cannot be exported"
        )
    program = trace(graph)
    metadata = _metadata(model)
    checks: list[Check] = []

    def write(part: Path) -> None:
        if kind == "onnx":
            write_onnx(program, part, metadata, opset)
        else:
            write_torch(program, part, metadata)
        run = onnx_runner(part) if kind == "onnx" else torch_runner(part)
        checks.append(check_file(run, torch_run, prediction, sizes))
        if not checks[0].good:
            raise ModelError(
                f"{path}: not written, because the exported network differs from torch: logits by "
                f"{checks[0].difference:.2%} of the largest, ids in {checks[0].pixels:.2%} of the "
                "pixels; try another --opset, or other versions of torch and onnxruntime"
            )

    write_atomically(path, write)
    return Exported(path, path.stat().st_size, checks[0], apart)


def _on_cpu(model: Segmenter | str | Path) -> Segmenter:
    """The model, loaded in float32 on the CPU if given as a folder."""
    return model if isinstance(model, Segmenter) else load(model, device="cpu", precision="fp32")


def _check_path(path: Path, kind: Kind, model: Segmenter | str | Path, *, overwrite: bool) -> None:
    if kind not in _ENDINGS:
        raise ConfigError(f"unknown kind of model {kind!r}; known: {', '.join(_ENDINGS)}")
    if path.suffix != _ENDINGS[kind]:
        raise ConfigError(
            f"--out {path}: give a file that ends in {_ENDINGS[kind]} for --model {kind}"
        )
    if path.is_dir():
        raise ConfigError(f"--out {path}: is a folder; give a file that ends in {_ENDINGS[kind]}")
    check_output(path, is_exported, inputs=lambda: _model_files(model))
    if has_content(path) and not overwrite:
        raise ConfigError(
            f"{path}: already exists; choose another --out, or pass --overwrite to replace it"
        )


def _model_files(model: Segmenter | str | Path) -> Iterator[Path]:
    if isinstance(model, Segmenter):
        return files_of(model.run, model.config)
    return files_of(Path(model), Config())


def _metadata(model: Segmenter) -> dict[str, str]:
    """What programs need to use the file, as strings; lists are JSON. It contains no paths."""
    config = model.config
    return {
        "picie_version": __version__,
        "class_names": json.dumps(model.names),
        "class_colours": json.dumps(model.colours.tolist()),
        "ignored_id": str(ignored_id(model.clusters)),
        "short_side": str(max(config.size, LEAST_SIDE)),
        "multiple_of": "32",
        "input": "images (batch, height, width, 3) uint8 RGB, sides of 64 pixels or more",
        "output": "ids (batch, height, width) int64; logits (batch, class, h, w) float32, which "
        "ids are upsampled from bilinearly",
        "predict_scales": json.dumps(config.predict_scales),
        "refine_left_out": str(config.refine),
        "stretch": json.dumps(config.reading.stretch),
        "backbone": config.backbone,
    }
