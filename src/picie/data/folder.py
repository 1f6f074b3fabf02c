"""A folder of images, with masks and class names where there are any.

photos/
├── images/            images at any depth; without this folder, `photos/` itself is searched
├── masks/             optional: <name>.png, class ids from 0, 255 = void
├── classes.txt        optional: one class name a line, in the order of the ids
└── train.txt, ...     optional: splits, one image a line

The name of an image is its path inside the image folder without the extension. Where two images
differ in the extension only, the first keeps the short name and the others keep their extension:
a.jpg is `a`, a.png beside it is `a.png`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from picie.data.images import EXTENSIONS
from picie.data.listing import few, inside, read_lines, walk
from picie.data.masks import Colour, LabelCode, read_mask
from picie.errors import DataError
from picie.types import VOID

__all__ = ["Photo", "PhotoFolder", "open_folder"]

_TREE = "expected images/<name>.jpg (or .png ...), masks/<name>.png and classes.txt"


@dataclass(frozen=True, slots=True)
class Photo:
    """One image file.

    Attributes:
        file: path of the file; text, which takes a fraction of a `Path`'s memory.
        name: path inside the image folder, with "/" and without the extension; unique.
        mask_file: path of its mask, or None.
    """

    file: str
    name: str
    mask_file: str | None

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.file)

    @property
    def mask(self) -> Path | None:
        """Its mask file, or None."""
        return None if self.mask_file is None else Path(self.mask_file)


@dataclass(frozen=True)
class PhotoFolder:
    """The images of one split of a folder.

    Attributes:
        root: the folder, or the image file, that was opened.
        split: name of the list file without .txt, or "" for all images.
        photos: sorted by name.
        classes: class names in the order of their ids; empty without classes.txt.
        code: what the ids stored in masks mean; None = they are the class ids.
        palette: colours of the classes, L rows, or empty.
        groups: parts of the classes by name (things, stuff), as class ids; empty where the set has
            none.
    """

    root: Path
    split: str
    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    code: LabelCode | None = None
    palette: tuple[Colour, ...] = ()
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photos)

    @property
    def labelled(self) -> tuple[Photo, ...]:
        """The photos that have a mask."""
        return tuple(photo for photo in self.photos if photo.mask_file is not None)

    def none_read(self, first: str, kind: str = "images") -> DataError:
        """The error where none of the photos could be read.

        Args:
            first: why the first one could not.
            kind: what they are, for people.
        """
        return DataError(
            f"{self.root}: none of the {len(self)} {kind} could be read; first: {first}"
        )

    def truth(self, photo: Photo, *, image_size: tuple[int, int]) -> NDArray[np.uint8]:
        """Class ids of a photo that has a mask.

        Args:
            photo: one of `labelled`.
            image_size: (W, H) of the upright image.

        Returns:
            (H, W) uint8, 0..L-1 or 255 (void).

        Raises:
            DataError: no mask, or one that `read_mask` refuses.
        """
        if photo.mask is None:
            raise DataError(f"{photo.file}: has no mask")
        return read_mask(
            photo.mask, image_size=image_size, num_classes=len(self.classes), code=self.code
        )


def open_folder(root: str | Path, split: str = "", *, labelled: bool = False) -> PhotoFolder:
    """List the images below `root`, sorted by name.

    Hidden files and folders are left out. Links to folders are followed, but every folder is
    searched once, under its own path where that lies inside the image folder. Without images/, the
    folder masks/ directly below `root` is not searched.

    Args:
        root: a folder as drawn at the top of this module, or one image file.
        split: "train" takes the images that train.txt names, by name or by path with extension;
            blank lines and lines that start with # are left out. "" takes all.
        labelled: insist on a mask for every image, and on class names.

    Raises:
        DataError: nothing there, no images, a list file that is missing or names unknown
            images, a classes.txt that cannot be used, or labels missing that `labelled` wants.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"{root}: does not exist; check the path")
    if root.is_file():
        photos = _single(root, split)
    else:
        photos = _select(_photos(root), root, split) if split else _photos(root)
    classes = _classes(root / "classes.txt")
    if labelled:
        _check_labels(root, photos, classes)
    return PhotoFolder(root, split, photos, classes)


def _single(path: Path, split: str) -> tuple[Photo, ...]:
    if path.suffix.lower() not in EXTENSIONS:
        raise DataError(f"{path}: is not a supported image; supported: {' '.join(EXTENSIONS)}")
    if split:
        raise DataError(f"{path}: is one image and has no split {split!r}; leave the split out")
    return (Photo(str(path), path.stem, None),)


def _image_folder(root: Path) -> Path:
    return root / "images" if (root / "images").is_dir() else root


def _photos(root: Path) -> tuple[Photo, ...]:
    folder = _image_folder(root)
    masks = os.path.join(root, "masks")
    files = sorted((inside(folder, file), file) for file in walk(folder, without=masks))
    images = [item for item in files if os.path.splitext(item[0])[1].lower() in EXTENSIONS]
    if not images:
        first = f", first: {files[0][0]}" if files else ""
        found = f"{len(files)} file{'s' * (len(files) != 1)}{first}"
        raise DataError(
            f"{folder}: no images ({found}); supported: {' '.join(EXTENSIONS)}. "
            "Convert them or check the path"
        )
    labelled = os.path.isdir(masks)
    photos: dict[str, Photo] = {}
    for full, file in images:
        short = os.path.splitext(full)[0]
        # `full` is free: only a file whose path continues it could have it, and that sorts later.
        name = full if short in photos else short
        mask = os.path.join(masks, f"{name}.png")
        photos[name] = Photo(file, name, mask if labelled and os.path.isfile(mask) else None)
    return tuple(photos[name] for name in sorted(photos))


def _select(photos: tuple[Photo, ...], root: Path, split: str) -> tuple[Photo, ...]:
    path = root / f"{split}.txt"
    if not path.is_file():
        lists = sorted(file.name for file in root.glob("*.txt") if file.name != "classes.txt")
        found = f"lists here: {', '.join(lists)}" if lists else "there are no lists here"
        raise DataError(f"{path}: does not exist; {found}")
    entries = [line for line in read_lines(path) if line and not line.startswith("#")]
    folder = _image_folder(root)
    known = {inside(folder, photo.file): photo for photo in photos}
    known |= {photo.name: photo for photo in photos}
    keys = dict.fromkeys(str(PurePosixPath(entry.replace("\\", "/"))) for entry in entries)
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} of {len(keys)} entries name no image ({few(unknown, 3)}); "
            f"entries look like {photos[0].name!r}"
        )
    if not keys:
        raise DataError(f"{path}: names no image; write one name a line")
    return tuple(sorted({known[key] for key in keys}, key=lambda photo: photo.name))


def _classes(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    names = "\n".join(read_lines(path)).rstrip("\n").split("\n")
    if "" in names:
        raise DataError(f"{path}: line {names.index('') + 1} is empty; write one class name a line")
    if len(names) > VOID:
        raise DataError(f"{path}: names {len(names)} classes; masks can hold {VOID} at most")
    return tuple(names)


def _check_labels(root: Path, photos: tuple[Photo, ...], classes: tuple[str, ...]) -> None:
    bare = [photo.name for photo in photos if photo.mask_file is None]
    if not (root / "masks").is_dir():
        found = "there is no masks/"
    elif not classes:
        found = "there is no classes.txt"
    elif bare:
        found = f"{len(bare)} of {len(photos)} images have no mask ({few(bare, 3)})"
    else:
        return
    raise DataError(f"{root}: labels are needed; {_TREE}; {found}")
