"""Masks as images: indexed PNG files, coloured masks, and overlays on photos."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from picie.errors import ConfigError, DataError
from picie.runtime.files import write_atomically
from picie.types import IGNORED
from picie.version import __version__
from picie.visualization.palette import Colours

__all__ = [
    "check_pair",
    "colour_mask",
    "is_signed_png",
    "mask_image",
    "mask_of",
    "overlay",
    "png_bytes",
    "write_png",
]

_LINE = 0.7  # opacity of the white boundary lines: visible on dark photos, but not too bright
_STRIP = 2**20  # pixels blended at once
_NOTHING = (255, 255, 255)  # colour of ignored pixels, not in the palette


def mask_image(mask: NDArray[Any], colours: Colours) -> Image.Image:
    """Cluster ids as an image that stores the ids exactly, in colour if possible.

    Up to 255 ids: 8-bit indexed, pixel value = id, palette = `colours`, 255 = IGNORED. More:
    16-bit greyscale, pixel value = id, 65535 = IGNORED.

    Args:
        mask: (H, W) ids 0..K-1, or IGNORED.
        colours: (K, 3) uint8 sRGB; K determines the kind of image.

    Raises:
        DataError: the mask is not an (H, W) integer array, or an id has no colour.
    """
    _check_mask(mask, colours)
    if len(colours) > 65535 and (mask == IGNORED).any():
        raise DataError(f"{len(colours)} ids leave no value for ignored pixels; use fewer")
    # IGNORED (-1) wraps to the largest value, which is never an id.
    if len(colours) > 255:
        return Image.fromarray(mask.astype(np.uint16))
    image = Image.fromarray(mask.astype(np.uint8))
    # With a short palette Pillow would pack several pixels into a byte.
    image.putpalette(colours.tobytes().ljust(3 * 255, b"\0") + bytes(_NOTHING))
    return image


def mask_of(data: bytes, ids: int) -> NDArray[np.int16] | NDArray[np.int32]:
    """The mask that became an image in `mask_image`.

    Args:
        data: PNG file.
        ids: K, the number of ids.

    Returns:
        (H, W) ids 0..K-1, or IGNORED.
    """
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        stored = np.array(image)
    mask: NDArray[np.int16] | NDArray[np.int32] = stored.astype(np.int16)
    if ids > np.iinfo(np.int16).max:
        mask = stored.astype(np.int32)
    mask[stored == (65535 if ids > 255 else 255)] = IGNORED
    return mask


def colour_mask(mask: NDArray[Any], colours: Colours) -> NDArray[np.uint8]:
    """Paint each cluster in its colour, and ignored pixels white.

    Args:
        mask: (H, W) ids 0..K-1, or IGNORED.
        colours: (K, 3) uint8 sRGB.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: the mask is not an (H, W) integer array, or an id has no colour.
    """
    _check_mask(mask, colours)
    painted: NDArray[np.uint8] = np.vstack([colours, np.array([_NOTHING], np.uint8)])[mask]
    return painted


def overlay(
    image: NDArray[np.uint8], mask: NDArray[Any], colours: Colours, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Blend the coloured mask over the photo, with light lines at the boundaries of clusters.

    Pixels that are IGNORED show the photo unchanged, except for boundary lines.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) ids 0..K-1, or IGNORED.
        colours: (K, 3) uint8 sRGB.
        opacity: weight of the mask's colour, 0 (photo only) to 1 (mask only).

    Returns:
        (H, W, 3) uint8.

    Raises:
        ConfigError: opacity out of range.
        DataError: photo and mask differ in size, or an id has no colour.
    """
    if not 0 <= opacity <= 1:
        raise ConfigError(f"opacity {opacity} is out of range; choose 0 to 1")
    check_pair(image, mask, colours)
    lines, blended = _boundaries(mask), np.empty_like(image)
    step = max(1, _STRIP // mask.shape[1])
    for top in range(0, len(mask), step):  # floats of a whole photo would take much memory
        rows = slice(top, top + step)
        blended[rows] = _blend(image[rows], mask[rows], lines[rows], colours, opacity)
    return blended


def _blend(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    lines: NDArray[np.bool_],
    colours: Colours,
    opacity: float,
) -> NDArray[np.uint8]:
    blend = (1 - opacity) * image + opacity * colour_mask(mask, colours)
    ignored = mask == IGNORED
    blend[ignored] = image[ignored]
    blend[lines] = (1 - _LINE) * blend[lines] + _LINE * 255
    rounded: NDArray[np.uint8] = blend.round().astype(np.uint8)
    return rounded


def _boundaries(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """(H, W) pixels whose right or lower neighbour is in another cluster: one-pixel lines."""
    lines = np.zeros(mask.shape, dtype=bool)
    lines[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    lines[:-1] |= mask[:-1] != mask[1:]
    return lines


def _check_mask(mask: NDArray[Any], colours: Colours) -> None:
    if mask.ndim != 2 or mask.size == 0 or mask.dtype.kind not in "iu":
        raise DataError(
            f"mask of shape {mask.shape} and type {mask.dtype} holds no cluster ids; "
            "give an integer array (H, W)"
        )
    low, high = int(mask.min()), int(mask.max())
    if low < IGNORED or high >= len(colours):
        raise DataError(
            f"mask holds cluster id {low if low < IGNORED else high}, but there are {len(colours)} "
            f"colours; ids run from 0 to {len(colours) - 1}"
        )


def check_pair(image: NDArray[np.uint8], mask: NDArray[Any], colours: Colours) -> None:
    """Raise unless photo (H, W, 3), mask (H, W) and colours match.

    Raises:
        DataError: photo and mask differ in size, the photo is not uint8 RGB, or an id has no
            colour.
    """
    if image.shape != (*mask.shape, 3) or image.dtype != np.uint8:
        raise DataError(
            f"photo of shape {image.shape} and type {image.dtype} does not match a mask of shape "
            f"{mask.shape}; give (H, W, 3) uint8 and (H, W) of the same size"
        )
    _check_mask(mask, colours)


def png_bytes(image: Image.Image, *, signed: bool = False) -> bytes:
    """The content of a PNG file.

    Args:
        image: any mode that PNG has.
        signed: name picie as the software that wrote it, by which `is_signed_png` recognises it.
    """
    notes = PngInfo()
    if signed:
        notes.add_text("Software", f"picie {__version__}")
    # In memory first: Pillow's own writing to a full disk may lose the reason.
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=notes)
    return file.getvalue()


def write_png(image: Image.Image, path: Path, *, signed: bool = False) -> None:
    """Write a PNG atomically; `signed` as in `png_bytes`.

    Raises:
        PicieError: the file cannot be written.
    """
    write_atomically(path, png_bytes(image, signed=signed), durable=False)


def is_signed_png(path: Path) -> bool:
    """Whether `write_png` wrote and signed a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x89PNG\r\n") and b"tEXtSoftware\0picie " in head
