"""Pieces of photos around single pixels, with the outline of what belongs to the same cluster."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.report.embedding import fit_photo

__all__ = ["PATCH_SIDE", "cut_patch"]

PATCH_SIDE = 112
"""Side of a piece in pixels."""

_PART = 1 / 3  # of the short side of the photo
_SHADE = 0.45  # share of black beside the line, so that it shows on white too
_RING = (3.5, 5.0)  # radii of the mark around the pixel


def cut_patch(
    image: NDArray[np.uint8],
    belongs: NDArray[np.bool_],
    centre: tuple[float, float],
    limit: int,
) -> bytes:
    """A square piece of a photo, a third of its short side wide, as a WebP file.

    A white line follows the border of the cluster, a white ring marks the pixel. Near the border of
    the photo the piece is moved inwards, and the pixel is not in its middle.

    Args:
        image: (H, W, 3) uint8 RGB.
        belongs: (h, w) where the cluster is, at any resolution.
        centre: place of the pixel as shares of height and width, 0..1.
        limit: most bytes of the file.
    """
    height, width = image.shape[:2]
    side = max(1.0, min(height, width) * _PART)
    top, left = (
        min(max(share * length - side / 2, 0.0), length - side)
        for share, length in zip(centre, (height, width), strict=True)
    )
    box = (left, top, left + side, top + side)
    picture = Image.fromarray(image).resize(
        (PATCH_SIDE, PATCH_SIDE), Image.Resampling.BILINEAR, box, reducing_gap=2.0
    )
    steps = (np.arange(PATCH_SIDE) + 0.5) / PATCH_SIDE * side
    rows = ((top + steps) / height * belongs.shape[0]).astype(np.int64)
    columns = ((left + steps) / width * belongs.shape[1]).astype(np.int64)
    own = belongs[np.ix_(rows.clip(0, len(belongs) - 1), columns.clip(0, belongs.shape[1] - 1))]
    pixel = tuple(
        (share * length - start) / side * PATCH_SIDE
        for share, length, start in zip(centre, (height, width), (top, left), strict=True)
    )
    return fit_photo(_marked(np.array(picture), own, pixel), limit)


def _marked(
    piece: NDArray[np.uint8], own: NDArray[np.bool_], pixel: tuple[float, ...]
) -> NDArray[np.uint8]:
    down, across = np.ogrid[:PATCH_SIDE, :PATCH_SIDE]
    away = np.hypot(down + 0.5 - pixel[0], across + 0.5 - pixel[1])
    ring = (away >= _RING[0]) & (away < _RING[1])
    around = ((away >= _RING[0] - 1) & (away < _RING[1] + 1)) & ~ring
    shaded = piece.astype(float)
    shaded[(_grown(own) & ~own) | around] *= 1 - _SHADE
    white = (own & _grown(~own)) | ring
    shaded[white] = 255
    return shaded.round().astype(np.uint8)


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The area and the pixels beside it."""
    grown = area.copy()
    grown[1:] |= area[:-1]
    grown[:-1] |= area[1:]
    grown[:, 1:] |= area[:, :-1]
    grown[:, :-1] |= area[:, 1:]
    return grown
