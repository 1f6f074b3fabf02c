"""The parts of every export: classes, images with masks, and the writer protocol."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.errors import ConfigError, DataError
from picie.export.formats.names import PhotoPolicy
from picie.inference.predict_each import Then
from picie.postprocessing.upsampling import Mask
from picie.visualization.palette import Colours

__all__ = [
    "MIN_AREA",
    "ClassTable",
    "Labelled",
    "Options",
    "Writer",
    "append",
    "check_names",
    "distinct",
    "in_folder",
    "indexed",
    "put_photo",
]

MIN_AREA = 20
"""Smallest polygon in pixels, if nothing else is asked for: docs/export.md has its effect."""


@dataclass(frozen=True, eq=False)
class ClassTable:
    """The ids 0..N-1 in masks.

    Attributes:
        names: N names.
        colours: (N, 3) uint8 sRGB.
    """

    names: tuple[str, ...]
    colours: Colours

    def at_most(self, count: int, format: str) -> None:
        """Refuse more ids than a format supports.

        Raises:
            ConfigError: more than `count`.
        """
        if len(self.names) > count:
            raise ConfigError(
                f"the model has {len(self.names)} classes, but --format {format} holds at most "
                f"{count}; pass a smaller --clusters, or give several clusters the same name"
            )


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image with its mask.

    Attributes:
        name: unique name in the export, with "/" and without an extension.
        file: path of the photo in the export, with its extension; of photos that are not in the
            export, the path inside the photo folder.
        path: the image file.
        image: (H, W, 3) uint8 RGB, upright.
        mask: (H, W) ids 0..N-1, or IGNORED; (W, H) if it fits a photo stored on its side.
        upright: whether the file looks like `image` in programs that ignore its EXIF orientation.
    """

    name: str
    file: str
    path: Path
    image: NDArray[np.uint8]
    mask: Mask
    upright: bool


@dataclass(frozen=True)
class Options:
    """User options of an export.

    Attributes:
        photos: how photos enter layouts that contain them.
        polygons: coco: polygons of regions instead of run-lengths of classes.
        tolerance: maximum distance in pixels between polygon and mask boundary; 0 = exact.
        min_area: pixels from which on a region gets a polygon; the pixels of smaller ones go to
            the classes around them. 0 = all.
        val: what segmentation keeps for validation: a share, or a list or a pattern of names.
        title: name of the output folder.
        validation: names in the export of the images that are kept for validation.
    """

    photos: PhotoPolicy = "copy"
    polygons: bool = False
    tolerance: float = 0.0
    min_area: int = MIN_AREA
    val: str = "0.2"
    title: str = "export"
    validation: frozenset[str] = frozenset()


class Writer(Protocol):
    """Writes one layout into a folder that exists and is empty."""

    def add(self, labelled: Labelled) -> Then:
        """Write the files of one image.

        Called from several threads, in any order. What it returns is called later in the order of
        the images, one at a time: use it to append to lists.

        Raises:
            OSError: a file cannot be written.
        """

    def close(self) -> None:
        """Write the remaining files; called once, after all images.

        Raises:
            OSError: a file cannot be written.
        """


def check_names(names: Iterable[str]) -> None:
    """Refuse image names that lead outside the folder of the export.

    Raises:
        DataError: an absolute name, or one with "..".
    """
    for name in names:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise DataError(
                f"the image name {name!r} leads outside the export; names are paths inside the "
                "photo folder"
            )


def distinct(colours: Colours, reserved: Iterable[tuple[int, int, int]]) -> Colours:
    """Colours distinct from one another and from `reserved`, changed as little as possible.

    Formats that identify classes by colour need a unique colour per class, other than that of the
    background.

    Args:
        colours: (N, 3) uint8 sRGB.
        reserved: colours with another meaning.

    Returns:
        (N, 3) uint8 sRGB.
    """
    taken = set(reserved)
    chosen = np.empty_like(colours)
    # Steps of 8 levels, smallest first, which the eye hardly notices.
    steps = sorted(
        ((r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS),
        key=lambda step: sum(abs(part) for part in step),
    )
    for number, row in enumerate(colours.tolist()):
        for step in steps:
            colour = tuple(part + more for part, more in zip(row, step, strict=True))
            if colour not in taken and min(colour) >= 0 and max(colour) <= 255:
                break
        taken.add(colour)
        chosen[number] = colour
    return chosen


_STEPS = tuple(8 * step for step in range(-8, 9))


def indexed(mask: Mask, *, first: int, void: int) -> NDArray[np.uint8]:
    """(H, W) uint8 of ids starting at `first`, with `void` for ignored pixels."""
    return np.where(mask < 0, void, mask + first).astype(np.uint8)


def append(path: Path, text: str) -> None:
    """Append ASCII text to a file. It is not kept open, so an error leaves no open file."""
    with path.open("a", encoding="ascii") as file:
        file.write(text)


def in_folder(path: Path) -> Path:
    """The path, after its folder is created."""
    os.makedirs(path.parent, exist_ok=True)
    return path


_QUALITY = 95
_KINDS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".jif": "JPEG",
    ".mpo": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}


def put_photo(labelled: Labelled, path: Path, policy: PhotoPolicy) -> None:
    """Copy or link a photo; re-encode one that is stored rotated, or in another image format.

    Hard links fall back to copies if the file system does not support them, such as between disks.
    Re-encoded photos are upright and of high quality, and lose their EXIF data.

    Args:
        labelled: the photo.
        path: destination; its extension says the image format.
        policy: copy, link, or none (does nothing).

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    in_folder(path)
    kind = _KINDS[path.suffix.lower()]
    if not labelled.upright or _KINDS.get(labelled.path.suffix.lower()) != kind:
        lossy = {"quality": _QUALITY} if kind in ("JPEG", "WEBP") else {}
        Image.fromarray(labelled.image).save(path, format=kind, **lossy)
        return
    if policy == "link":
        try:
            # Link the file itself, not a symbolic link to it.
            os.link(os.path.realpath(labelled.path), path)
            return
        except OSError:
            path.unlink(missing_ok=True)
    shutil.copyfile(labelled.path, path)
