"""Share models: a folder with weights, settings, names, a card and a sheet; the hub."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from picie.config import MACHINE, Config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, DataError, MissingExtraError, ModelError
from picie.inference.model_card import Card, card_text, check_licence
from picie.models.class_names import HEADER, ClassNames, write_classes
from picie.models.picie import PiCIE
from picie.models.storage import save_model
from picie.postprocessing.upsampling import Mask
from picie.runs import CLASSES_FILE, MODEL_CONFIG_FILE, WEIGHTS_FILE, Run
from picie.runtime.documents import read_json
from picie.runtime.files import write_atomically, writing
from picie.runtime.nearby import no_folder
from picie.runtime.outputs import has_content
from picie.version import __version__
from picie.visualization.masks import is_signed_png
from picie.visualization.palette import Colours
from picie.visualization.sheet import write_sheet

__all__ = [
    "FILES",
    "ImageWithMask",
    "NamedModel",
    "Repository",
    "check_replaceable",
    "find_repository",
    "local_folder",
    "spread",
    "upload_folder",
    "write_pretrained",
]

FILES = (WEIGHTS_FILE, MODEL_CONFIG_FILE, CLASSES_FILE)
"""Files that are downloaded from a repository; none of them can run code."""

_MOST_SHOWN = 6
_SHEET = "sheet.png"
_CARD = "README.md"
_OWN = {*FILES, _CARD, _SHEET}
_SCORES = "scores.json"
_MOST_SCORES = 200_000_000  # bytes; thousands of clusters have millions of counts
_PREFIX = "hf://"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")
# Settings of the machine it was trained on, or for curves only.
_PLACES = ("data", "backbone_weights", "eval_split", *MACHINE)


def spread(folder: PhotoFolder) -> PhotoFolder:
    """Six images spread evenly over the folder, because neighbours are often similar."""
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
    def mask(self) -> Mask | None:
        """(H, W) ids; None if the image could not be read."""


class NamedModel(Protocol):
    """What is published of a `Segmenter`, which imports this module."""

    network: PiCIE
    config: Config
    class_names: ClassNames | None

    @property
    def names(self) -> tuple[str, ...]:
        """N names by id."""

    @property
    def colours(self) -> Colours:
        """(N, 3) uint8 sRGB by id."""

    def check_view(self, view: int) -> None:
        """Refuse a set of centroids that masks cannot be made from."""


def write_pretrained(
    model: NamedModel,
    folder: Path,
    *,
    run: Path | None = None,
    shown: Iterable[ImageWithMask] | None = None,
    scores: Mapping[str, Any] | str | Path | None = None,
    license: str = "",
    source: str = "",
) -> None:
    """Write everything that others need; no file contains a path of this machine.

    Args:
        model: trained.
        folder: a new or empty one, or one written by this function, whose files are replaced.
        run: run folder that provides health and, if it exists, scores.json.
        shown: images for the sheet, which shows the first six; None = no sheet.
        scores: as written by `picie evaluate --json`, or such a file.
        license: identifier for the card.
        source: user/name on the hub, for the code example in the card.

    Raises:
        ConfigError: a folder with other files, or the one of `run`; or a licence that is not an
            identifier.
        DataError: unreadable scores.
        NotFittedError: the model has no centroids.
        PicieError: a file cannot be written.
    """
    check_licence(license)
    model.check_view(0)
    _check_folder(folder)
    check_replaceable(folder, sorted(_OWN), run)
    score_values = _scores(scores, run)
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
        source=source and _PREFIX + source.removeprefix(_PREFIX),
        version=__version__,
        names=model.names,
        colours=[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in model.colours],
        ignored=_ignored(model),
        images=_count(model.config),
        dataset=model.config.dataset,
        settings=_settings(model.config),
        health=Run(run, model.config, "").health() if run is not None else {},
        scores=score_values,
        licence=license,
        sheet=_SHEET if shown is not None else "",
        labels=model.network.labels,
    )
    write_atomically(folder / _CARD, card_text(card).encode())


def _rows(
    shown: Iterable[ImageWithMask],
) -> Iterator[tuple[str, NDArray[np.uint8], Mask]]:
    """Rows of the sheet, numbered, because file names may be private."""
    pairs = ((item.image, item.mask) for item in shown if item.mask is not None)
    for number, (image, mask) in enumerate(islice(pairs, _MOST_SHOWN), 1):
        yield f"photo {number}", image, mask


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder")
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    other = sorted(name for name in names - _OWN if not name.startswith("."))
    if other:
        raise ConfigError(
            f"{folder} contains other files ({other[0]}); give a new folder, so that none of them "
            "is published or replaced"
        )


def check_replaceable(folder: Path, names: Iterable[str], run: Path | None) -> None:
    """Refuse to replace a trained run, the model that is read, or files of other programs.

    Args:
        folder: to write to; it may be missing.
        names: of the files to write.
        run: folder that the model was loaded from.

    Raises:
        ConfigError: a file must not be replaced.
    """
    if not folder.is_dir():
        return
    if Run.is_run(folder) or (run is not None and run.exists() and run.samefile(folder)):
        raise ConfigError(f"{folder}: holds the trained model, which is kept; give a new folder")
    for name in names:
        path = folder / name
        if has_content(path) and (path.is_symlink() or not _is_ours(path)):
            raise ConfigError(
                f"{path}: was not written by picie, and is not replaced; give a new folder"
            )


def _is_ours(path: Path) -> bool:
    """Whether picie wrote a file of a shared model."""
    config = path.with_name(MODEL_CONFIG_FILE)
    try:
        if path.name == _SHEET:  # early versions did not sign it
            return is_signed_png(path) or f"({_SHEET})" in path.with_name(_CARD).read_text("utf-8")
        if path.name == _CARD:
            return path.read_text("utf-8").startswith("---\nlibrary_name: picie\n")
        if path.name == CLASSES_FILE:
            return path.read_text("utf-8").startswith(HEADER.splitlines()[0])
        return "picie" in read_json(config, ModelError)
    except (OSError, ValueError, ModelError):
        return False


def _without_places(config: Config) -> Config:
    """The settings, without those that contain paths."""
    plain = Config()
    return config.model_copy(update={name: getattr(plain, name) for name in _PLACES})


def _settings(config: Config) -> dict[str, Any]:
    """The settings on the card; of a weight file only its name."""
    shown = config.model_dump(exclude={*_PLACES, "dataset", "split"})
    weights = config.backbone_weights
    return shown | ({"backbone_weights": Path(weights).name} if weights else {})


def _count(config: Config) -> int | None:
    """Number of training images; None if the folder is no longer readable."""
    if not config.data:
        return None
    try:
        return len(open_dataset(config.dataset, config.data, config.split).photos)
    except (ConfigError, DataError):
        return None


def _ignored(model: NamedModel) -> list[str]:
    if model.class_names is None:
        return []
    return [named_class.name for named_class in model.class_names.merged if named_class.ignore]


def _scores(scores: Mapping[str, Any] | str | Path | None, run: Path | None) -> Mapping[str, Any]:
    if scores is None:
        if run is None or not (run / _SCORES).is_file():
            return {}
        scores = run / _SCORES
    if isinstance(scores, Mapping):
        return scores
    values = read_json(Path(scores), DataError, most=_MOST_SCORES)
    try:
        return {**values, "miou": float(values["miou"]), "accuracy": float(values["accuracy"])}
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"{scores}: contains no scores ({type(error).__name__}: {error}); give a file that "
            "picie evaluate --json wrote"
        ) from None


@dataclass(frozen=True)
class Repository:
    """A repository of a model.

    Attributes:
        name: user/name.
        revision: branch, tag or commit; "" = the newest.
    """

    name: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{_PREFIX}{self.name}" + f"@{self.revision}" * bool(self.revision)


def find_repository(source: str | Path) -> Repository | None:
    """Parse hf://user/name, optionally with @revision.

    Args:
        source: as given by the user.

    Returns:
        None for anything else: it is the path of a folder.

    Raises:
        ConfigError: hf:// not followed by user/name.
    """
    text = source if isinstance(source, str) else source.as_posix()
    if not text.startswith("hf:/"):  # a Path has one slash less
        return None
    match = _NAME.fullmatch(text.removeprefix("hf:").lstrip("/"))
    if match is None:
        given = _PREFIX + text.removeprefix("hf:").lstrip("/")
        raise ConfigError(f"{given}: give a model on the hub as hf://user/name")
    return Repository(match[1], match[2] or "")


def local_folder(source: str | Path) -> Path:
    """The folder of a model, downloaded from the hub if that is asked for.

    Args:
        source: a folder, or what `find_repository` accepts.

    Raises:
        ConfigError: hf:// not followed by user/name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: no such folder; or the hub has no such model, or is unreachable and the model is
            not cached.
    """
    if Path(source).is_dir():
        return Path(source)
    repository = find_repository(source)
    if repository is None:
        if isinstance(source, str) and _NAME.fullmatch(source) and not Path(source).exists():
            raise ModelError(
                no_folder(
                    Path(source),
                    "check the path and the working directory; a model of that name on the "
                    f"Hugging Face Hub is {_PREFIX}{source}",
                )
            )
        return Path(source)
    hub = _hub("picie.load of a model on the hub")
    try:
        folder = hub.snapshot_download(
            repository.name, revision=repository.revision or None, allow_patterns=list(FILES)
        )
    except Exception as error:  # the client raises many network errors without a common base
        raise ModelError(
            f"{repository} cannot be loaded from the Hugging Face Hub "
            f"({_reason(error)}); check the name, connect to the network, log in for a "
            "private model (hf auth login), or give the folder of a model"
        ) from None
    return Path(folder)


def upload_folder(folder: Path, name: str, *, private: bool, token: str | None) -> str:
    """Upload a folder to a repository; model files that the folder lacks are removed there.

    Args:
        folder: written by `save_pretrained`.
        name: user/name, with or without hf://; created if missing.
        private: whether a newly created repository is private.
        token: of the hub; the token stored on this machine if None.

    Returns:
        the address of the repository.

    Raises:
        ConfigError: a name that is not user/name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub refuses or is unreachable.
    """
    match = _NAME.fullmatch(name.removeprefix(_PREFIX))
    if match is None or match[2]:
        raise ConfigError(f"{name!r}: give the name of a repository on the hub as user/name")
    repository = Repository(match[1])
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
