"""Which masks of a folder to write, and where: decided before the first is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from picie.config import Config
from picie.data.folder import Photo, PhotoFolder, lists_of
from picie.data.kinds import is_image
from picie.data.own_outputs import MASKS_MANIFEST
from picie.errors import ConfigError
from picie.inference.manifest import Manifest
from picie.inference.segmenter import Segmenter
from picie.runs import Run
from picie.runtime.outputs import Inputs
from picie.runtime.places import Place
from picie.runtime.storage import joined, local_path

__all__ = [
    "BESIDE",
    "CLASS_LIST",
    "Plan",
    "check_out",
    "check_paths",
    "files_of",
    "images_of",
    "inputs_of",
    "paths_of",
    "plan_masks",
    "plan_own",
]

CLASS_LIST = "classes.txt"
"""Names by id, one per line, beside the masks."""

BESIDE = {
    "overlay": "overlays",
    "plain_overlay": "plain_overlays",
    "confidence": "confidence",
}
"""Kinds of images that can be written for each mask, and their folders."""


@dataclass(frozen=True)
class Plan:
    """What is left to do.

    Attributes:
        photos: images without a finished mask.
        kept: number of images whose mask is finished.
        replaced: digest of each file that exists and may be replaced, by its path.
    """

    photos: tuple[Photo, ...]
    kept: int
    replaced: Mapping[str, str]


def inputs_of(model: Segmenter, folder: PhotoFolder) -> Iterator[str | Path]:
    """The files that a command reads: photos, masks, lists, and the files of the model."""
    yield from files_of(model.run, model.config)
    yield from images_of(folder)


def files_of(run: Path | None, config: Config) -> Iterator[Path]:
    """The files of a run or model, and the weights that its training began with.

    Args:
        run: its folder; None = only in memory.
        config: its settings.
    """
    if config.backbone_weights:
        yield Path(config.backbone_weights)
    if run is not None:
        yield from Run(run, config, "").files


def images_of(folder: PhotoFolder) -> Iterator[str | Path]:
    """Photos, masks, and lists of a folder."""
    for photo in folder.photos:
        yield photo.file
        if photo.mask_file is not None:
            yield photo.mask_file
    yield joined(folder.root, CLASS_LIST)
    for name in lists_of(folder.split):
        yield joined(folder.root, name)


def check_out(out: str | Path) -> None:
    """Refuse the name of an image as the folder of masks: no folder masks.png is wanted.

    Args:
        out: a folder or an address; a folder of such a name that exists is taken.

    Raises:
        ConfigError: it ends like an image.
    """
    folder = local_path(out)
    if is_image(str(out).rstrip("/")) and (folder is None or not folder.is_dir()):
        raise ConfigError(
            f"{out}: is the name of an image, but masks go into a folder, each under the name of "
            "its photo; give a folder, say --out masks"
        )


def check_paths(place: Place, folder: PhotoFolder, beside: Collection[str] = ()) -> None:
    """Refuse images of which two files would share a path.

    Args:
        place: of the masks.
        folder: the images.
        beside: kinds of `BESIDE` that are wanted.

    Raises:
        ConfigError: names the path and both images.
    """
    others = "".join(f", or leave out the {BESIDE[kind].replace('_', ' ')}" for kind in beside)
    advice = f"rename one of the photos{others}"
    place.check_distinct(lambda: _files(folder, beside), advice)


def _files(folder: PhotoFolder, beside: Collection[str]) -> Iterator[tuple[str, str]]:
    yield CLASS_LIST, "the list of classes"
    yield MASKS_MANIFEST, "the list of masks"
    for photo in folder.photos:
        for kind, path in paths_of(photo.name, beside).items():
            yield path, f"the {kind.replace('_', ' ')} of {photo.file}"


def paths_of(name: str, beside: Collection[str] = ()) -> dict[str, str]:
    """Paths of the files of an image by kind, the mask first.

    Args:
        name: of the image.
        beside: kinds of `BESIDE` that are wanted.
    """
    others = {kind: f"{BESIDE[kind]}/{name}.png" for kind in beside}
    return {"mask": f"{name}.png"} | others


def plan_masks(
    photos: Sequence[Photo],
    place: Place,
    manifest: Manifest,
    model: str,
    *,
    beside: Collection[str] = (),
    overwrite: bool,
    inputs: Inputs,
) -> Plan:
    """Keep the finished masks of an earlier run, and refuse what must not be replaced.

    Args:
        photos: of one writer; `check_paths` was called for all of them.
        place: of the masks.
        manifest: its list.
        model: digest of model and settings.
        beside: kinds of `BESIDE` that are wanted.
        overwrite: replace masks that picie wrote.
        inputs: the files that the command reads.

    Raises:
        ConfigError: a file that is an input, or that picie did not write, or was changed since; or
            a mask of another model or photo exists and `overwrite` is off.
    """
    parts = ("", *(f"{BESIDE[kind]}/" for kind in beside))
    names = {photo.name.rpartition("/")[0] for photo in photos}
    place.check_folders(part + name for name in names for part in parts)
    search = _Search(place, manifest, model, beside)
    left = tuple(photo for photo in photos if not search.is_finished(photo) or overwrite)
    existing = [*search.found, CLASS_LIST, manifest.path]
    place.check_not_read(existing, inputs)
    _refuse(place, search.foreign, _FOREIGN)
    if not overwrite:
        _refuse(place, search.others, _OTHER)
        _refuse(place, search.older, _OLDER)
    finished = set[str]() if overwrite else search.kept
    replaced = {path: digest for path, digest in search.found.items() if path not in finished}
    _refuse(place, [path for path in replaced if place.is_link(path)], _LINK)
    return Plan(left, len(photos) - len(left), replaced)


def plan_own(photos: Sequence[Photo], place: Place, manifest: Manifest, model: str) -> Plan:
    """The plan for a folder that belongs to picie alone: whatever is not finished is replaced.

    Args:
        photos: the images.
        place: of the masks.
        manifest: its list.
        model: digest of model and settings.
    """
    search = _Search(place, manifest, model, ())
    left = tuple(photo for photo in photos if not search.is_finished(photo))
    return Plan(left, len(photos) - len(left), search.found)


_FOREIGN = (
    "already exists and was not written by picie, or was changed since; choose another --out, or "
    "move it away"
)
_OTHER = (
    "is the mask of another photo, or of an earlier state of it; choose another --out, remove the "
    "mask to have it made again, or pass --overwrite to replace all masks"
)
_OLDER = (
    "was made by another model or with other settings, names or colours; choose another --out, or "
    "pass --overwrite to replace it"
)
_LINK = "is a link, and is not replaced; choose another --out, or remove it"


class _Search:
    """What exists at the places of masks."""

    def __init__(
        self, place: Place, manifest: Manifest, model: str, beside: Collection[str]
    ) -> None:
        self.place, self.manifest, self.model, self.beside = place, manifest, model, beside
        self.found: dict[str, str] = {}  # digest by path
        self.kept: set[str] = set()  # paths of finished images
        self.foreign: list[str] = []  # not on the list
        self.others: list[str] = []  # of other photos
        self.older: list[str] = []  # of other models

    def is_finished(self, photo: Photo) -> bool:
        """Whether all files of an image are as this model makes them."""
        files = list(paths_of(photo.name, self.beside).values())
        current = [path for path in files if self._is_current(path, photo)]
        if current == files:
            self.kept.update(files)
        return current == files

    def _is_current(self, path: str, photo: Photo) -> bool:
        stamp = self.place.stamp(path)
        if stamp is None:
            return False
        self.found[path] = stamp.digest
        entry = self.manifest.find(path, stamp)
        if entry is None:
            self.foreign.append(path)
        elif entry.image != photo.name or not entry.photo.is_same(photo):
            self.others.append(path)
        elif entry.model != self.model:
            self.older.append(path)
        else:
            return True
        return False


def _refuse(place: Place, paths: list[str], why: str) -> None:
    if paths:
        more = f" (and {len(paths) - 1} more like it)" * (len(paths) > 1)
        raise ConfigError(f"{place.at(paths[0])}{more}: {why}")
