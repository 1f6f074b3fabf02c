"""A model in a folder for others: weights, settings, names, a card and a sheet of images."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from picie.config import MACHINE, Config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, DataError, MissingExtraError, ModelError
from picie.inference.model_card import Card, card_text, check_licence
from picie.models.class_names import write_classes
from picie.models.storage import save_model
from picie.runs import CLASSES_FILE, MODEL_CONFIG_FILE, WEIGHTS_FILE, Run
from picie.runtime.files import write_atomically, writing
from picie.version import __version__
from picie.visualization.sheet import write_sheet

if TYPE_CHECKING:
    from picie.inference.segmenter import Segmenter

__all__ = [
    "FILES",
    "ImageWithMask",
    "Repository",
    "find_repository",
    "local_folder",
    "spread",
    "upload_folder",
    "write_pretrained",
]

FILES = (WEIGHTS_FILE, MODEL_CONFIG_FILE, CLASSES_FILE)
"""What is taken from a repository; none of it can run code."""

_MOST_SHOWN = 6
_SHEET = "sheet.png"
_OWN = {*FILES, "README.md", _SHEET}
_SCORES = "scores.json"
_PREFIX = "hf://"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")
# Of the machine that it was trained on, or for curves.
_PLACES = ("data", "backbone_weights", "eval_split", *MACHINE)


def spread(folder: PhotoFolder) -> PhotoFolder:
    """Six of its images, from all over the folder, since neighbours are often alike."""
    count = len(folder.photos)
    places = [place * count // _MOST_SHOWN for place in range(_MOST_SHOWN)]
    chosen = tuple(folder.photos[place] for place in dict.fromkeys(places))
    return replace(folder, photos=chosen)


class ImageWithMask(Protocol):
    """An image and its mask."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""

    @property
    def mask(self) -> NDArray[np.int64] | None:
        """(H, W) int64 ids; None where the image could not be read."""


def write_pretrained(
    model: "Segmenter",
    folder: Path,
    *,
    run: Path | None = None,
    shown: Iterable[ImageWithMask] | None = None,
    scores: Mapping[str, Any] | str | Path | None = None,
    license: str = "",
    source: str = "",
) -> None:
    """Write everything that others need; nothing of it names a path of this machine.

    Args:
        model: trained.
        folder: a new one, an empty one, or one written by this function, whose files are replaced.
        run: run folder that its health and, if there, scores.json are taken from.
        shown: images for the sheet, of which six are taken; None = no sheet.
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
        images=_count(model.config),
        dataset=model.config.dataset,
        settings=_settings(model.config),
        health=Run(run, model.config, "").health() if run is not None else {},
        scores=found,
        licence=license,
        sheet=_SHEET if shown is not None else "",
    )
    write_atomically(folder / "README.md", card_text(card).encode())


def _rows(
    shown: Iterable[ImageWithMask],
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
    """The settings, but those that say where images and files lay."""
    plain = Config()
    return config.model_copy(update={name: getattr(plain, name) for name in _PLACES})


def _settings(config: Config) -> dict[str, Any]:
    """What the card shows; of a file with weights its name."""
    shown = config.model_dump(exclude={*_PLACES, "dataset", "split"})
    weights = config.backbone_weights
    return shown | ({"backbone_weights": Path(weights).name} if weights else {})


def _count(config: Config) -> int | None:
    """Images that it was learnt from, where they are still there."""
    if not config.data:
        return None
    try:
        return len(open_dataset(config.dataset, config.data, config.split).photos)
    except (ConfigError, DataError):
        return None


def _ignored(model: "Segmenter") -> list[str]:
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


@dataclass(frozen=True)
class Repository:
    """A repository of a model.

    Attributes:
        name: user/name.
        revision: branch, tag or commit; "" = the newest.
        explicit: whether it was given as hf://user/name, which can be no folder.
    """

    name: str
    revision: str = ""
    explicit: bool = False

    def __str__(self) -> str:
        return f"{_PREFIX}{self.name}" + f"@{self.revision}" * bool(self.revision)


def find_repository(source: str | Path) -> Repository | None:
    """The repository that a text names: hf://user/name, user/name, or either with @revision.

    A `Path` is a repository only where it begins with hf:, since user/name may be a folder that is
    missing.

    Args:
        source: as people give it.

    Returns:
        None for anything else.

    Raises:
        ConfigError: hf:// and what follows is no name.
    """
    text = source if isinstance(source, str) else source.as_posix()
    if text.startswith("hf:/"):
        found = _NAME.fullmatch(text.removeprefix("hf:").lstrip("/"))
        if found is None:
            raise ConfigError(f"{text}: give a model on the hub as hf://user/name")
        return Repository(found[1], found[2] or "", explicit=True)
    found = _NAME.fullmatch(text) if isinstance(source, str) else None
    return Repository(found[1], found[2] or "") if found else None


def local_folder(source: str | Path) -> Path:
    """The folder of a model: that of this name, else one that is downloaded from the hub.

    Args:
        source: a folder, which is preferred, or what `find_repository` knows.

    Raises:
        ConfigError: hf:// and what follows is no name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub has no such model, or cannot be reached and it was not loaded before.
    """
    if Path(source).is_dir():
        return Path(source)
    repository = find_repository(source)
    if repository is None:
        return Path(source)
    hub = _hub("picie.load of a model on the hub")
    try:
        folder = hub.snapshot_download(
            repository.name, revision=repository.revision or None, allow_patterns=list(FILES)
        )
    except Exception as error:  # the hub's client has many network errors with no common base
        folder_too = "" if repository.explicit else f"there is no folder {source} here, and "
        raise ModelError(
            f"{folder_too}{repository} cannot be had from the Hugging Face Hub ({_reason(error)}); "
            "check the name, connect to the network, log in for a private model (hf auth login), "
            "or give the folder of a model"
        ) from None
    return Path(folder)


def upload_folder(folder: Path, name: str, *, private: bool, token: str | None) -> str:
    """Make a repository what the folder is; files of a model that the folder lacks are removed.

    Args:
        folder: written by `save_pretrained`.
        name: user/name; made where it is missing.
        private: nobody else sees a repository that is made now.
        token: of the hub; the one that is stored on this machine if None.

    Returns:
        Its address.

    Raises:
        ConfigError: no user/name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub refuses, or cannot be reached.
    """
    repository = find_repository(name)
    if repository is None or repository.revision:
        raise ConfigError(f"{name!r}: give the name of a repository on the hub as user/name")
    api = _hub("push_to_hub").HfApi(token=token)
    try:
        address = api.create_repo(repository.name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository.name,
            folder_path=str(folder),
            commit_message="Model from picie",
            delete_patterns=[*FILES, "sheet.png"],
        )
    except Exception as error:  # as above
        raise ModelError(
            f"{repository} cannot be written ({_reason(error)}); check the name, the network and "
            "your login (hf auth login, or token=), or share the folder of save_pretrained"
        ) from None
    return str(address)


def _hub(what: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError(f'{what} needs huggingface_hub: pip install "picie[hub]"') from None
    return huggingface_hub


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
