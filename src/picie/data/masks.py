"""Read class ids from mask files.

A mask stores one number per pixel. In a user's own folder the number is the class id. A known data
set has its own ids, or colours, which its `LabelCode` maps to classes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.data.listing import few
from picie.errors import DataError
from picie.types import VOID

__all__ = ["Colour", "LabelCode", "read_mask", "stored_ids"]

Colour = tuple[int, int, int]
"""sRGB, 0..255."""

_MASK_MODES = ("P", "L", "I", "I;16", "I;16B")
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


def read_mask(
    path: Path,
    *,
    image_size: tuple[int, int],
    num_classes: int,
    code: LabelCode | None = None,
) -> NDArray[np.uint8]:
    """Read class ids from a mask; of a palette image, the indices are the stored ids.

    Args:
        path: a PNG (or TIFF, by its extension): palette, or 8-bit or 16-bit greyscale; RGB if
            `code` has colours.
        image_size: (W, H) of the upright image.
        num_classes: L, the number of class names.
        code: meaning of the stored ids; None = they are the class ids.

    Returns:
        (H, W) uint8, 0..L-1 or 255 (void).

    Raises:
        DataError: unreadable, colours instead of ids, another size than the image, unknown ids.
    """
    values = stored_ids(path, code)
    if values.shape[::-1] != image_size:
        found, wanted = (f"{w} x {h}" for w, h in (values.shape[::-1], image_size))
        raise DataError(f"{path}: is {found} pixels, but its image {wanted}; make the sizes equal")
    table = _table(tuple(range(num_classes)) if code is None else code.lookup)
    ids = np.unique(values).tolist()
    unknown = [value for value in ids if not 0 <= value < len(table) or table[value] == _UNKNOWN]
    if unknown:
        problem = (
            f"but classes.txt lists {num_classes} classes (ids from 0; {VOID} = void); correct the "
            "mask or classes.txt"
            if code is None
            else f"which {code.name} does not have; is it a mask of another data set?"
        )
        raise DataError(f"{path}: holds the ids {few(unknown)}, {problem}")
    classes: NDArray[np.uint8] = table.astype(np.uint8)[values]
    return classes


def stored_ids(path: Path, code: LabelCode | None = None) -> NDArray[np.integer]:
    """Read the ids stored in a mask; colours become their indices in `code.colours`.

    Returns:
        (H, W) ids.

    Raises:
        DataError: unreadable, or a colour that `code` does not have.
    """
    kind = "TIFF" if path.suffix.lower() in (".tif", ".tiff") else "PNG"
    try:
        with Image.open(path, formats=(kind,)) as image:
            mode, rawmode = image.mode, str(image.tile[0].args) if image.tile else ""
            values = np.array(image)
    except Exception as error:  # broken files make decoders raise nearly every kind of error
        reason = getattr(error, "strerror", None) or f"not a complete {kind} file"
        raise DataError(f"{path}: cannot be read as a mask ({reason}); replace it") from error
    if code is not None and code.colours and mode == "RGB":
        return _decode(path, values, code)
    # Decoders scale 1, 2 and 4 bits of grey to 0..255, so the stored ids are lost.
    if mode not in _MASK_MODES or rawmode in ("L;2", "L;4"):
        content = f"grey of {rawmode[-1]} bits" if mode in ("1", "L") else f"colours ({mode})"
        raise DataError(
            f"{path}: holds {content.replace('of 1 bits', 'of 1 bit')}, but a mask must hold class "
            "ids; save it as a PNG with one channel of 8 bits or with a palette"
        )
    return values


def _table(lookup: tuple[int, ...]) -> NDArray[np.int16]:
    """Class ids by stored id, at least for 0..255."""
    table = np.full(max(len(lookup), VOID + 1), _UNKNOWN, np.int16)
    table[VOID] = VOID
    table[: len(lookup)] = lookup
    return table


def _decode(path: Path, pixels: NDArray[np.uint8], code: LabelCode) -> NDArray[np.int16]:
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
