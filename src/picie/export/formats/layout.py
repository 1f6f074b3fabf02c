"""The parts of every export: classes, images with masks, and the writer protocol."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.errors import ConfigError, DataError
from picie.inference.predict_folder import Then
from picie.postprocessing.upsampling import Mask
from picie.visualization.palette import Colours

__all__ = [
    "ClassTable",
    "Labelled",
    "Options",
    "PhotoPolicy",
    "Writer",
    "WriterMaker",
    "append",
    "check_names",
    "distinct",
    "flat_names",
    "in_folder",
    "indexed",
    "photo_file",
    "put_photo",
    "put_photo_as",
    "unlike",
]

PhotoPolicy = Literal["copy", "link", "none"]
"""How photos enter a layout: copied, hard-linked, or not at all."""


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

    def without(self, sign: str, format: str) -> None:
        """Refuse names with a separator of the format.

        Raises:
            ConfigError: a name contains `sign`.
        """
        for name in self.names:
            if sign in name:
                raise ConfigError(
                    f"the class name {name!r} contains {sign!r}, which --format "
                    f"{format} cannot store; rename the class"
                )


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image with its mask.

    Attributes:
        name: unique path inside the photo folder, with "/" and without the extension.
        path: the image file.
        image: (H, W, 3) uint8 RGB, upright.
        mask: (H, W) int64 ids 0..N-1, or IGNORED.
        upright: whether the file looks like `image` in programs that ignore its EXIF orientation.
    """

    name: str
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
        title: name of the output folder.
    """

    photos: PhotoPolicy = "copy"
    polygons: bool = False
    tolerance: float = 0.0
    title: str = "export"


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


WriterMaker = Callable[[Path, ClassTable, tuple[str, ...], Options], Writer]
"""Makes a writer from its folder, the classes, the names of all images, and the options."""


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


def flat_names(names: Iterable[str]) -> dict[str, str]:
    """Names without subfolders: "/" becomes "__", and duplicates get a number."""
    taken: set[str] = set()
    return {name: unlike(name.replace("/", "__"), taken) for name in names}


def unlike(wanted: str, taken: set[str]) -> str:
    """The wanted name, with a number if it is taken; adds the result to `taken`."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}__{number}", number + 1
    taken.add(name)
    return name


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
_SAVED = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".png": "PNG"}


def photo_file(labelled: Labelled) -> str:
    """Path of a photo inside a layout: its name with the extension of its file."""
    return labelled.name + labelled.path.suffix


def put_photo(labelled: Labelled, path: Path, policy: PhotoPolicy) -> None:
    """Copy or link a photo; a photo stored rotated is re-encoded upright.

    Hard links fall back to copies if the file system does not support them, such as between disks.
    Re-encoded photos keep their format, at high quality, but not their EXIF data.

    Args:
        labelled: the photo.
        path: destination, with the extension of the photo's file.
        policy: copy, link, or none (does nothing).

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    in_folder(path)
    if not labelled.upright:
        _save(labelled, path, _SAVED.get(path.suffix.lower(), "TIFF"))
        return
    if policy == "link":
        try:
            # Link the file itself, not a symbolic link to it.
            os.link(os.path.realpath(labelled.path), path)
            return
        except OSError:
            path.unlink(missing_ok=True)
    shutil.copyfile(labelled.path, path)


def put_photo_as(labelled: Labelled, path: Path, policy: PhotoPolicy, *suffixes: str) -> None:
    """Like `put_photo`, for layouts that require one format: other formats are re-encoded.

    Args:
        labelled: the photo.
        path: destination, with an extension of the required format.
        policy: copy, link, or none (does nothing).
        suffixes: lower-case extensions of files that already have this format.

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    if labelled.path.suffix.lower() in suffixes:
        put_photo(labelled, path, policy)
    else:
        _save(labelled, in_folder(path), _SAVED[path.suffix])


def _save(labelled: Labelled, path: Path, kind: str) -> None:
    lossy = {"quality": _QUALITY} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(labelled.image).save(path, format=kind, **lossy)
