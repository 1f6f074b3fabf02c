"""Which masks of a folder to write, and where: decided before the first is written."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from picie.config import Config
from picie.data.folder import Photo, PhotoFolder
from picie.data.own_outputs import MASKS_MANIFEST
from picie.errors import ConfigError
from picie.inference.manifest import Manifest, PhotoState, Written
from picie.inference.segmenter import Segmenter
from picie.runs import Run
from picie.runtime.outputs import (
    Inputs,
    check_distinct,
    check_not_read,
    digest_of,
    has_content,
)

__all__ = [
    "BESIDE",
    "CLASS_LIST",
    "Plan",
    "Target",
    "check_paths",
    "files_of",
    "images_of",
    "inputs_of",
    "plan_masks",
]

CLASS_LIST = "classes.txt"
"""Names by id, one per line, beside the masks."""

BESIDE = {"overlay": "overlays", "confidence": "confidence"}
"""Kinds of images that can be written for each mask, and their folders."""


@dataclass(frozen=True, slots=True)
class Target:
    """The files of one image, as paths inside the folder of the masks.

    Attributes:
        files: path by kind: mask, and those of `BESIDE` that are wanted.
        photo: the photo before it is read.
        replaces: the files among them that exist and may be replaced.
    """

    files: dict[str, str]
    photo: PhotoState
    replaces: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What is left to do.

    Attributes:
        photos: images without a finished mask.
        targets: their files, by name of the image.
        kept: number of images whose mask is finished.
    """

    photos: tuple[Photo, ...]
    targets: dict[str, Target]
    kept: int


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
    yield folder.root / CLASS_LIST
    if folder.split:
        yield folder.root / f"{folder.split}.txt"


def check_paths(out: Path, folder: PhotoFolder, beside: Collection[str] = ()) -> None:
    """Refuse images of which two files would share a path.

    Args:
        out: folder of the masks.
        folder: the images.
        beside: kinds of `BESIDE` that are wanted.

    Raises:
        ConfigError: names the path and both images.
    """
    others = "".join(f", or leave out the {BESIDE[kind]}" for kind in beside)
    check_distinct(out, _files(folder, beside), f"rename one of the photos{others}")


def _files(folder: PhotoFolder, beside: Collection[str]) -> Iterator[tuple[str, str]]:
    yield CLASS_LIST, "the list of classes"
    yield MASKS_MANIFEST, "the list of masks"
    for photo in folder.photos:
        for kind, path in _files_of(photo, beside).items():
            yield path, f"the {kind} of {photo.file}"


def _files_of(photo: Photo, beside: Collection[str]) -> dict[str, str]:
    """Path by kind, the mask first."""
    others = {kind: f"{BESIDE[kind]}/{photo.name}.png" for kind in beside}
    return {"mask": f"{photo.name}.png"} | others


def plan_masks(
    folder: PhotoFolder,
    out: Path,
    manifest: Manifest,
    model: str,
    *,
    beside: Collection[str] = (),
    overwrite: bool,
    inputs: Inputs,
) -> Plan:
    """Keep the finished masks of an earlier run, and refuse what must not be replaced.

    Args:
        folder: the images; `check_paths` was called for them.
        out: folder of the masks.
        manifest: its list.
        model: digest of model and settings.
        beside: kinds of `BESIDE` that are wanted.
        overwrite: replace masks that picie wrote.
        inputs: the files that the command reads.

    Raises:
        ConfigError: a file that is an input, or that picie did not write, or was changed since; or
            a mask of another model or photo exists and `overwrite` is off.
    """
    _check_folders(folder, out, beside)
    search = _Search(out, manifest, model, beside)
    targets = {photo.name: search.target(photo) for photo in folder.photos}
    existing = [path for target in targets.values() for path in target.replaces]
    existing += [CLASS_LIST, MASKS_MANIFEST]
    check_not_read((out / path for path in existing), inputs)
    _refuse(out, search.foreign, _FOREIGN)
    if not overwrite:
        _refuse(out, search.others, _OTHER)
        _refuse(out, search.older, _OLDER)
    kept = set() if overwrite else search.finished
    left = tuple(photo for photo in folder.photos if photo.name not in kept)
    replaced = (path for photo in left for path in targets[photo.name].replaces)
    _refuse(out, [path for path in replaced if (out / path).is_symlink()], _LINK)
    return Plan(left, {photo.name: targets[photo.name] for photo in left}, len(kept))


_FOREIGN = (
    "already exists and was not written by picie, or was changed since; choose another --out, or "
    "move it away"
)
_OTHER = (
    "is the mask of another photo, or of an earlier state of it; choose another --out, or pass "
    "--overwrite to replace it"
)
_OLDER = (
    "was made by another model or with other settings; choose another --out, or pass --overwrite "
    "to replace it"
)
_LINK = "is a link, and is not replaced; choose another --out, or remove it"


def _check_folders(folder: PhotoFolder, out: Path, beside: Collection[str]) -> None:
    names = {photo.name.rpartition("/")[0] for photo in folder.photos}
    parts = ("", *(BESIDE[kind] for kind in beside))
    folders = {out / part / name for name in names for part in parts}
    for parent in sorted(folders):
        while parent != parent.parent and not parent.is_dir():
            if os.path.lexists(parent):
                raise ConfigError(f"{parent}: is not a folder; choose another --out")
            parent = parent.parent


class _Search:
    """What exists at the places of masks."""

    def __init__(self, out: Path, manifest: Manifest, model: str, beside: Collection[str]) -> None:
        self.out, self.manifest, self.model, self.beside = out, manifest, model, beside
        self.finished: set[str] = set()
        self.foreign: list[str] = []  # not on the list
        self.others: list[str] = []  # of other photos
        self.older: list[str] = []  # of other models

    def target(self, photo: Photo) -> Target:
        """The files of an image."""
        files = _files_of(photo, self.beside)
        paths = [path for path in files.values() if has_content(self.out / path)]
        found = {path: self._entry(path) for path in paths}
        current = [path for path in paths if self._is_current(path, found[path], photo)]
        if current == list(files.values()):
            self.finished.add(photo.name)
        return Target(files, PhotoState.of(photo.file), tuple(paths))

    def _entry(self, path: str) -> Written | None:
        entry = self.manifest.find(path, digest_of(self.out / path))
        if entry is None:
            self.foreign.append(path)
        return entry

    def _is_current(self, path: str, entry: Written | None, photo: Photo) -> bool:
        if entry is None:
            return False
        if entry.image != photo.name or not entry.photo.is_same(photo.file):
            self.others.append(path)
            return False
        if entry.model != self.model:
            self.older.append(path)
            return False
        return True


def _refuse(out: Path, paths: list[str], why: str) -> None:
    if paths:
        more = f" (and {len(paths) - 1} more like it)" * (len(paths) > 1)
        raise ConfigError(f"{out / paths[0]}{more}: {why}")
