"""Backbone weights from a file: extract, rename and check its tensors."""

import argparse
import contextlib
import inspect
import io
import pickle
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from picie.errors import ModelError
from picie.models.lean_timm import import_timm
from picie.runtime.printable import printable

__all__ = ["WeightFile", "fit_weights", "read_weights"]

# Keys under which checkpoints store the weights. The first match is used: a teacher or a running
# average takes precedence over the trained network.
_HOLDERS = (
    "teacher",
    "target_encoder",
    "state_dict_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model",
    "student",
)
_PREFIXES = (
    "module.",
    "_orig_mod.",
    "teacher.",
    "target_encoder.",
    "momentum_encoder.",
    "student.",
    "base_encoder.",
    "backbone.",
    "encoder.",
    "model.",
)
# Modules for pretraining or classification, which are not part of the feature extractor.
_HEADS = (
    "head",
    "head_dist",
    "fc",
    "fc_norm",
    "classifier",
    "pre_logits",
    "dino_head",
    "ibot_head",
    "dino_loss",
    "ibot_patch_loss",
    "projector",
    "predictor",
    "mask_token",
    "decoder",
    "decoder_embed",
    "decoder_pos_embed",
    "decoder_blocks",
    "decoder_norm",
    "decoder_pred",
)
_SHOWN = 3
_DEEPEST = 8  # checkpoints within checkpoints; one may also contain itself


@dataclass(frozen=True)
class WeightFile:
    """Content of a weight file.

    Attributes:
        path: the file.
        tensors: tensors by name.
        notes: messages about how the tensors were extracted.
    """

    path: Path
    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> WeightFile:
    """Read the tensors of a weight file, unwrapped from a checkpoint.

    Args:
        path: .safetensors, or any file of `torch.save`. No code in it is executed.

    Raises:
        ModelError: the file is missing or broken, contains code, or has no tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weight file; check --backbone-weights")
    notes: list[str] = []
    content = _loaded(path)
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = next((key for key in _HOLDERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        notes.append(f"{path}: took the weights under {inner!r}")
        content = content[inner]
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(key): value for key, value in items if _is_plain(value)}
    if not tensors:
        keys = _some(str(key) for key, _ in items) or f"a {type(content).__name__}"
        raise ModelError(
            f"{path}: holds no tensors where weights are expected ({keys}); save the network's "
            "state_dict() to a separate file"
        )
    return WeightFile(path, tensors, tuple(notes))


def fit_weights(
    file: WeightFile,
    name: str,
    model: nn.Module,
    known: Mapping[str, Tensor],
    used: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], list[str]]:
    """Map the tensors of a file to the names of a network, and check their shapes.

    Prefixes of training frameworks are removed, and names of the original authors are translated by
    timm. Heads may be missing or unused, and buffers that follow from the architecture may be
    missing. Everything else must match.

    Args:
        file: from `read_weights`.
        name: name of the timm network.
        model: the network without a classifier, possibly truncated after the layers in use.
        known: all tensors of the complete network.
        used: the tensors that the feature maps need.

    Returns:
        A tensor for every name of `known` (its own value if the file has none), and messages about
        what was adapted.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    path = file.path
    tensors, notes = _without_prefixes(file.tensors, known, path)
    tensors = _translated(tensors, name, model, path)
    missing = [key for key in used if key not in tensors and not _may_miss(key, model)]
    if missing:
        raise ModelError(
            f"{path}: does not fit {name}: {len(missing)} of {len(used)} tensors are missing "
            f"({_some(missing)}; it holds {_some(tensors)}); pass the --backbone that the file "
            "was made for"
        )
    for key in used:
        if key in tensors:
            _check(tensors[key], known[key], key, f"{path}: does not fit {name}")
    unknown = [key for key in tensors if key not in known]
    strange = [key for key in unknown if key.split(".")[0] not in _HEADS]
    if strange:
        raise ModelError(
            f"{path}: does not fit {name}: {len(strange)} tensors are unknown to the network "
            f"({_some(strange)}); pass the --backbone that the file was made for"
        )
    if unknown:
        notes.append(f"{path}: ignored {len(unknown)} tensors of heads ({_some(unknown)})")
    return {key: tensors.get(key, own) for key, own in known.items()}, [*file.notes, *notes]


def _loaded(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            _check_archive(path)
        # Checkpoints of DINO and many others contain their command-line flags as a Namespace.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path}: cannot be read as tensors only; it is broken, or holds objects that could "
            "run code when they are loaded. If you trust the file, save its state_dict() as "
            ".safetensors"
        ) from None
    except Exception as error:  # files of another format cause many kinds of errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}: the weights cannot be read ({reason}); give a complete .safetensors or .pth "
            "file"
        ) from None


def _check_archive(path: Path) -> None:
    """Refuse compressed parts, which torch does not write: they may fill the memory."""
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
            raise ValueError("its parts are larger than the file")


def _without_prefixes(
    tensors: dict[str, Tensor], known: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    notes: list[str] = []
    prefixes = [one for one in _PREFIXES if not any(key.startswith(one) for key in known)]
    while True:
        prefix = next((p for p in prefixes if any(key.startswith(p) for key in tensors)), None)
        if prefix is None:
            return tensors, notes
        inner = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        note = f"{path}: removed the prefix {prefix!r}"
        others = [key for key in tensors if not key.startswith(prefix)]
        if others:
            note += f", and ignored {len(others)} tensors without it ({_some(others)})"
        notes.append(note)
        tensors = inner


def _translated(
    tensors: dict[str, Tensor], name: str, model: nn.Module, path: Path
) -> dict[str, Tensor]:
    """Translate the original authors' names to timm's, with timm's rules for this family."""
    timm = import_timm()

    family = sys.modules[timm.model_entrypoint(name.split(".")[0]).__module__]
    translate: Any = getattr(family, "checkpoint_filter_fn", None)
    if translate is None:
        return tensors
    accepted = inspect.signature(translate).parameters
    options = {"adapt_layer_scale": True} if "adapt_layer_scale" in accepted else {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some rules print
            translated: dict[str, Tensor] = translate(tensors, model, **options)
    except Exception as error:  # the rules of each family raise their own errors
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(
            f"{path}: does not fit {name} ({reason}); pass the --backbone that the file was made "
            "for"
        ) from None
    return translated


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor with values in memory: neither sparse, quantised nor without data."""
    if not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized


def _check(tensor: Tensor, own: Tensor, key: str, where: str) -> None:
    if tensor.shape != own.shape:
        raise ModelError(
            f"{where}: {key} is {_sides(tensor)} where the network has {_sides(own)}; pass the "
            "--backbone that the file was made for"
        )
    if own.is_floating_point() and not bool(tensor.isfinite().all() or own.isinf().any()):
        raise ModelError(f"{where}: {key} holds values that are not finite; give a complete file")


def _may_miss(key: str, model: nn.Module) -> bool:
    if key.split(".")[0] in _HEADS:
        return True
    statistics = key.endswith(("running_mean", "running_var"))
    return key in dict(model.named_buffers()) and not statistics


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name[:100]) for name in names[:_SHOWN]) + more


def _sides(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
