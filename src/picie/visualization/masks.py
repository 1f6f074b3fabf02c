"""Masks as images: indexed PNG files, coloured masks, and overlays on photos."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.errors import ConfigError, DataError
from picie.runtime.files import write_atomically
from picie.types import IGNORED
from picie.visualization.palette import Colours

__all__ = ["check_pair", "colour_mask", "mask_image", "overlay", "write_mask", "write_png"]

_LINE = 0.7  # opacity of the white boundary lines: visible on dark photos, but not too bright
_NOTHING = (255, 255, 255)  # colour of ignored pixels, not in the palette


def write_mask(mask: NDArray[Any], path: Path, colours: Colours) -> None:
    """Write cluster ids as a PNG that viewers show in colour and that stores the ids exactly.

    The file is written atomically.

    Args:
        mask: (H, W) ids 0..K-1, or IGNORED.
        path: the PNG file; an existing one is replaced.
        colours: (K, 3) uint8 sRGB.

    Raises:
        DataError: as `mask_image`.
        PicieError: the file cannot be written.
    """
    write_png(mask_image(mask, colours), path)


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
    blend = (1 - opacity) * image + opacity * colour_mask(mask, colours)
    ignored = mask == IGNORED
    blend[ignored] = image[ignored]
    lines = _boundaries(mask)
    blend[lines] = (1 - _LINE) * blend[lines] + _LINE * 255
    return blend.round().astype(np.uint8)


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


def write_png(image: Image.Image, path: Path) -> None:
    """Write a PNG atomically.

    Raises:
        PicieError: the file cannot be written.
    """
    write_atomically(path, lambda part: image.save(part, format="PNG"), durable=False)
