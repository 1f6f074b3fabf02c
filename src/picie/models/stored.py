"""What the files of a model say, read without torch: settings, shapes, centroids and their tree.

The weights stay where they are: names and cuts need only the small tensors.
"""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from picie.config import Config, check_cells, make_config, translate_settings
from picie.errors import ConfigError, ModelError
from picie.models.centroids import (
    LEARNT,
    CentroidSet,
    centroid_set,
    check_groups,
    check_shapes,
    check_tree,
)
from picie.runs import MODEL_CONFIG_FILE, WEIGHTS_FILE, Run
from picie.runtime.documents import read_json
from picie.runtime.files import open_regular
from picie.runtime.nearby import no_folder
from picie.runtime.printable import shown
from picie.types import LabelsUsed

__all__ = [
    "AGAIN",
    "MODEL_FORMAT",
    "Stored",
    "check_digest",
    "read_card",
    "read_centroids",
    "read_header",
    "read_tree",
    "unreadable",
]

MODEL_FORMAT = 1
"""Version of the file format; newer versions cannot be read."""

AGAIN = "get a complete copy, or train the model again"
"""What to do about a broken model."""

_MOST_HEADER = 16_000_000  # bytes; 100,000 tensors
_KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64"}


@dataclass(frozen=True)
class Stored:
    """What the header of a weight file says of one tensor.

    Attributes:
        shape: of the tensor.
        kind: type of its values, as numpy and torch call it.
    """

    shape: tuple[int, ...]
    kind: str

    def __str__(self) -> str:
        sides = " x ".join(map(str, self.shape)) or "a number"
        return f"{sides} {self.kind}"


def read_card(folder: Path) -> tuple[Config, str, LabelsUsed | None]:
    """The config.json of a model.

    Returns:
        settings; hash of the weights in hexadecimal digits, "" if there is none; labels used.

    Raises:
        ModelError: files that are missing, broken, or of a newer format.
    """
    path = folder / MODEL_CONFIG_FILE
    if not folder.is_dir():
        raise ModelError(no_folder(folder, "give the --out folder of a picie train"))
    if not path.exists():
        if Run.is_run(folder):
            raise ModelError(
                f"{folder}: holds no finished model (no {MODEL_CONFIG_FILE}); finish it with "
                f"picie train --resume {shlex.quote(str(folder))}"
            )
        raise ModelError(
            f"{folder}: holds no model (no {MODEL_CONFIG_FILE}); give the --out folder of a "
            "picie train"
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
        raise ModelError(f"{path}: unknown setting 'preset'; {AGAIN}")
    try:
        return make_config(**translate_settings(settings, path)), digest, _labels(card, path)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None


def read_header(path: Path, folder: Path) -> dict[str, Stored]:
    """Names, shapes and types of all tensors; safetensors checks that the file holds them.

    Args:
        path: the weights.
        folder: of the run, for the message.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(8), "little")
        if size > _MOST_HEADER:
            raise SafetensorError(f"its header is said to have {size} bytes")
        with safe_open(path, framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {
                name: Stored(tuple(one.get_shape()), _KINDS.get(one.get_dtype(), one.get_dtype()))
                for name, one in slices.items()
            }
    except (OSError, SafetensorError) as error:
        raise unreadable(path, folder, error) from None


def read_centroids(folder: Path) -> CentroidSet:
    """The centroids of the first view, their clusters and tree, without the weights.

    Of the weights, only their hash is checked, if config.json has one. A model without trees, which
    is of 0.1.0, or with values that no training gives is loaded whole: that says what is wrong.

    Raises:
        ModelError: files that are missing, broken, changed, of a newer format, or do not belong
            together.
        NotFittedError: the model has no centroids.
    """
    config, digest, _ = read_card(folder)
    path = folder / WEIGHTS_FILE
    stored = read_header(path, folder)
    arrays = _arrays(path, stored, config, folder)
    if arrays is None:
        from picie.models.storage import load_model  # late, because it loads torch

        return load_model(folder)[0].centroid_set()
    if digest:
        check_digest(path, digest)
    return centroid_set(arrays)


def _arrays(
    path: Path, stored: Mapping[str, Stored], config: Config, folder: Path
) -> dict[str, NDArray[Any]] | None:
    """The learnt buffers; None unless all are there and hold what training gives."""
    if any(name not in stored or stored[name].kind != kind for name, kind in LEARNT.items()):
        return None
    shapes = {name: stored[name].shape for name in LEARNT}
    try:
        check_shapes(shapes, config.feature_size)
        check_cells(config.size, shapes["groups"][1])
        with safe_open(path, framework="np") as file:
            arrays: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in LEARNT}
        check_groups(arrays["groups"])
        for tree in arrays["trees"]:
            check_tree(tree)
    except (OSError, SafetensorError) as error:
        raise unreadable(path, folder, error) from None
    except (RuntimeError, ValueError):
        return None
    return arrays if all(np.isfinite(values).all() for values in arrays.values()) else None


def read_tree(folder: Path) -> NDArray[np.float64] | None:
    """The cluster tree of view 1, (P - 1, 3), without reading the weights.

    None for a model with a learnt classifier, or of a version that stored no trees.

    Raises:
        ModelError: the file cannot be read, or its tree is none.
    """
    path = folder / WEIGHTS_FILE
    shapes = {k: one.shape for k, one in read_header(path, folder).items() if k in LEARNT}
    if "trees" not in shapes:
        return None
    try:
        check_shapes(shapes, shapes.get("centroids", (0,))[-1])
        with safe_open(path, framework="np") as file:
            trees: NDArray[np.float64] = file.get_tensor("trees")
        for tree in trees:
            check_tree(tree)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise unreadable(path, folder, error) from None
    return trees[0] if trees.size else None


def check_digest(path: Path, digest: str) -> None:
    """Raise unless a file has a hash.

    Args:
        path: the weights.
        digest: their SHA-256, in hexadecimal digits.

    Raises:
        ModelError: it has another.
    """
    with open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest.lower():
        raise ModelError(
            f"{path}: is not the file that {MODEL_CONFIG_FILE} was written for (its sha256 is "
            "another): it is damaged, was replaced, or comes from another run. Copy both files "
            f"again. If you changed the weights yourself, remove sha256 from {MODEL_CONFIG_FILE}"
        )


def unreadable(path: Path, folder: Path, error: Exception) -> ModelError:
    """The error for weights that cannot be read.

    Args:
        path: the weights.
        folder: of the run.
        error: why.
    """
    reason = getattr(error, "strerror", None) or error
    return ModelError(
        f"{path}: the weights cannot be read ({reason}); get a complete copy, train again, or "
        f"finish the run with picie train --resume {folder}"
    )


def _labels(card: Mapping[str, Any], path: Path) -> LabelsUsed | None:
    if "labels" not in card:
        return None
    values = _typed(card, "labels", dict, "an object with counts", path)
    counts = {f.name: values[f.name] for f in fields(LabelsUsed) if f.name in values}
    for key, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**31:
            raise ModelError(
                f"{path}: labels.{key} = {shown(count)} is not a whole number from 0; {AGAIN}"
            )
    return LabelsUsed(**counts)


def _typed(card: Mapping[str, Any], key: str, kind: type, wanted: str, path: Path) -> Any:
    if key not in card:
        raise ModelError(f"{path}: the key {key!r} is missing; {AGAIN}")
    value = card[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ModelError(f"{path}: {key} = {shown(value)} is invalid, it must be {wanted}; {AGAIN}")
    return value
