"""Open image files within a limit of pixels, and turn what is stored upright."""

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import ExifTags, Image

from picie.errors import DataError
from picie.runtime.files import open_regular

__all__ = [
    "FLIPPED",
    "check_pixels",
    "in_turn",
    "open_within",
    "orientation_of",
    "tagged_late",
    "turned",
]

FLIPPED = (3, 4, 7, 8), (2, 3, 6, 7)
"""EXIF orientations that reverse rows, and those that reverse columns."""

_LARGE = 2**26  # pixels of an image that is decoded alone: 67 megapixels
_pillow_limit = threading.Lock()
_large = threading.RLock()


@contextlib.contextmanager
def open_within(path: Path, formats: tuple[str, ...], most: int) -> Iterator[Image.Image]:
    """Open a regular file, with a limit of its pixels instead of Pillow's warning and error.

    Args:
        path: the file.
        formats: names of Pillow's decoders that may read it.
        most: largest number of pixels.

    Raises:
        DataError: more pixels. Other errors are Pillow's, or those of `open_regular`.
    """
    with open_regular(path) as file:
        with _pillow_limit:
            limit = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
            try:
                image = Image.open(file, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        with image:
            check_pixels(path, image.size, most)
            with in_turn(image.size):
                yield image


def in_turn(size: Sequence[int]) -> contextlib.AbstractContextManager[Any]:
    """Within the block, no other thread decodes a large image, because each takes gigabytes.

    Args:
        size: (W, H).
    """
    return _large if math.prod(size) > _LARGE else contextlib.nullcontext()


def check_pixels(path: Path, size: Sequence[int], most: int) -> None:
    """Refuse an image that is too large to be decoded.

    Args:
        path: the file, for the message.
        size: (W, H).
        most: largest number of pixels.

    Raises:
        DataError: it has more.
    """
    if math.prod(size) > most:
        width, height = size
        raise DataError(
            f"{path}: has {width} x {height} pixels, more than {most:,}; raise --max-pixels if "
            "there is memory for it, or crop or downscale it (picie export --format geotiff reads "
            "rasters of any size)"
        )


def orientation_of(image: Image.Image, *, head_only: bool = False) -> int:
    """EXIF orientation 1..8 of an opened image; 1 (upright) if there is none.

    Args:
        image: loaded, if its metadata may follow the pixels.
        head_only: of a PNG that is not loaded, use the metadata before the pixels.
    """
    try:
        exif = Image.Image.getexif(image) if head_only else image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # the pixels may be fine although the EXIF block is broken
        return 1
    return orientation if orientation in range(1, 9) else 1


def tagged_late(path: Path) -> bool:
    """Whether a PNG holds metadata after its pixels, which Pillow finds only when it loads them."""
    pixels = False
    with open_regular(path) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            pixels = pixels or head[4:] == b"IDAT"
            if pixels and head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4]) + 4, 1)
    return False


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The values of a stored image, upright.

    Args:
        pixels: (H, W, ...) as stored.
        orientation: its EXIF orientation, 1..8.

    Returns:
        (H, W, ...), or (W, H, ...) for an orientation of 5 or more.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down, across = (-1 if orientation in flipped else 1 for flipped in FLIPPED)
    return pixels[::down, ::across]
