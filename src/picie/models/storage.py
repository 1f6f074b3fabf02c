"""Models on disk: a folder with `model.safetensors` and `config.json`, without executable code."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from picie.config import Config, make_config, translate_settings
from picie.errors import ConfigError, ModelError
from picie.models.picie import PiCIE
from picie.runs import MODEL_CONFIG_FILE, WEIGHTS_FILE
from picie.runtime.files import write_atomically
from picie.version import __version__

__all__ = ["MODEL_FORMAT", "load_model", "read_tree", "save_model"]

MODEL_FORMAT = 1
"""Version of the file format; newer versions cannot be read."""


def save_model(model: PiCIE, config: Config, folder: Path) -> None:
    """Write weights, centroids and settings; each file atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    card = {
        "format": MODEL_FORMAT,
        "picie": __version__,
        "settings": config.model_dump(),
    }
    write_atomically(folder / WEIGHTS_FILE, save(tensors))
    write_atomically(folder / MODEL_CONFIG_FILE, json.dumps(card, indent=2).encode())


def load_model(folder: Path) -> tuple[PiCIE, Config]:
    """Read a model strictly: no tensor may be missing or unknown.

    Raises:
        ModelError: files that are missing, broken, or of a newer format.
    """
    config = _read_settings(folder)
    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path}: the weights cannot be read ({error}); train again or finish the run with "
            f"picie train --resume {folder}"
        ) from None
    layers = config.backbone_layers
    model = PiCIE(config.backbone, config.feature_size, pretrained=False, layers=layers)
    try:
        model.restore(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path}: does not fit the backbone of its config ({reason})") from None
    return model, config


def read_tree(folder: Path) -> Tensor | None:
    """The cluster tree of view 1, (P - 1, 3), without reading the weights.

    None for a model with a learnt classifier, or of a version that stored no trees.

    Raises:
        ModelError: the file cannot be read.
    """
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="pt") as file:
            if "trees" not in file.keys():  # noqa: SIM118
                return None
            tree: Tensor = file.get_tensor("trees")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: the weights cannot be read ({error}); train again") from None
    return tree[0] if tree.numel() else None


def _read_settings(folder: Path) -> Config:
    path = folder / MODEL_CONFIG_FILE
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; give the --out folder of a picie train")
    if not path.is_file():
        raise ModelError(
            f"{folder}: holds no finished model (no {MODEL_CONFIG_FILE}); give the --out folder of "
            f"a picie train, or finish it with picie train --resume {folder}"
        )
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(card["format"])
        if version > MODEL_FORMAT:
            raise ModelError(
                f"{folder}: was written by a newer picie (format {version}, this one reads up to "
                f"{MODEL_FORMAT}); upgrade picie"
            )
        settings = translate_settings(dict(card["settings"]), path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"{path}: cannot be read ({reason}); train the model again") from None
    try:
        return make_config(**settings)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None
