"""Models on disk: a folder with `model.safetensors` and `config.json`, without executable code.

A model may come from anyone. Its settings and the names, shapes and types of its tensors are
checked before anything is built or loaded, so that a model takes no more memory than its weights.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from picie.config import Config, check_cells
from picie.errors import ConfigError, ModelError
from picie.models.centroids import LEARNT, check_shapes
from picie.models.picie import PiCIE
from picie.models.stored import (
    AGAIN,
    MODEL_FORMAT,
    Stored,
    check_digest,
    read_card,
    read_header,
    unreadable,
)
from picie.runs import MODEL_CONFIG_FILE, WEIGHTS_FILE
from picie.runtime.files import write_atomically
from picie.runtime.printable import printable
from picie.version import __version__

__all__ = ["Digest", "hash_tensors", "load_model", "save_model"]

_BACKBONE = "backbone.stages."
_SHOWN = 3  # tensors named in a message


class Digest(Protocol):
    """A hash of hashlib, which gives its type no name."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""


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
    config, digest, labels = read_card(folder)
    path = folder / WEIGHTS_FILE
    stored = read_header(path, folder)
    model = _build(config, stored, folder)
    if digest:
        check_digest(path, digest)
    try:
        model.restore(load_file(path))
        if not digest:
            _try(model)
    except (OSError, SafetensorError) as error:
        raise unreadable(path, folder, error) from None
    except RuntimeError as error:
        raise ModelError(f"{path}: cannot be used ({_last_line(error)}); {AGAIN}") from None
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


def _build(config: Config, stored: Mapping[str, Stored], folder: Path) -> PiCIE:
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
            f"{path}: does not fit the backbone of its config ({_last_line(error)}); {AGAIN}"
        ) from None
    except ConfigError as error:
        raise ModelError(f"{folder / MODEL_CONFIG_FILE}: {error}") from None
    return model


def _check_fit(
    tensors: Mapping[str, Tensor], stored: Mapping[str, Stored], prefix: str = ""
) -> None:
    """Raise RuntimeError unless the file holds these tensors, and no others."""
    expected = {
        prefix + k: Stored(tuple(t.shape), str(t.dtype).removeprefix("torch."))
        for k, t in tensors.items()
    }
    missing = expected.keys() - stored.keys() - {"offsets", "trees"}  # 0.1.0 has neither
    for problem, names in (("missing", missing), ("unknown", stored.keys() - expected.keys())):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise RuntimeError(f"{problem}: {', '.join(sorted(names)[:_SHOWN])}{more}")
    for name in stored:
        found, wanted = stored[name], expected[name]
        if found.kind != wanted.kind or (found.shape != wanted.shape and name not in LEARNT):
            raise RuntimeError(f"{name} is {found} where the network has {wanted}")


@torch.no_grad()
def _try(model: PiCIE) -> None:
    """Raise RuntimeError if damaged weights, which may be finite, make features that are not."""
    was_training = model.training
    features = model.eval()(torch.full((1, 3, 64, 64), 0.5))
    model.train(was_training)
    if not bool(features.isfinite().all()):
        raise RuntimeError("its features are not finite")


def _last_line(error: Exception) -> str:
    return printable(str(error).strip().splitlines()[-1].strip())
