"""What every export is made of: classes, images with masks, and the writers of layouts."""

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
"""How photos come into a layout: copied, as hard links, or not at all."""


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
        """Refuse more ids than a format holds.

        Raises:
            ConfigError: more than `count`.
        """
        if len(self.names) > count:
            raise ConfigError(
                f"the model has {len(self.names)} classes and --format {format} holds {count}; "
                "pass --clusters with a smaller number, or give clusters the same name"
            )

    def without(self, sign: str, format: str) -> None:
        """Refuse names that would break a list of the format.

        Raises:
            ConfigError: a name holds `sign`.
        """
        for name in self.names:
            if sign in name:
                raise ConfigError(
                    f"the class name {name!r} holds {sign!r}, which --format {format} cannot "
                    "carry; rename the class"
                )


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image with its mask.

    Attributes:
        name: unique path inside the photo folder, with "/" and without the extension.
        path: the image file.
        image: (H, W, 3) uint8 RGB, upright.
        mask: (H, W) int64 ids 0..N-1, or IGNORED.
        upright: the file shows the image as `image` does to programs that do not turn it by its
            EXIF orientation.
    """

    name: str
    path: Path
    image: NDArray[np.uint8]
    mask: Mask
    upright: bool


@dataclass(frozen=True)
class Options:
    """What people choose about an export.

    Attributes:
        photos: how photos come into layouts that hold them.
        polygons: coco: polygons of regions in place of run-lengths of classes.
        tolerance: most pixels by which polygons may leave the border of the mask; 0 = none.
        title: name of the folder that the export becomes.
    """

    photos: PhotoPolicy = "copy"
    polygons: bool = False
    tolerance: float = 0.0
    title: str = "export"


class Writer(Protocol):
    """Writes one layout into a folder that exists and is empty."""

    def add(self, one: Labelled) -> Then:
        """Write what belongs to this image alone.

        Called by several threads at a time, in no certain order. What it returns is called later in
        the order of the images, never twice at a time: that is the place for lists.

        Raises:
            OSError: a file cannot be written.
        """

    def close(self) -> None:
        """Write what comes last; called once, after all images.

        Raises:
            OSError: a file cannot be written.
        """


WriterMaker = Callable[[Path, ClassTable, tuple[str, ...], Options], Writer]
"""Makes a writer from its folder, the classes, the names of all images, and the options."""


def check_names(names: Iterable[str]) -> None:
    """Refuse names of images that would leave the folder of the export.

    Raises:
        DataError: an absolute name, or one with "..".
    """
    for name in names:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise DataError(
                f"the image name {name!r} leads out of the export; names are paths inside the "
                "photo folder"
            )


def flat_names(names: Iterable[str]) -> dict[str, str]:
    """Names without subfolders, "/" written as "__"; where two would be the same, with a number."""
    taken: set[str] = set()
    return {name: unlike(name.replace("/", "__"), taken) for name in names}


def unlike(wanted: str, taken: set[str]) -> str:
    """The name wanted, with a number where it is taken; it is taken afterwards."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}__{number}", number + 1
    taken.add(name)
    return name


def distinct(colours: Colours, reserved: Iterable[tuple[int, int, int]]) -> Colours:
    """Colours that are unlike one another and unlike `reserved`, changed as little as possible.

    Formats that tell classes apart by their colour cannot hold two of one colour, nor one that
    means background.

    Args:
        colours: (N, 3) uint8 sRGB.
        reserved: colours that mean something else.

    Returns:
        (N, 3) uint8 sRGB.
    """
    taken = set(reserved)
    found = np.empty_like(colours)
    # Steps of 8 levels, the smallest first: too little to be seen as another colour.
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
        found[number] = colour
    return found


_STEPS = tuple(8 * step for step in range(-8, 9))


def indexed(mask: Mask, *, first: int, void: int) -> NDArray[np.uint8]:
    """(H, W) uint8 of ids counted from `first`, with `void` where the class is ignored."""
    return np.where(mask < 0, void, mask + first).astype(np.uint8)


def append(path: Path, text: str) -> None:
    """Add ASCII text to a list. No file stays open, which an error would leave behind."""
    with path.open("a", encoding="ascii") as file:
        file.write(text)


def in_folder(path: Path) -> Path:
    """The path, with a folder around it."""
    os.makedirs(path.parent, exist_ok=True)
    return path


_QUALITY = 95
_SAVED = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".png": "PNG"}


def photo_file(one: Labelled) -> str:
    """Path of a photo inside its folder of a layout: its name with the extension of its file."""
    return one.name + one.path.suffix


def put_photo(one: Labelled, path: Path, policy: PhotoPolicy) -> None:
    """Put a photo at a path, as a copy or a link of its file, or written anew if it is turned.

    Hard links fall back to copies where the file system has none, as between two disks. A photo
    that its file stores turned is written in its own format at high quality, without its EXIF
    block.

    Args:
        one: the photo.
        path: where to, with the extension of its file.
        policy: copy, link, or none to do nothing.

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    in_folder(path)
    if not one.upright:
        _save(one, path, _SAVED.get(path.suffix.lower(), "TIFF"))
        return
    if policy == "link":
        try:
            # The file itself, not a symbolic link to it.
            os.link(os.path.realpath(one.path), path)
            return
        except OSError:
            path.unlink(missing_ok=True)
    shutil.copyfile(one.path, path)


def put_photo_as(one: Labelled, path: Path, policy: PhotoPolicy, *suffixes: str) -> None:
    """Put a photo at a path of a layout that wants one format: other formats are written anew.

    Args:
        one: the photo.
        path: where to, with an extension of the format wanted.
        policy: copy, link, or none to do nothing.
        suffixes: extensions, in lower case, of files that are in this format already.

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    if one.path.suffix.lower() in suffixes:
        put_photo(one, path, policy)
    else:
        _save(one, in_folder(path), _SAVED[path.suffix])


def _save(one: Labelled, path: Path, kind: str) -> None:
    lossy = {"quality": _QUALITY} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(one.image).save(path, format=kind, **lossy)
