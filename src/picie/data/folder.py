"""A folder of images, optionally with masks and class names.

photos/
├── images/            images at any depth; without this folder, `photos/` itself is searched
├── masks/             optional: <name>.png, class ids from 0, 255 = void
├── classes.txt        optional: one class name per line, in the order of the ids (`lists`)
└── train.txt, ...     optional: splits, one image per line

A split is the name of a list, a pattern of names with * or ?, or several of them joined by "+";
those that begin with ! are taken away from the others, or from all images if there are no others.
A list whose name is the whole text, or a whole part of it, comes first.

The name of an image is its path inside the image folder without the extension. If images differ in
the extension only, the first gets the short name and the others keep their extension: a.jpg is `a`,
a.png beside it is `a.png`.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from picie.data.images import DEFAULT
from picie.data.kinds import extension, is_image, supported, why_unread
from picie.data.listing import few, inside
from picie.data.lists import read_class_names, read_entries
from picie.data.masks import PLAIN, Colour, LabelCode, MaskRule, MaskTally, read_mask
from picie.data.reading import Reading
from picie.data.search import find_images, image_folder, mask_notes
from picie.data.survey import page_counts, settle
from picie.data.trees import Tree, open_tree
from picie.errors import DataError
from picie.runtime.nearby import near_folder
from picie.runtime.storage import Store, check_local, local_path, path_or_address

__all__ = ["Photo", "PhotoFolder", "check_source", "lists_of", "open_folder"]

_TREE = "expected images/<name>.jpg (or .png ...), masks/<name>.png and classes.txt"


@dataclass(frozen=True, slots=True)
class Photo:
    """One image file, on this machine or in a storage.

    Attributes:
        file: path or address of the file, as text, which needs much less memory than a `Path`.
        name: path inside the image folder, with "/" and without the extension; unique.
        mask_file: path or address of its mask, or None.
        page: of a file with several pages, from 0.
        stamp: of a photo in a storage, what the listing says of its content: size and version, as
            `Entry.stamp` has them; "" on this machine.
    """

    file: str
    name: str
    mask_file: str | None
    page: int = 0
    stamp: str = ""

    @property
    def path(self) -> Path:
        """The file.

        Raises:
            ConfigError: it is in a storage.
        """
        return check_local("this command reads", self.file)

    @property
    def source(self) -> Path | str:
        """The file, or its address."""
        return path_or_address(self.file)

    @property
    def mask(self) -> Path | str | None:
        """Its mask file, or the address of that, or None."""
        return None if self.mask_file is None else path_or_address(self.mask_file)


@dataclass(frozen=True)
class PhotoFolder:
    """The images of one split of a folder.

    Attributes:
        root: the folder, or the image file, that was opened; of a storage, its address.
        split: as it was asked for; "" for all images.
        photos: sorted by name.
        classes: class names in the order of their ids; empty without classes.txt.
        code: meaning of the ids stored in masks; None = they are the class ids.
        palette: L colours of the classes, or empty.
        groups: class ids of named groups of classes (things, stuff); empty if there are none.
        reading: how the images are read.
        notes: what was left out, a line for each kind.
    """

    root: Path | str
    split: str
    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    code: LabelCode | None = None
    palette: tuple[Colour, ...] = ()
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    reading: Reading = DEFAULT
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photos)

    def read_as(self, reading: Reading) -> "PhotoFolder":
        """The same images under a reading; what it leaves open is chosen from their values."""
        settled, notes = settle([(photo.file, photo.page) for photo in self.photos], reading)
        return replace(self, reading=settled, notes=(*self.notes, *notes))

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
        if len(self) == 1 and self.photos[0].file == str(self.root):
            return DataError(first)  # one image was asked for
        return DataError(
            f"{self.root}: none of the {len(self)} {kind} could be read; first: {first}"
        )

    def truth(
        self,
        photo: Photo,
        *,
        image_size: tuple[int, int],
        rule: MaskRule = PLAIN,
        orientation: int = 1,
        tally: MaskTally | None = None,
    ) -> NDArray[np.uint8]:
        """Class ids of a photo that has a mask.

        Args:
            photo: one of `labelled`.
            image_size: (W, H) of the upright image.
            rule: what the user says about the masks.
            orientation: EXIF orientation of the photo, 1..8.
            tally: counts what the mask holds.

        Returns:
            (H, W) uint8, 0..L-1 or 255 (void).

        Raises:
            DataError: the photo has no mask, or as `read_mask`.
        """
        if photo.mask is None:
            raise DataError(f"{photo.file}: has no mask")
        return read_mask(
            photo.mask,
            image_size=image_size,
            num_classes=len(self.classes),
            code=self.code,
            rule=rule,
            orientation=orientation,
            tally=tally,
            most=self.reading.max_pixels,
        )


def open_folder(
    root: str | Path, split: str = "", *, labelled: bool = False, reading: Reading | None = None
) -> PhotoFolder:
    """List the images below `root`, sorted by name.

    Hidden files and folders are skipped. Symbolic links to folders are followed, but each folder is
    searched only once, by its real path if that is inside the image folder. Without images/, the
    folder masks/ directly below `root` is skipped. What is left out is said in `notes`.

    Args:
        root: a folder with the layout shown at the top of this module, or one image file; a path
            or an address, such as s3://bucket/photos.
        split: "train" takes the images listed in train.txt, by name or by path with extension, as
            `lists` reads it; "train+val" joins lists; "0001*" takes the images of such names, and
            "!0001*" all others. "" takes all.
        labelled: require class names and a mask for every image.
        reading: how the images are read; the headers of all, and the values of some, decide what it
            leaves open. None = the images are only listed.

    Raises:
        DataError: the path does not exist, there are no images, a list file is missing or names
            unknown images, a pattern matches none, classes.txt is invalid, or required labels are
            missing.
    """
    path, pages = local_path(root), reading is not None and reading.pages == "all"
    place = str(root).rstrip("/") if path is None else path
    photos = _single(place, split)
    if photos:
        if labelled:
            raise DataError(f"{place}: labels are needed; {_TREE}; there is no masks/")
        photos = tuple(_paged(photos, None).values()) if pages else photos
        folder = PhotoFolder(place, split, photos, ())
    else:
        folder = _opened(open_tree(place), split, pages=pages, labelled=labelled)
    return folder if reading is None else folder.read_as(reading)


def check_source(root: str | Path) -> None:
    """Refuse a path of neither a file nor a folder, before anything slow begins.

    Args:
        root: as for `open_folder`; nothing is asked about an address.

    Raises:
        DataError: it does not exist, cannot be reached, or is something else.
    """
    path = local_path(root)
    if path is not None:
        _is_file(path)


def _opened(tree: Tree, split: str, *, pages: bool, labelled: bool) -> PhotoFolder:
    photos, notes = _photos(tree, pages=pages)
    if labelled and not tree.is_folder("masks"):  # what is missing first, not a list beside it
        _check_labels(tree, photos, ())
    photos = _select(photos, tree, split) if split else photos
    listed = tree.is_file("classes.txt")
    classes = read_class_names(tree.at("classes.txt")) if listed else ()
    if labelled:
        _check_labels(tree, photos, classes)
    return PhotoFolder(tree.root, split, photos, classes, notes=tuple(notes))


def _is_file(root: Path) -> bool:
    """Whether it is a file and not a folder.

    Raises:
        DataError: it does not exist, cannot be reached, or is something else.
    """
    try:
        kind = stat.S_IFMT(os.stat(root).st_mode)
    except FileNotFoundError:
        near = near_folder(root, files=True)
        if near is not None:
            raise DataError(f"{root}: does not exist; did you mean {near}?") from None
        raise DataError(f"{root}: does not exist; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{root}: cannot be opened ({reason}); check the path") from None
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{root}: is neither a file nor a folder; give an image or a folder")
    return kind == stat.S_IFREG


def _single(place: Path | str, split: str) -> tuple[Photo, ...]:
    """The image that is there; nothing if it is a folder."""
    if isinstance(place, Path):
        if not _is_file(place):
            return ()
        stamp = ""
    else:
        entry = Store(place).entry(place)
        if entry is None:
            return ()
        stamp = entry.stamp
    path = PurePosixPath(place)
    if not is_image(path.name):
        raise DataError(
            f"{place}: is not a supported image; {why_unread([extension(path.name)])}; supported: "
            f"{' '.join(supported())}"
        )
    if split:
        raise DataError(f"{place}: is one image and has no split {split!r}; leave the split out")
    return (Photo(str(place), path.stem, None, stamp=stamp),)


def _photos(tree: Tree, *, pages: bool) -> tuple[tuple[Photo, ...], list[str]]:
    """The images of a folder, or all their pages, sorted by name, and what was left out."""
    images, notes = find_images(tree)
    labelled = tree.is_folder("masks")
    photos: dict[str, Photo] = {}
    for full, file in images:
        short = os.path.splitext(full)[0]
        # `full` is unused so far: only a longer path could have this name, and it sorts later.
        name = full if short in photos else short
        mask = _mask(tree, name) if labelled else None
        photos[name] = Photo(file, name, mask, stamp=tree.stamp(inside(tree.root, file)))
    if pages:
        photos = _paged(photos.values(), tree if labelled else None)
    if labelled:
        notes += mask_notes(tree, photos)
    return tuple(photos[name] for name in sorted(photos)), notes


def _mask(tree: Tree, name: str) -> str | None:
    """The mask of an image, if there is one."""
    return tree.at(f"masks/{name}.png") if tree.is_file(f"masks/{name}.png") else None


def _paged(photos: Collection[Photo], masks: Tree | None) -> dict[str, Photo]:
    """Each page of each file as an image, by name: `stack` becomes `stack_p001`, `stack_p002` ...

    Args:
        photos: first pages.
        masks: the tree with their masks, or None.
    """
    taken = {photo.name for photo in photos}
    paged: dict[str, Photo] = {}
    for photo, count in zip(photos, page_counts([one.file for one in photos]), strict=True):
        if count == 1:
            paged[photo.name] = photo
            continue
        digits = max(3, len(str(count)))
        for page in range(count):
            name = f"{photo.name}_p{page + 1:0{digits}}"
            while name in taken:  # of a file
                name += "_"
            mask = None if masks is None else _mask(masks, name)
            paged[name] = Photo(photo.file, name, mask, page, photo.stamp)
    return paged


def lists_of(split: str) -> list[str]:
    """File names of the lists that a split may read.

    Example:
        >>> lists_of("train+!dusk*")
        ['train+!dusk*.txt', 'train.txt', '!dusk*.txt', 'dusk*.txt']
    """
    parts = split.split("+")
    names = [split, *(name for part in parts for name in (part, part.removeprefix("!")))]
    return [f"{name}.txt" for name in dict.fromkeys(names) if name]


def _select(photos: tuple[Photo, ...], tree: Tree, split: str) -> tuple[Photo, ...]:
    """The photos of the parts of a split, without those of the parts that begin with !."""
    parts = [split] if tree.is_file(f"{split}.txt") else split.split("+")
    joined: list[Photo] = []
    without: list[Photo] = []
    for part in parts:
        if part.startswith("!") and not tree.is_file(f"{part}.txt"):
            without += _part(photos, tree, split, part[1:])
        else:
            joined += _part(photos, tree, split, part)
    chosen = set(joined or photos).difference(without)
    if not chosen:
        raise DataError(f"{tree.root}: split {split!r} leaves no image; take away fewer")
    return tuple(sorted(chosen, key=lambda photo: photo.name))


def _part(photos: tuple[Photo, ...], tree: Tree, split: str, part: str) -> Collection[Photo]:
    """The photos of a list, or of a pattern; at least one."""
    if not part:
        raise DataError(
            f"{tree.root}: split {split!r} has an empty part; join lists as in 'train+val'"
        )
    if tree.is_file(f"{part}.txt") or not {"*", "?"} & set(part):
        return _listed(photos, tree, part)
    pattern = part.replace("[", "[[]")  # only * and ? are wildcards
    matching = [photo for photo in photos if fnmatchcase(photo.name, pattern)]
    if not matching:
        raise DataError(
            f"{tree.root}: split {split!r}: no image has a name like {part!r}; names look like "
            f"{photos[0].name!r}"
        )
    return matching


def _listed(photos: tuple[Photo, ...], tree: Tree, name: str) -> set[Photo]:
    path = tree.at(f"{name}.txt")
    if not tree.is_file(f"{name}.txt"):
        texts = (file for file in tree.top() if file.endswith(".txt") and file != "classes.txt")
        lists = sorted(file for file in texts if not file.startswith("."))
        available = f"lists here: {', '.join(lists)}" if lists else "there are no lists here"
        raise DataError(f"{path}: does not exist; {available}")
    folder = tree.at(image_folder(tree))
    known: dict[str, list[Photo]] = {}
    for photo in photos:  # a file stands for all its pages
        full = inside(folder, photo.file)
        short = os.path.splitext(full)[0]
        for key in (full,) if photo.name in (full, short) else (full, short):
            known.setdefault(key, []).append(photo)
    known |= {photo.name: [photo] for photo in photos}
    keys = dict.fromkeys(
        entry if entry in known else str(PurePosixPath(entry.replace("\\", "/")))
        for entry in read_entries(path, known)
    )
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} of {len(keys)} entries name no image ({few(unknown, 3)}); "
            f"entries look like {photos[0].name!r}"
        )
    if not keys:
        raise DataError(f"{path}: lists no image; write one name per line")
    return {photo for key in keys for photo in known[key]}


def _check_labels(tree: Tree, photos: tuple[Photo, ...], classes: tuple[str, ...]) -> None:
    bare = [photo.name for photo in photos if photo.mask_file is None]
    if not tree.is_folder("masks"):
        problem = "there is no masks/"
    elif not classes:
        problem = "there is no classes.txt"
    elif bare:
        problem = f"{len(bare)} of {len(photos)} images have no mask ({few(bare, 3)})"
    else:
        return
    raise DataError(f"{tree.root}: labels are needed; {_TREE}; {problem}")
