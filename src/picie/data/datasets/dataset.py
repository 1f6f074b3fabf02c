"""Description of a known data set, how its photos are listed, and the VOC colour map."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from picie.config import suggest
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.listing import LeftOut, few, inside, walk
from picie.data.lists import read_entries
from picie.data.masks import Colour, LabelCode
from picie.data.search import left_out_notes
from picie.errors import ConfigError, DataError, LayoutError
from picie.runtime.printable import printable

__all__ = ["Dataset", "Layout", "Part", "class_map", "drawn", "open_known", "voc_colours"]


@dataclass(frozen=True)
class Part:
    """Files of one split. All paths are relative to the root, with "/".

    An image is `<images>/<stem><image_end>`, its mask `<masks>/<stem><mask_end>`; stems may have
    folders. The split consists of the images in `stems` or `names`; without either, of all images
    in the folder.

    Attributes:
        images: folder of the images.
        masks: folder of the masks; "" if no labels are published.
        image_end: suffix after the stem of an image.
        mask_end: suffix after the stem of a mask.
        names: list file with one stem per line; "" = none.
        stems: the stems; empty = no fixed list.
        keep: predicate on the mask file; images for which it is False are skipped. None = keep
            all. It needs the masks even for training.
    """

    images: str
    masks: str
    image_end: str = ".jpg"
    mask_end: str = ".png"
    names: str = ""
    stems: tuple[str, ...] = ()
    keep: Callable[[Path | str], bool] | None = None


@dataclass(frozen=True)
class Layout:
    """One folder layout of a data set.

    Attributes:
        tree: drawing of the layout in a few lines, for messages.
        parts: by name of the split. Empty = picie's own layout: images/, masks/ and list files.
        stored: number of lines of classes.txt, if there is one; only for picie's own layout.
        sources: by folder or list file of `parts`, what to do if it is missing: which archive to
            unpack, from where, and to which place.
    """

    tree: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    stored: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)

    def fits(self, root: Path) -> bool:
        """Whether `root` has an image folder of this layout."""
        folders = {part.images for part in self.parts.values()} or {"images"}
        return any((root / folder).is_dir() for folder in folders)


@dataclass(frozen=True)
class Dataset:
    """A known data set.

    Attributes:
        classes: L names, in the order of their ids.
        code: meaning of the stored ids.
        layouts: supported folder layouts; the first that fits is used.
        palette: L colours.
        groups: class ids of named groups of classes (things, stuff); may be empty.
    """

    classes: tuple[str, ...]
    code: LabelCode
    layouts: tuple[Layout, ...]
    palette: tuple[Colour, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.code.name


def class_map(length: int, members: Mapping[int, int], *, other: int) -> tuple[int, ...]:
    """Lookup table from stored id to class id.

    Args:
        length: number of stored ids.
        members: class id by stored id.
        other: value for all other stored ids, for example 255 (void).

    Example:
        >>> class_map(4, {1: 0, 3: 1}, other=255)
        (255, 0, 255, 1)
    """
    return tuple(members.get(stored, other) for stored in range(length))


def voc_colours(count: int) -> tuple[Colour, ...]:
    """The colour map of PASCAL VOC: the bits of an id are distributed to red, green and blue.

    It is the official palette of VOC, and the default for data sets that have none.

    Example:
        >>> voc_colours(4)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """

    def channel(number: int, first: int) -> int:
        return sum((number >> (3 * bit + first) & 1) << (7 - bit) for bit in range(8))

    return tuple((channel(n, 0), channel(n, 1), channel(n, 2)) for n in range(count))


_SHOWN = 8  # maximum number of entries of a folder in a message


def open_known(dataset: Dataset, root: Path, split: str, *, labelled: bool) -> PhotoFolder:
    """List the photos of one or more splits, sorted by name.

    The name of a photo is the last component of its image folder, "/" and its stem; it does not
    depend on the split.

    Args:
        dataset: the data set.
        root: folder in one of its layouts.
        split: a split, or several separated by "+"; "" takes all images of picie's own layout.
        labelled: require a mask for every image.

    Raises:
        LayoutError: another layout, or missing masks; the message shows the expected and the actual
            tree.
        DataError: a list file that is missing or names missing images.
        ConfigError: an unknown split.
    """
    layout = _layout(dataset, root)
    by_name: dict[str, Photo] = {}
    notes: list[str] = []
    for name in split.split("+") if layout.parts else [split]:
        listed, more = _photos(dataset, layout, root, name)
        by_name |= {photo.name: photo for photo in listed}
        notes += more
    photos = tuple(by_name[name] for name in sorted(by_name))
    if labelled:
        _check_labels(dataset, layout, root, split, photos)
    return PhotoFolder(
        root,
        split,
        photos,
        dataset.classes,
        dataset.code,
        dataset.palette,
        dataset.groups,
        notes=tuple(dict.fromkeys(notes)),
    )


def _layout(dataset: Dataset, root: Path) -> Layout:
    if not root.is_dir():
        reason = "is not a folder" if root.exists() else "does not exist"
        problem = f"{printable(str(root))}: {reason}; give the root of {dataset.name}"
        raise LayoutError(problem + drawn(dataset))
    for layout in dataset.layouts:
        if layout.fits(root):
            return layout
    raise _wrong_tree(dataset, root, _advice(dataset, root), drawn(dataset))


def _advice(dataset: Dataset, root: Path) -> str:
    for folder in _folders(root):
        if any(layout.fits(folder) for layout in dataset.layouts):
            return f"give {folder}, which has the expected layout"
    return "the images are not in the expected folders; check the path, or move the folders"


def _photos(
    dataset: Dataset, layout: Layout, root: Path, split: str
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """The photos of a split, and what was left out."""
    if not layout.parts:
        return _own_form(dataset, layout, root, split)
    if split not in layout.parts:
        known = list(layout.parts)
        hint = suggest(split, known) if split else f"known: {', '.join(known)}"
        problem = f"unknown split {split!r}" if split else "no split given"
        raise ConfigError(f"{dataset.name}: {problem}; {hint} (join several with +)")
    part = layout.parts[split]
    advice = layout.sources.get(part.images, "put the images there")
    if not (root / part.images).is_dir():
        problem = f"split {split}: there is no {part.images}/; {advice}"
        raise _wrong_tree(dataset, root, problem)
    stems, notes = _stems(layout, part, root)
    if not stems:
        problem = f"split {split}: no *{part.image_end} in {part.images}/; {advice}"
        raise _wrong_tree(dataset, root, problem)
    photos = [_photo(part, root, stem) for stem in stems]
    if part.keep is not None:
        _check_labels(dataset, layout, root, split, tuple(photos))
        photos = [photo for photo in photos if photo.mask is not None and part.keep(photo.mask)]
        if not photos:
            raise DataError(f"{root}: no image is left in the split {split}; use another split")
    return tuple(photos), notes


def _own_form(
    dataset: Dataset, layout: Layout, root: Path, split: str
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    folder = open_folder(root, split)
    if len(folder.classes) not in (0, layout.stored):
        raise DataError(
            f"{root / 'classes.txt'}: lists {len(folder.classes)} classes, but masks of "
            f"{dataset.name} hold {layout.stored}; is it another data set?"
        )
    return folder.photos, folder.notes


def _stems(layout: Layout, part: Part, root: Path) -> tuple[list[str], tuple[str, ...]]:
    folder = root / part.images
    if not part.stems and not part.names:
        end = part.image_end
        left_out = LeftOut()
        files = [*walk(folder, left_out=left_out), *left_out.broken]
        names = sorted(inside(folder, file) for file in files)
        found = [file.removesuffix(end) for file in names if file.endswith(end)]
        return found, tuple(left_out_notes(left_out, folder))
    source, stems = root / part.images, part.stems
    if part.names:
        source = root / part.names
        if not source.is_file():
            advice = layout.sources.get(part.names, "put the list there")
            raise DataError(f"{source}: does not exist; {advice}")
        entries = read_entries(source)
        stems = tuple(dict.fromkeys(entry.removesuffix(part.image_end) for entry in entries))
        if not stems:
            raise DataError(f"{source}: lists no image; it must hold one name per line")
    missing = [stem for stem in stems if not (folder / (stem + part.image_end)).is_file()]
    if missing:
        raise DataError(
            f"{source}: {len(missing)} of {len(stems)} images are not in {folder} "
            f"({few(missing, 3)}, each with {part.image_end}); "
            + layout.sources.get(part.images, "add the missing images")
        )
    return list(stems), ()


def _photo(part: Part, root: Path, stem: str) -> Photo:
    # os.path.join, because creating a Path takes longer than the check of the file.
    mask = os.path.join(root, part.masks, stem + part.mask_end)
    return Photo(
        os.path.join(root, part.images, stem + part.image_end),
        f"{PurePosixPath(part.images).name}/{stem}",
        mask if part.masks and os.path.isfile(mask) else None,
    )


def _check_labels(
    dataset: Dataset, layout: Layout, root: Path, split: str, photos: tuple[Photo, ...]
) -> None:
    unpublished = [
        one for one in split.split("+") if one in layout.parts and not layout.parts[one].masks
    ]
    if unpublished:
        raise DataError(
            f"{dataset.name}: the labels of {', '.join(unpublished)} are not published; evaluate "
            "another split"
        )
    bare = [photo.name for photo in photos if photo.mask is None]
    if bare:
        problem = f"labels are needed, but {len(bare)} of {len(photos)} images have no mask "
        folders = dict.fromkeys(
            layout.parts[one].masks for one in split.split("+") if one in layout.parts
        )
        advice = [layout.sources[folder] for folder in folders if folder in layout.sources]
        problem += "; ".join([f"({few(bare, 3)})", *dict.fromkeys(advice)])
        raise _wrong_tree(dataset, root, problem)


def drawn(dataset: Dataset) -> str:
    """Lines of a message: the layouts of a data set, and where its files come from."""
    steps = dict.fromkeys(f"  {one}" for tree in dataset.layouts for one in tree.sources.values())
    return "\n".join([_trees(dataset), *["to get there:"] * bool(steps), *steps])


def _wrong_tree(dataset: Dataset, root: Path, problem: str, expected: str = "") -> LayoutError:
    content = "\n".join(f"  {printable(line)}" for line in _found(root)) or "  nothing"
    problem = printable(f"{root}: {dataset.name}: {problem}")
    return LayoutError(f"{problem}{expected or _trees(dataset)}\nfound:\n{content}")


def _trees(dataset: Dataset) -> str:
    trees = ["\n".join(f"  {line}" for line in one.tree.splitlines()) for one in dataset.layouts]
    return "\nexpected:\n" + "\nor:\n".join(trees)


def _found(root: Path) -> list[str]:
    """Two levels of a folder, shortened."""
    entries = _entries(root)
    lines = []
    for path in entries[:_SHOWN]:
        below = [one.name + "/" * one.is_dir() for one in _entries(path)] if path.is_dir() else []
        lines.append(path.name + "/" * path.is_dir() + f" ({few(below, 4)})" * bool(below))
    return lines + ["..."] * (len(entries) > _SHOWN)


def _folders(root: Path) -> list[Path]:
    return [path for path in _entries(root) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # only used to describe the folder in a message
        return []
