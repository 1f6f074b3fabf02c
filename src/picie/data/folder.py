"""A folder of images, optionally with masks and class names.

photos/
├── images/            images at any depth; without this folder, `photos/` itself is searched
├── masks/             optional: <name>.png, class ids from 0, 255 = void
├── classes.txt        optional: one class name per line, in the order of the ids
└── train.txt, ...     optional: splits, one image per line

The name of an image is its path inside the image folder without the extension. If images differ in
the extension only, the first gets the short name and the others keep their extension: a.jpg is `a`,
a.png beside it is `a.png`.
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
        file: path of the file, as text, which needs much less memory than a `Path`.
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
        code: meaning of the ids stored in masks; None = they are the class ids.
        palette: L colours of the classes, or empty.
        groups: class ids of named groups of classes (things, stuff); empty if there are none.
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
        """The error if none of the photos could be read.

        Args:
            first: reason of the first failure.
            kind: what the message calls the photos.
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
            DataError: the photo has no mask, or as `read_mask`.
        """
        if photo.mask is None:
            raise DataError(f"{photo.file}: has no mask")
        return read_mask(
            photo.mask, image_size=image_size, num_classes=len(self.classes), code=self.code
        )


def open_folder(root: str | Path, split: str = "", *, labelled: bool = False) -> PhotoFolder:
    """List the images below `root`, sorted by name.

    Hidden files and folders are skipped. Symbolic links to folders are followed, but each folder is
    searched only once, by its real path if that is inside the image folder. Without images/, the
    folder masks/ directly below `root` is skipped.

    Args:
        root: a folder with the layout shown at the top of this module, or one image file.
        split: "train" takes the images listed in train.txt, by name or by path with extension;
            blank lines and lines that start with # are ignored. "" takes all.
        labelled: require class names and a mask for every image.

    Raises:
        DataError: the path does not exist, there are no images, a list file is missing or names
            unknown images, classes.txt is invalid, or required labels are missing.
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
        content = f"{len(files)} file{'s' * (len(files) != 1)}{first}"
        raise DataError(
            f"{folder}: no images ({content}); supported: {' '.join(EXTENSIONS)}. "
            "Convert them or check the path"
        )
    labelled = os.path.isdir(masks)
    photos: dict[str, Photo] = {}
    for full, file in images:
        short = os.path.splitext(full)[0]
        # `full` is unused so far: only a longer path could have this name, and it sorts later.
        name = full if short in photos else short
        mask = os.path.join(masks, f"{name}.png")
        photos[name] = Photo(file, name, mask if labelled and os.path.isfile(mask) else None)
    return tuple(photos[name] for name in sorted(photos))


def _select(photos: tuple[Photo, ...], root: Path, split: str) -> tuple[Photo, ...]:
    path = root / f"{split}.txt"
    if not path.is_file():
        lists = sorted(file.name for file in root.glob("*.txt") if file.name != "classes.txt")
        available = f"lists here: {', '.join(lists)}" if lists else "there are no lists here"
        raise DataError(f"{path}: does not exist; {available}")
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
        raise DataError(f"{path}: lists no image; write one name per line")
    return tuple(sorted({known[key] for key in keys}, key=lambda photo: photo.name))


def _classes(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    names = "\n".join(read_lines(path)).rstrip("\n").split("\n")
    if "" in names:
        line = names.index("") + 1
        raise DataError(f"{path}: line {line} is empty; write one class name per line")
    if len(names) > VOID:
        raise DataError(f"{path}: lists {len(names)} classes; masks can hold at most {VOID}")
    return tuple(names)


def _check_labels(root: Path, photos: tuple[Photo, ...], classes: tuple[str, ...]) -> None:
    bare = [photo.name for photo in photos if photo.mask_file is None]
    if not (root / "masks").is_dir():
        problem = "there is no masks/"
    elif not classes:
        problem = "there is no classes.txt"
    elif bare:
        problem = f"{len(bare)} of {len(photos)} images have no mask ({few(bare, 3)})"
    else:
        return
    raise DataError(f"{root}: labels are needed; {_TREE}; {problem}")
