"""Read class ids from mask files.

A mask stores one number per pixel. In a user's own folder the number is the class id, and 255 is
void. A known data set has its own ids, or colours, which its `LabelCode` maps to classes. A
`MaskRule` holds what a user says about the masks of a folder, and a `MaskTally` what they hold.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from picie.config import MOST_PIXELS
from picie.data.listing import few
from picie.data.opening import open_within, orientation_of, turned
from picie.errors import ConfigError, DataError
from picie.runtime.storage import local_copy
from picie.types import VOID

__all__ = [
    "PLAIN",
    "Colour",
    "LabelCode",
    "MaskMap",
    "MaskOrientation",
    "MaskRule",
    "MaskTally",
    "Void",
    "mask_rule",
    "read_mask",
    "stored_ids",
]

Colour = tuple[int, int, int]
"""sRGB, 0..255."""

Void = int | str | None
"""The stored value that is void, as a number or as text; None or "none" = no value; "auto" = 255,
unless a single class is left."""

MaskMap = Mapping[str, object] | Mapping[int, object] | Sequence[str]
"""Class id, or "void", by stored value: {255: 1}, {"255": "1"} or ["255=1"]."""

MaskOrientation = Literal["auto", "stored", "shown"]
"""What masks of images with an EXIF orientation are drawn on: the image as it is stored, or as it
is shown; "auto" = as it is shown, unless something speaks against it."""

_MASK_MODES = ("1", "P", "L", "I", "I;16", "I;16B")
_FEW_BITS = {"L;2": 85, "L;4": 17}  # factors by which decoders stretch 2 and 4 bits of grey
_LARGEST = 65535
_CHUNK = 2**22  # pixels that are counted at once
_MOSTLY = 0.5  # share of 255 from which it is doubtful with a single class other than 0
_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class LabelCode:
    """How the masks of a data set store its classes.

    Attributes:
        name: name of the data set, for messages.
        lookup: class id of the stored ids 0, 1, ...; 255 = void. A stored 255 is void unless the
            lookup is longer; other ids beyond its end are errors.
        colours: for colour-coded masks, the colour of the stored ids 0, 1, ...; empty if masks
            always hold ids.
    """

    name: str
    lookup: tuple[int, ...]
    colours: tuple[Colour, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskRule:
    """What a user says about masks, beyond the code of a data set; made by `mask_rule`.

    Attributes:
        void: stored value that is void; None = no value.
        stated: whether the user said so.
        classes: class id, or 255 for void, of stored values; other values are class ids themselves.
        orientation: what masks of images with an EXIF orientation are drawn on.
    """

    void: int | None = VOID
    stated: bool = False
    classes: tuple[tuple[int, int], ...] = ()
    orientation: MaskOrientation = "auto"

    def check(self, num_classes: int, code: LabelCode | None = None) -> None:
        """Refuse a rule that cannot apply to a folder.

        Args:
            num_classes: L.
            code: of a known data set.

        Raises:
            ConfigError: a class id that does not exist, or ids of a known data set.
        """
        if code is not None and (self.stated or self.classes):
            raise ConfigError(
                f"the ids in masks of {code.name} are known; remove --void and --mask-map, or "
                "leave --dataset out"
            )
        for stored, label in self.classes:
            if label >= num_classes and label != VOID:
                raise ConfigError(
                    f"--mask-map {stored}={label}: there is no class {label}; classes.txt lists "
                    f"{num_classes} classes (ids from 0)"
                )

    def class_of(self, stored: int, num_classes: int) -> int:
        """The class id of a stored value, 255 for void, or -1 for a value without a meaning."""
        given = dict(self.classes)
        if stored in given:
            return given[stored]
        if stored == self.void:
            return VOID
        if 0 <= stored < num_classes:
            return stored
        # Nothing is void, and there are two classes: 0 and 255 are the usual values of such masks.
        return 1 if (stored, self.void, num_classes) == (VOID, None, 2) else _UNKNOWN


PLAIN = MaskRule()
"""The rule if a user says nothing."""


def mask_rule(
    void: Void = "auto", mask_map: MaskMap = (), orientation: MaskOrientation = "auto"
) -> MaskRule:
    """Check and combine what a user says about masks.

    Args:
        void: the stored value that is void.
        mask_map: class ids by stored value.
        orientation: what masks of images with an EXIF orientation are drawn on.

    Raises:
        ConfigError: impossible values.
    """
    if orientation not in get_args(MaskOrientation):
        known = ", ".join(get_args(MaskOrientation))
        raise ConfigError(f"unknown mask orientation {orientation!r}; known: {known}")
    if isinstance(mask_map, str):
        mask_map = [mask_map]
    pairs: Iterable[tuple[object, object]] = (
        mask_map.items() if isinstance(mask_map, Mapping) else map(_pair, mask_map)
    )
    classes: dict[int, int] = {}
    for stored, label in pairs:
        where = f"--mask-map {stored}={label}"
        value = _number(stored, where, _LARGEST)
        target = VOID if label == "void" else _number(label, where, VOID)
        if classes.setdefault(value, target) != target:
            raise ConfigError(f"{where}: the value {value} is mapped twice; remove one")
    stated = void != "auto"
    if void is None or void == "none":
        return MaskRule(None, stated, tuple(classes.items()), orientation)
    value = VOID if void == "auto" else _number(void, f"--void {void}", _LARGEST)
    return MaskRule(value, stated, tuple(classes.items()), orientation)


def _pair(text: str) -> tuple[str, str]:
    stored, found, label = str(text).partition("=")
    if not found:
        raise ConfigError(f"--mask-map {text}: give a stored value and its class id, such as 255=1")
    return stored, label


def _number(value: object, where: str, most: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 5 or int(text) > most:
        raise ConfigError(
            f"{where}: {value!r} is not a whole number from 0 to {most}; give a stored value and "
            "its class id, such as --mask-map 255=1 128=void, or a stored value, such as --void 255"
        )
    return int(text)


@dataclass
class MaskTally:
    """What the masks of a set hold, over all that were read; each file counts once.

    Attributes:
        stored: number of pixels by stored value.
        classes: number of pixels by class id; 255 = void.
        doubtful: files of masks that fit their images both as stored and as shown.
    """

    stored: Counter[int] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    doubtful: set[Path | str] = field(default_factory=set)
    _files: set[Path | str] = field(default_factory=set)

    def add(self, path: Path | str, counts: Mapping[int, int], classes: Mapping[int, int]) -> None:
        """Count a mask.

        Args:
            path: its file, or the address of that.
            counts: number of pixels by stored value.
            classes: class id of each of these values.
        """
        if path not in self._files:
            self._files.add(path)
            for value, count in counts.items():
                self.stored[value] += count
                self.classes[classes[value]] += count

    @property
    def void_share(self) -> float:
        """Share of void pixels, 0..1; 0 if no mask was read."""
        return self.classes[VOID] / max(self.classes.total(), 1)

    def check(self, where: str, classes: Sequence[str], rule: MaskRule) -> None:
        """Refuse masks in which 255 is probably a class.

        Args:
            where: the folder, for the message.
            classes: L names.
            rule: under which the masks were read.

        Raises:
            DataError: 255 is void, nobody said so, and a single class is left; or 255 was read as
                class 1, which has pixels of its own.
        """
        if rule.void is None and VOID not in dict(rule.classes) and {1, VOID} <= self.stored.keys():
            raise DataError(
                f"{where}: masks hold 1 and 255, and with --void none both would be class 1; say "
                "which one is, for example --mask-map 255=void"
            )
        labels = [label for label in self.classes if label != VOID]
        if rule.stated or VOID not in self.stored or VOID in dict(rule.classes):
            return
        if len(labels) != 1 or (labels[0] and self.void_share < _MOSTLY):
            return  # without any label there is nothing to score, which is another error
        alone = " and ".join(str(value) for value in sorted(self.stored))
        raise DataError(
            f"{where}: the masks hold {alone} alone, and 255 ({self.void_share:.1%} of their "
            f"pixels) is void, so only class {labels[0]} ({classes[labels[0]]}) is left. "
            f"{_advice(classes, labels[0])}; if it is void, pass --void 255"
        )


def _advice(classes: Sequence[str], only: int) -> str:
    if len(classes) < 2:
        return (
            "If 255 is the class, pass --mask-map 0=void 255=0; if it is a second class, add its "
            "name to classes.txt and pass --mask-map 255=1"
        )
    other = 0 if only else 1
    both = " or --void none" if len(classes) == 2 and other else ""
    return f"If 255 is class {other} ({classes[other]}), pass --mask-map 255={other}{both}"


def read_mask(
    path: Path | str,
    *,
    image_size: tuple[int, int] | None,
    num_classes: int,
    code: LabelCode | None = None,
    rule: MaskRule = PLAIN,
    orientation: int = 1,
    tally: MaskTally | None = None,
    most: int = MOST_PIXELS,
) -> NDArray[np.uint8]:
    """Read class ids from a mask; of a palette image, the indices are the stored values.

    Args:
        path: path or address of a PNG (or TIFF, by its extension): palette, or greyscale of 1 to 16
            bits, also as RGB with equal channels; colours if `code` has them.
        image_size: (W, H) of the upright image; None = not checked.
        num_classes: L, the number of class names.
        code: meaning of the stored values; None = they are the class ids.
        rule: what the user says about the masks.
        orientation: EXIF orientation of the image, 1..8.
        tally: counts what the mask holds.
        most: largest number of pixels, as for images.

    Returns:
        (H, W) uint8, 0..L-1 or 255 (void).

    Raises:
        DataError: unreadable, colours instead of ids, another size than the image, an orientation
            that is not clear, unknown ids.
    """
    values, own = _stored(path, code, most)
    if image_size is not None:
        values = _upright(path, values, image_size, (orientation, own), rule, tally)
    counts = _counts(values)
    if code is None:
        classes = {value: rule.class_of(value, num_classes) for value in counts}
    else:
        table = _table(code.lookup)
        classes = {
            value: int(table[value]) if 0 <= value < len(table) else _UNKNOWN for value in counts
        }
    unknown = [value for value in counts if classes[value] == _UNKNOWN]
    if unknown:
        raise DataError(
            f"{path}: holds the ids {few(unknown)}, {_problem(unknown, num_classes, code)}"
        )
    if tally is not None:
        tally.add(path, counts, classes)
    lookup = np.zeros(max(counts, default=0) + 1, np.uint8)
    lookup[list(classes)] = list(classes.values())
    ids: NDArray[np.uint8] = lookup[values]
    return ids


def stored_ids(path: Path | str, code: LabelCode | None = None) -> NDArray[np.integer]:
    """Read the ids stored in a mask; colours become their indices in `code.colours`.

    Returns:
        (H, W) ids.

    Raises:
        DataError: unreadable, or a colour that `code` does not have.
    """
    return _stored(path, code, MOST_PIXELS)[0]


def _stored(path: Path | str, code: LabelCode | None, most: int) -> tuple[NDArray[np.integer], int]:
    """The stored ids, and the EXIF orientation of the mask itself."""
    kind = "TIFF" if str(path).lower().endswith((".tif", ".tiff")) else "PNG"
    try:
        with local_copy(path) as copy, open_within(copy, (kind,), most) as image:
            mode, tiles = image.mode, getattr(image, "tile", ())
            rawmode = str(tiles[0].args) if tiles else ""
            values = np.array(image)
            orientation = orientation_of(image)
    except DataError:
        raise
    except Exception as error:  # broken files make decoders raise nearly every kind of error
        reason = getattr(error, "strerror", None) or f"not a complete {kind} file"
        raise DataError(f"{path}: cannot be read as a mask ({reason}); replace it") from error
    if code is not None and code.colours and mode == "RGB":
        return _decode(path, values, code), orientation
    if mode in ("RGB", "RGBA", "LA"):
        values = _grey(path, values, mode)
    elif mode not in _MASK_MODES:
        _refuse_colours(path, mode)
    if rawmode in _FEW_BITS:
        values //= _FEW_BITS[rawmode]
    return values.astype(np.uint8) if mode == "1" else values, orientation


def _grey(path: Path | str, values: NDArray[np.uint8], mode: str) -> NDArray[np.uint8]:
    """The one channel of an opaque grey image."""
    colours = 1 if mode == "LA" else 3
    grey: NDArray[np.uint8] = values[..., 0]
    if any((values[..., n] != grey).any() for n in range(1, colours)):
        _refuse_colours(path, mode)
    if mode != "RGB" and (values[..., -1] != 255).any():
        _refuse_colours(path, f"{mode}, transparent in part")
    return grey


def _refuse_colours(path: Path | str, mode: str) -> None:
    raise DataError(
        f"{path}: holds colours ({mode}), but a mask must hold class ids; save it as a PNG with "
        "one channel of 8 bits or with a palette"
    )


def _upright(
    path: Path | str,
    values: NDArray[np.integer],
    size: tuple[int, int],
    orientations: tuple[int, int],
    rule: MaskRule,
    tally: MaskTally | None,
) -> NDArray[np.integer]:
    """The values as the image is shown, (W, H) = `size`; orientations of the image and the mask."""
    orientation, own = orientations
    stored = size[::-1] if orientation >= 5 else size
    found = values.shape[::-1]
    text, as_stored = ("{} x {}".format(*sides) for sides in (found, stored))
    if own != 1 and rule.orientation == "auto":
        raise DataError(
            f"{path}: has an EXIF orientation of its own ({own}); pass --mask-orientation shown if "
            "its pixels are those of the upright image, or stored if they are those of the file"
        )
    if rule.orientation == "stored" and orientation != 1:
        if found != stored:
            raise DataError(
                f"{path}: is {text} pixels, but its image is stored with {as_stored} (EXIF "
                f"orientation {orientation}); remove --mask-orientation stored if masks are drawn "
                "on upright images"
            )
        return turned(values, orientation)
    if found != size:
        wanted = "{} x {}".format(*size)
        problem = f"{path}: is {text} pixels, but its image {wanted}"
        if found == stored:
            raise DataError(
                f"{problem}: the file of the image is turned when it is shown (EXIF orientation "
                f"{orientation}), and the mask is not; pass --mask-orientation stored if masks are "
                "drawn on the images as they are stored"
            )
        raise DataError(f"{problem}; make the sizes equal")
    if tally is not None and rule.orientation == "auto" and orientation != 1 and found == stored:
        tally.doubtful.add(path)
    return values


def _counts(values: NDArray[np.integer]) -> dict[int, int]:
    """Number of pixels by value."""
    if values.dtype.itemsize > 2:
        found, times = np.unique(values, return_counts=True)
        return dict(zip(found.tolist(), times.tolist(), strict=True))
    total = np.zeros(0, np.int64)
    rows = max(1, _CHUNK // max(values.shape[1], 1))
    for start in range(0, len(values), rows):
        part = np.bincount(values[start : start + rows].ravel(), minlength=len(total))
        part[: len(total)] += total
        total = part
    return {value: int(total[value]) for value in total.nonzero()[0].tolist()}


def _problem(unknown: list[int], num_classes: int, code: LabelCode | None) -> str:
    if code is not None:
        return f"which {code.name} does not have; is it a mask of another data set?"
    last = num_classes
    meaning = (
        f"if ids are counted from 1, pass --mask-map 0=void 1=0 ... {last}={last - 1}"
        if unknown == [last]
        else f"say what they mean, for example --mask-map {unknown[0]}=1 or --void {unknown[0]}"
    )
    return (
        f"but classes.txt lists {num_classes} classes (ids from 0; {VOID} = void); correct the "
        f"mask or classes.txt, or {meaning}"
    )


def _table(lookup: tuple[int, ...]) -> NDArray[np.int16]:
    """Class ids by stored id, at least for 0..255."""
    table = np.full(max(len(lookup), VOID + 1), _UNKNOWN, np.int16)
    table[VOID] = VOID
    table[: len(lookup)] = lookup
    return table


def _decode(path: Path | str, pixels: NDArray[np.uint8], code: LabelCode) -> NDArray[np.int16]:
    packed = np.zeros(pixels.shape[:2], np.int32)
    for channel in range(3):
        packed = packed * 256 + pixels[..., channel]
    ids = np.full(packed.shape, _UNKNOWN, np.int16)
    for position, (red, green, blue) in enumerate(code.colours):
        ids[packed == red * 65536 + green * 256 + blue] = position
    unknown = np.unique(packed[ids == _UNKNOWN]).tolist()
    if unknown:
        colours = [f"({value >> 16}, {value >> 8 & 255}, {value & 255})" for value in unknown]
        raise DataError(
            f"{path}: holds the colours {few(colours, 3)}, which {code.name} does not have; is it "
            "a mask of another data set, or was it resized with smoothing?"
        )
    return ids
