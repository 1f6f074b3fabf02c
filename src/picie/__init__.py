"""picie: semantic segmentation without labels.

    model = picie.train("photos/", out="runs/first")
    mask = picie.predict(model, "photo.jpg")
    scores = picie.evaluate(model, "labelled/", split="val")

Importing this package is fast and prints nothing: parts are loaded on first use. It only lets old
module names be imported for one more version (`picie.runtime.moved`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from picie.runtime import moved as _moved
from picie.version import __version__ as __version__

if TYPE_CHECKING:
    from picie.annotation.teach import annotated, teach
    from picie.config import PRESETS, Config, make_config
    from picie.errors import (
        ConfigError,
        DataError,
        MissingExtraError,
        ModelError,
        NotFittedError,
        PicieError,
    )
    from picie.evaluation.scoring import Evaluation, evaluate
    from picie.export.masks import export_masks
    from picie.export.model.export import export_model
    from picie.inference.predict_folder import predict_folder
    from picie.inference.segmenter import Prediction, Segmenter, load, predict
    from picie.models.backbones import list_backbones
    from picie.models.class_names import ClassNames
    from picie.naming.name import name
    from picie.reporting.make import report
    from picie.training.loop import resume, train

__all__ = [
    "PRESETS",
    "ClassNames",
    "Config",
    "ConfigError",
    "DataError",
    "Evaluation",
    "MissingExtraError",
    "ModelError",
    "NotFittedError",
    "PicieError",
    "Prediction",
    "Segmenter",
    "annotated",
    "evaluate",
    "export_masks",
    "export_model",
    "list_backbones",
    "load",
    "make_config",
    "name",
    "predict",
    "predict_folder",
    "report",
    "resume",
    "teach",
    "train",
]

_HOMES = {
    "annotation.teach": ("annotated", "teach"),
    "config": ("PRESETS", "Config", "make_config"),
    "errors": (
        "ConfigError",
        "DataError",
        "MissingExtraError",
        "ModelError",
        "NotFittedError",
        "PicieError",
    ),
    "evaluation.scoring": ("Evaluation", "evaluate"),
    "export.masks": ("export_masks",),
    "export.model.export": ("export_model",),
    "inference.predict_folder": ("predict_folder",),
    "inference.segmenter": ("Prediction", "Segmenter", "load", "predict"),
    "models.backbones": ("list_backbones",),
    "models.class_names": ("ClassNames",),
    "naming.name": ("name",),
    "reporting.make": ("report",),
    "training.loop": ("resume", "train"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

_moved.install()


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"picie.{_HOME[name]}"), name)
    raise AttributeError(f"module 'picie' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
