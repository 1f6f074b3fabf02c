"""What describes a known data set, and the colours of those that have none of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from picie.data.masks import Colour, LabelCode

__all__ = ["Dataset", "Layout", "Part", "class_map", "voc_colours"]


@dataclass(frozen=True)
class Part:
    """Where the files of one split are. All paths are below the root, with "/".

    A picture is `<images>/<stem><image_end>`, its mask `<masks>/<stem><mask_end>`; a stem may hold
    folders. The pictures of the split are those that `stems` or `names` give; without either, all
    that are found.

    Attributes:
        images: folder of the pictures.
        masks: folder of the masks; "" where no labels are published.
        image_end: what follows the stem of a picture.
        mask_end: what follows the stem of a mask.
        names: list file with one stem a line; "" = none.
        stems: the stems themselves; empty = not fixed.
        keep: leaves out the pictures whose mask file it refuses; None = keeps all. It needs the
            masks even where nothing is scored.
        instead: what to do when the list file is missing, for its message.
    """

    images: str
    masks: str
    image_end: str = ".jpg"
    mask_end: str = ".png"
    names: str = ""
    stems: tuple[str, ...] = ()
    keep: Callable[[Path], bool] | None = None
    instead: str = ""


@dataclass(frozen=True)
class Layout:
    """One tree that a data set may come in.

    Attributes:
        tree: it drawn, a few lines.
        parts: by name of the split. Empty = picie's own form: images/, masks/ and list files.
        stored: lines that a classes.txt must have, if there is one; only for picie's own form.
    """

    tree: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    stored: int = 0

    def fits(self, root: Path) -> bool:
        """Whether `root` has a folder of pictures of this layout."""
        folders = {part.images for part in self.parts.values()} or {"images"}
        return any((root / folder).is_dir() for folder in folders)


@dataclass(frozen=True)
class Dataset:
    """A known data set.

    Attributes:
        classes: L names, in the order of their ids.
        code: what the stored ids mean.
        layouts: the trees it may come in; the first that fits is taken.
        palette: L colours.
        groups: parts of the classes (things, stuff), as class ids; empty where there are none.
    """

    classes: tuple[str, ...]
    code: LabelCode
    layouts: tuple[Layout, ...]
    palette: tuple[Colour, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name."""
        return self.code.name


def class_map(length: int, members: Mapping[int, int], *, other: int) -> tuple[int, ...]:
    """A lookup from stored id to class id.

    Args:
        length: number of stored ids.
        members: class id by stored id.
        other: what the other stored ids become, such as 255 (void).

    Example:
        >>> class_map(4, {1: 0, 3: 1}, other=255)
        (255, 0, 255, 1)
    """
    return tuple(members.get(stored, other) for stored in range(length))


def voc_colours(count: int) -> tuple[Colour, ...]:
    """The colour map of PASCAL VOC: the bits of an id, dealt to red, green and blue in turn.

    It is the official palette of VOC, and stands in for data sets that have none.

    Example:
        >>> voc_colours(4)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """

    def channel(number: int, first: int) -> int:
        return sum((number >> (3 * bit + first) & 1) << (7 - bit) for bit in range(8))

    return tuple((channel(n, 0), channel(n, 1), channel(n, 2)) for n in range(count))
