"""An overlay that explains itself: numbers or names in its regions, and a legend below."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from picie.runtime.printable import printable
from picie.types import IGNORED
from picie.visualization.legend import draw_legend, legend_entries, legend_width
from picie.visualization.lettering import font_for
from picie.visualization.masks import overlay
from picie.visualization.palette import PAPER, Colours

__all__ = ["labelled_overlay", "write_labels"]

_GRID = 480  # longest side at which regions are looked for
_LARGE = 0.01  # share of the photo from which a region gets a label
_INSIDE = 0.85  # share of a label that lies in its own region
_LETTERS = 40  # longer names are shown by number
_SMALLEST, _LARGEST = 11, 160  # height of the text in pixels
_PER_SIDE = 40  # heights of the text along the side of a square photo
_LEGEND = 16, 36  # its width below a narrow photo, least and most, in heights of the text


@dataclass(frozen=True)
class _Region:
    """A large region.

    Attributes:
        id: of its pixels.
        row: of the point that is farthest from its edge, in cells.
        column: of that point.
    """

    id: int
    row: int
    column: int


def labelled_overlay(
    image: NDArray[np.uint8], mask: NDArray[Any], colours: Colours, names: Sequence[str]
) -> Image.Image:
    """Photo and mask blended, with a label in each large region and a legend below.

    The upper part is the photo, pixel by pixel. Text grows with the photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) ids 0..N-1, or IGNORED.
        colours: (N, 3) uint8 sRGB.
        names: N names by id; "" for an id that only has its number.

    Raises:
        DataError: photo and mask differ in size, or an id has no colour.
    """
    blended = Image.fromarray(overlay(image, mask, colours))
    height, width = mask.shape
    size = _text_size(width, height)
    write_labels(blended, mask, names, size)
    entries = legend_entries(_counts(mask, len(colours)), colours, names, mask.size)
    gap = size // 2
    wanted = min(max(legend_width(entries, size), _LEGEND[0] * size), _LEGEND[1] * size)
    room = max(width - 2 * gap, wanted)
    legend = draw_legend(entries, room, size)
    whole = Image.new("RGB", (max(width, room + 2 * gap), height + legend.height + 2 * gap), PAPER)
    whole.paste(blended, (0, 0))
    whole.paste(legend, (gap, height + gap))
    return whole


def write_labels(image: Image.Image, mask: NDArray[Any], names: Sequence[str], size: int) -> None:
    """Write the name of each large region into its middle, or its number where it has no room.

    The middle is the point farthest from the edge of the region (its pole of inaccessibility).

    Args:
        image: of the size of the mask; is changed.
        mask: (H, W) ids 0..N-1, or IGNORED.
        names: N names by id; "" for an id that only has its number.
        size: height of the text in pixels.
    """
    step = max(1, math.ceil(max(mask.shape) / _GRID))
    top, left = (min(step // 2, side - 1) for side in mask.shape)
    cells = np.ascontiguousarray(mask[top::step, left::step])
    draw = ImageDraw.Draw(image)
    for region in _regions(cells):
        centre = ((region.column + 0.5) * step, (region.row + 0.5) * step)
        for text in (printable(names[region.id][: _LETTERS + 1]), str(region.id)):
            font = font_for(text, size) if text and len(text) <= _LETTERS else None
            if font is None:
                continue
            box = draw.textbbox(centre, text, font, anchor="mm")
            if not _fits(cells, region.id, [side / step for side in box]):
                continue
            edge = max(1, size // 8)  # dark around light: readable on any background
            draw.text(
                centre, text, (255, 255, 255), font, "mm", stroke_width=edge, stroke_fill=(0, 0, 0)
            )
            break


def _text_size(width: int, height: int) -> int:
    return min(max(_SMALLEST, round(math.sqrt(width * height) / _PER_SIDE)), _LARGEST)


def _counts(mask: NDArray[Any], ids: int) -> NDArray[np.int64]:
    """(N,) pixels of each id."""
    counts = np.zeros(ids, np.int64)
    for row in mask:  # bincount makes a copy of 64 bits
        counts += np.bincount(row[row != IGNORED], minlength=ids)
    return counts


def _regions(cells: NDArray[Any]) -> Iterator[_Region]:
    """The large regions of a small mask."""
    from scipy import ndimage  # late: it takes a while to load

    inner = np.zeros(cells.shape, np.bool_)
    inside = cells[1:-1, 1:-1]
    inner[1:-1, 1:-1] = (
        (inside == cells[:-2, 1:-1])
        & (inside == cells[2:, 1:-1])
        & (inside == cells[1:-1, :-2])
        & (inside == cells[1:-1, 2:])
    )
    room = ndimage.distance_transform_edt(inner)
    least = max(1, _LARGE * cells.size)
    ids, counts = np.unique(cells, return_counts=True)
    for number in ids[counts >= least].tolist():
        if number == IGNORED:
            continue
        parts, _ = ndimage.label(cells == number)
        for part in (np.bincount(parts.reshape(-1))[1:] >= least).nonzero()[0].tolist():
            deepest = int(np.where(parts == part + 1, room, -1).argmax())
            yield _Region(number, *divmod(deepest, cells.shape[1]))


def _fits(cells: NDArray[Any], number: int, box: Sequence[float]) -> bool:
    """Whether a box lies inside the mask, and most of it in pixels of one id."""
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > cells.shape[1] or bottom > cells.shape[0]:
        return False
    covered = cells[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)]
    return bool(covered.size) and float((covered == number).mean()) >= _INSIDE
