"""Models on disk: a folder with `model.safetensors` and `config.json`, without executable code.

A model may come from anyone. Its settings and the names, shapes and types of its tensors are
checked before anything is built or loaded, so that a model takes no more memory than its weights.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from picie.config import Config, check_cells, make_config, translate_settings
from picie.errors import ConfigError, ModelError
from picie.models.picie import LEARNT, PiCIE, check_shapes, check_tree
from picie.runs import MODEL_CONFIG_FILE, WEIGHTS_FILE
from picie.runtime.documents import read_json
from picie.runtime.files import open_regular, write_atomically
from picie.runtime.printable import printable, shown
from picie.types import LabelsUsed
from picie.version import __version__

__all__ = ["MODEL_FORMAT", "Digest", "hash_tensors", "load_model", "read_tree", "save_model"]

MODEL_FORMAT = 1
"""Version of the file format; newer versions cannot be read."""

_MOST_HEADER = 16_000_000  # bytes; 100,000 tensors
_KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "I64": torch.int64}
_BACKBONE = "backbone.stages."
_SHOWN = 3  # tensors named in a message


class Digest(Protocol):
    """A hash of hashlib, which gives its type no name."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""


@dataclass(frozen=True)
class _Stored:
    """What the header of a weight file says of one tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype | str

    def __str__(self) -> str:
        sides = " x ".join(map(str, self.shape)) or "a number"
        return f"{sides} {str(self.dtype).removeprefix('torch.')}"


def save_model(model: PiCIE, config: Config, folder: Path) -> None:
    """Write weights, centroids and settings; each file atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    weights = save(tensors)
    card: dict[str, Any] = {
        "format": MODEL_FORMAT,
        "picie": __version__,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "settings": config.model_dump(),
    }
    if model.labels is not None:
        card["labels"] = asdict(model.labels)
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / MODEL_CONFIG_FILE, json.dumps(card, indent=2).encode())


def load_model(folder: Path) -> tuple[PiCIE, Config]:
    """Read a model strictly: no tensor may be missing or unknown.

    Raises:
        ModelError: files that are missing, broken, changed, too large, of a newer format, or do
            not belong together.
    """
    config, digest, labels = _read_card(folder)
    path = folder / WEIGHTS_FILE
    stored = _read_header(path, folder)
    model = _build(config, stored, folder)
    if digest:
        _check_digest(path, digest)
    try:
        model.restore(load_file(path))
        if not digest:
            _try(model)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, folder, error) from None
    except RuntimeError as error:
        raise ModelError(f"{path}: cannot be used ({_last_line(error)}); {_AGAIN}") from None
    model.labels = labels
    return model, config


def hash_tensors(digest: Digest, tensors: Mapping[str, Tensor], separator: str = "") -> None:
    """Add names, types, shapes and values of tensors to a digest, in the order of their names.

    Args:
        digest: of hashlib.
        tensors: by name.
        separator: text before each tensor.
    """
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        header = f"{separator}{name} {values.dtype} {tuple(values.shape)}\n"
        digest.update(header.encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)


def read_tree(folder: Path) -> Tensor | None:
    """The cluster tree of view 1, (P - 1, 3), without reading the weights.

    None for a model with a learnt classifier, or of a version that stored no trees.

    Raises:
        ModelError: the file cannot be read, or its tree is none.
    """
    path = folder / WEIGHTS_FILE
    shapes = {k: one.shape for k, one in _read_header(path, folder).items() if k in LEARNT}
    if "trees" not in shapes:
        return None
    try:
        check_shapes(shapes, shapes.get("centroids", (0,))[-1])
        with safe_open(path, framework="pt") as file:
            trees: Tensor = file.get_tensor("trees")
        for tree in trees:
            check_tree(tree)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _unreadable(path, folder, error) from None
    return trees[0] if trees.numel() else None


def _read_card(folder: Path) -> tuple[Config, str, LabelsUsed | None]:
    """Settings; hash of the weights in hexadecimal digits, "" if there is none; labels used."""
    path = folder / MODEL_CONFIG_FILE
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; give the --out folder of a picie train")
    if not path.exists():
        raise ModelError(
            f"{folder}: holds no finished model (no {MODEL_CONFIG_FILE}); give the --out folder of "
            f"a picie train, or finish it with picie train --resume {folder}"
        )
    card = read_json(path, ModelError)
    version = _typed(card, "format", int, "a whole number", path)
    if version > MODEL_FORMAT:
        raise ModelError(
            f"{folder}: was written by a newer picie (format {shown(version)}, this one reads up "
            f"to {MODEL_FORMAT}); upgrade picie"
        )
    digest = (
        _typed(card, "sha256", str, "the hash of the weights", path) if "sha256" in card else ""
    )
    settings = _typed(card, "settings", dict, "an object with the settings", path)
    if "preset" in settings:
        raise ModelError(f"{path}: unknown setting 'preset'; {_AGAIN}")
    try:
        return make_config(**translate_settings(settings, path)), digest, _labels(card, path)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None


