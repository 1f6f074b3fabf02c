"""A pixel of a photo to judge: the photo around it, and the same with the class of the mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["SIDE", "marked_crop"]

SIDE = 480
"""Side of each of the two panels, in pixels."""

_PART = 0.5  # side of the crop relative to the short side of the photo
_LEAST = 64  # pixels of the photo
_GAP = 12  # between the panels
_RADIUS = 11  # of the ring around the pixel
_DIMMED = 0.35  # brightness of what is not of the class


def marked_crop(
    image: NDArray[np.uint8], belongs: NDArray[Any], point: tuple[float, float]
) -> Image.Image:
    """Two panels side by side, both with a ring around the pixel.

    The first is the photo, the second the same part with everything dark that the mask gives to
    other classes. Near the border of the photo the part is moved inwards, so the pixel is not in
    its centre.

    Args:
        image: (H, W, 3) uint8 RGB.
        belongs: (H, W) bool, the pixels of the predicted class.
        point: (x, y) in pixels, (0.5, 0.5) is the centre of the first one.

    Returns:
        RGB, two panels of at most `SIDE` x `SIDE` pixels.
    """
    height, width = image.shape[:2]
    side = max(_LEAST, round(min(height, width) * _PART))
    box = [
        (start := int(min(max(at - side / 2, 0), max(length - side, 0))), min(start + side, length))
        for at, length in zip(point, (width, height), strict=True)
    ]
    (left, right), (top, bottom) = box
    scale = SIDE / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    part = np.ascontiguousarray(image[top:bottom, left:right])
    inside = np.ascontiguousarray(belongs[top:bottom, left:right])
    photo = Image.fromarray(part).resize(size, Image.Resampling.BICUBIC)
    shade = Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))
    dark = photo.point([round(_DIMMED * value) for value in range(256)] * 3)
    shown = Image.composite(photo, dark, shade.resize(size, Image.Resampling.NEAREST))
    sheet = Image.new("RGB", (2 * size[0] + _GAP, size[1]), "white")
    place = (point[0] - left) * scale, (point[1] - top) * scale
    for number, panel in enumerate((photo, shown)):
        _ring(panel, place)
        sheet.paste(panel, (number * (size[0] + _GAP), 0))
    return sheet


def _ring(panel: Image.Image, place: tuple[float, float]) -> None:
    """A white ring between black ones, visible on any photo; the pixel itself stays free."""
    draw = ImageDraw.Draw(panel)
    for radius, colour, width in ((_RADIUS + 2, "black", 6), (_RADIUS, "white", 2)):
        corners = [at + sign * radius for sign in (-1, 1) for at in place]
        draw.ellipse(corners, outline=colour, width=width)
