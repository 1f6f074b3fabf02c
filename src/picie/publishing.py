"""A model in a folder for others: weights, settings, names, a card and a sheet of pictures."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from picie.classification import PixelClassifier
from picie.config import MACHINE, Config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, DataError
from picie.hub.card import Card, card_text, check_licence
from picie.models.class_names import CLASSES_FILE, write_classes
from picie.models.storage import save_model
from picie.runs import Run
from picie.runtime.files import write_atomically, writing
from picie.version import __version__
from picie.visualization.sheet import write_sheet

__all__ = ["Shown", "spread", "write_pretrained"]

_MOST_SHOWN = 6
_SHEET = "sheet.png"
_OWN = {"model.safetensors", "config.json", CLASSES_FILE, "README.md", _SHEET}
_SCORES = "scores.json"
# Of the machine that it was trained on, or for curves.
_PLACES = ("data", "backbone_weights", "eval_split", "eval_size", *MACHINE)


def spread(folder: PhotoFolder) -> PhotoFolder:
    """Six of its pictures, from all over the folder, since neighbours are often alike."""
    count = len(folder.photos)
    places = [place * count // _MOST_SHOWN for place in range(_MOST_SHOWN)]
    chosen = tuple(folder.photos[place] for place in dict.fromkeys(places))
    return replace(folder, photos=chosen)


class Shown(Protocol):
    """A picture and its mask.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) int64 ids; None where the picture could not be read.
    """

    @property
    def image(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def mask(self) -> NDArray[np.int64] | None: ...  # noqa: D102


def write_pretrained(
    model: PixelClassifier,
    folder: Path,
    *,
    run: Path | None = None,
    shown: Iterable[Shown] | None = None,
    scores: Mapping[str, Any] | str | Path | None = None,
    license: str = "",
    source: str = "",
) -> None:
    """Write everything that others need; nothing of it names a path of this machine.

    Args:
        model: trained.
        folder: a new one, an empty one, or one written by this function, whose files are replaced.
        run: run folder that its health and, if there, scores.json are taken from.
        shown: pictures for the sheet, of which six are taken; None = no sheet.
        scores: as `picie evaluate --json` writes them, or such a file.
        license: identifier for the card.
        source: user/name on the hub that the card tells people to load.

    Raises:
        ConfigError: a folder that holds other files, or a licence that is none.
        DataError: scores that cannot be read.
        NotFittedError: nothing was learnt.
        PicieError: a file cannot be written.
    """
    check_licence(license)
    model.check_view(0)
    _check_folder(folder)
    found = _scores(scores, run)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CLASSES_FILE, _SHEET):
            (folder / name).unlink(missing_ok=True)  # of an earlier model
    save_model(model.network, _without_places(model.config), folder)
    if model.class_names is not None:
        write_classes(folder / CLASSES_FILE, model.class_names)
    if shown is not None:
        write_sheet(folder / _SHEET, _rows(shown), model.colours, names=model.names)
    card = Card(
        source=source,
        version=__version__,
        names=model.names,
        colours=[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in model.colours],
        ignored=_ignored(model),
        pictures=_count(model.config),
        dataset=model.config.dataset,
        settings=_settings(model.config),
        health=Run(run, model.config, "").health() if run is not None else {},
        scores=found,
        licence=license,
        sheet=_SHEET if shown is not None else "",
    )
    write_atomically(folder / "README.md", card_text(card).encode())


def _rows(
    shown: Iterable[Shown],
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]:
    """Named by numbers, since names of files may say more than their owner wants."""
    pairs = ((one.image, one.mask) for one in shown if one.mask is not None)
    for number, (image, mask) in enumerate(islice(pairs, _MOST_SHOWN), 1):
        yield f"photo {number}", image, mask


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder")
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    other = sorted(name for name in names - _OWN if not name.startswith("."))
    if other:
        raise ConfigError(
            f"{folder} holds other files ({other[0]}); give a new folder, so that none of them "
            "is published or replaced"
        )


def _without_places(config: Config) -> Config:
    """The settings, but those that say where pictures and files lay."""
    plain = Config()
    return config.model_copy(update={name: getattr(plain, name) for name in _PLACES})


def _settings(config: Config) -> dict[str, Any]:
    """What the card shows; of a file with weights its name."""
    shown = config.model_dump(exclude={*_PLACES, "dataset", "split"})
    weights = config.backbone_weights
    return shown | ({"backbone_weights": Path(weights).name} if weights else {})


def _count(config: Config) -> int | None:
    """Pictures that it was learnt from, where they are still there."""
    if not config.data:
        return None
    try:
        return len(open_dataset(config.dataset, config.data, config.split).photos)
    except (ConfigError, DataError):
        return None


def _ignored(model: PixelClassifier) -> list[str]:
    if model.class_names is None:
        return []
    return [one.name for one in model.class_names.merged if one.ignore]


def _scores(scores: Mapping[str, Any] | str | Path | None, run: Path | None) -> Mapping[str, Any]:
    if scores is None:
        if run is None or not (run / _SCORES).is_file():
            return {}
        scores = run / _SCORES
    if isinstance(scores, Mapping):
        return scores
    try:
        found = json.loads(Path(scores).read_text(encoding="utf-8"))
        return {**found, "miou": float(found["miou"]), "accuracy": float(found["accuracy"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{scores}: holds no scores ({type(error).__name__}: {error}); give a file that "
            "picie evaluate --json wrote"
        ) from None