def _labels(card: Mapping[str, Any], path: Path) -> LabelsUsed | None:
    if "labels" not in card:
        return None
    values = _typed(card, "labels", dict, "an object with counts", path)
    counts = {f.name: values[f.name] for f in fields(LabelsUsed) if f.name in values}
    for key, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**31:
            raise ModelError(
                f"{path}: labels.{key} = {shown(count)} is not a whole number from 0; {_AGAIN}"
            )
    return LabelsUsed(**counts)


_AGAIN = "get a complete copy, or train the model again"


def _typed(card: Mapping[str, Any], key: str, kind: type, wanted: str, path: Path) -> Any:
    if key not in card:
        raise ModelError(f"{path}: the key {key!r} is missing; {_AGAIN}")
    value = card[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ModelError(
            f"{path}: {key} = {shown(value)} is invalid, it must be {wanted}; {_AGAIN}"
        )
    return value


def _read_header(path: Path, folder: Path) -> dict[str, _Stored]:
    """Names, shapes and types of all tensors; safetensors checks that the file holds them."""
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(8), "little")
        if size > _MOST_HEADER:
            raise SafetensorError(f"its header is said to have {size} bytes")
        with safe_open(path, framework="pt") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {
                name: _Stored(tuple(one.get_shape()), _KINDS.get(one.get_dtype(), one.get_dtype()))
                for name, one in slices.items()
            }
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, folder, error) from None


def _unreadable(path: Path, folder: Path, error: Exception) -> ModelError:
    reason = getattr(error, "strerror", None) or error
    return ModelError(
        f"{path}: the weights cannot be read ({reason}); get a complete copy, train again, or "
        f"finish the run with picie train --resume {folder}"
    )


def _build(config: Config, stored: Mapping[str, _Stored], folder: Path) -> PiCIE:
    """A network for these settings, if the header says that its weights are in the file."""
    path = folder / WEIGHTS_FILE
    shapes = {name: stored[name].shape for name in LEARNT if name in stored}
    backbone = {name: one for name, one in stored.items() if name.startswith(_BACKBONE)}
    layers, size = config.backbone_layers, config.feature_size
    try:
        check_shapes(shapes, size)
        check_cells(config.size, max(shapes.get("groups", (0,))))
        fits = partial(_check_fit, stored=backbone, prefix=_BACKBONE)
        model = PiCIE(config.backbone, size, pretrained=False, layers=layers, check=fits)
        _check_fit(model.state_dict(), stored)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path}: does not fit the backbone of its config ({_last_line(error)}); {_AGAIN}"
        ) from None
    except ConfigError as error:
        raise ModelError(f"{folder / MODEL_CONFIG_FILE}: {error}") from None
    return model


def _check_fit(
    tensors: Mapping[str, Tensor], stored: Mapping[str, _Stored], prefix: str = ""
) -> None:
    """Raise RuntimeError unless the file holds these tensors, and no others."""
    expected = {prefix + k: _Stored(tuple(t.shape), t.dtype) for k, t in tensors.items()}
    missing = expected.keys() - stored.keys() - {"offsets", "trees"}  # 0.1.0 has neither
    for problem, names in (("missing", missing), ("unknown", stored.keys() - expected.keys())):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise RuntimeError(f"{problem}: {', '.join(sorted(names)[:_SHOWN])}{more}")
    for name in stored:
        found, wanted = stored[name], expected[name]
        if found.dtype != wanted.dtype or (found.shape != wanted.shape and name not in LEARNT):
            raise RuntimeError(f"{name} is {found} where the network has {wanted}")


@torch.no_grad()
def _try(model: PiCIE) -> None:
    """Raise RuntimeError if damaged weights, which may be finite, make features that are not."""
    was_training = model.training
    features = model.eval()(torch.full((1, 3, 64, 64), 0.5))
    model.train(was_training)
    if not bool(features.isfinite().all()):
        raise RuntimeError("its features are not finite")


def _check_digest(path: Path, digest: str) -> None:
    with open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest.lower():
        raise ModelError(
            f"{path}: is not the file that {MODEL_CONFIG_FILE} was written for (its sha256 is "
            "another): it is damaged, was replaced, or comes from another run. Copy both files "
            f"again. If you changed the weights yourself, remove sha256 from {MODEL_CONFIG_FILE}"
        )


def _last_line(error: Exception) -> str:
    return printable(str(error).strip().splitlines()[-1].strip())
