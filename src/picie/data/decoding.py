"""Decode images that Pillow would not read well: PNG of 16 bits, and some kinds of TIFF."""

import math
from pathlib import Path

import imagecodecs
import numpy as np

from picie.data.opening import (
    check_pixels,
    in_turn,
    open_within,
    orientation_of,
    tagged_late,
    turned,
)
from picie.data.reading import Reading
from picie.data.stored import Stored
from picie.data.tiff import is_tiff, read_tiff
from picie.runtime.files import open_regular

__all__ = ["is_deep_png", "is_png", "stored_image"]

_PNG = b"\x89PNG\r\n\x1a\n"


def stored_image(path: Path, reading: Reading, page: int = 0) -> Stored | None:
    """Decode a file that Pillow would not read well.

    Args:
        path: an image.
        reading: its bands and limit.
        page: of a TIFF, from 0.

    Returns:
        None if Pillow reads it.

    Raises:
        DataError: too many pixels, or what is in it cannot be shown. Broken files raise many kinds
            of errors.
    """
    with open_regular(path) as file:
        head = file.read(32)
        if is_deep_png(head):
            size = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
            check_pixels(path, size, reading.max_pixels)
            file.seek(0)
            with in_turn(size):
                return _read_png(path, file.read())
        if is_tiff(head):
            file.seek(0)
            return read_tiff(path, file, reading, page)
    return None


def is_png(head: bytes) -> bool:
    """Whether a file that begins so is a PNG."""
    return head.startswith(_PNG)


def is_deep_png(head: bytes) -> bool:
    """Whether a file that begins so, with 25 bytes or more, is a PNG of 16 bits."""
    return is_png(head) and head[12:16] == b"IHDR" and head[24:25] == b"\x10"


def _read_png(path: Path, content: bytes) -> Stored:
    """A PNG of 16 bits; Pillow keeps only the high byte of its colours."""
    values = imagecodecs.png_decode(content)
    values = values[..., None] if values.ndim == 2 else values
    with open_within(path, ("PNG",), math.prod(values.shape[:2])) as image:
        orientation = orientation_of(image, head_only=not tagged_late(path))
    upright = np.ascontiguousarray(turned(values, orientation))
    return Stored(upright, "true" if values.shape[2] in (2, 4) else "")
