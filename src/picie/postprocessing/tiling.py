"""Images too large for the network at once: overlapping tiles, their logits blended.

A tile knows nothing of what lies beyond its border, so its features are wrong near it. Two
neighbours therefore overlap by a quarter of the largest tile, 256 pixels of 1024. Of that the outer
quarter counts for nothing, and across the middle half the weight passes linearly from one tile to
the other. What carries equal weight from both sees at least 128 pixels to every side; that is where
three quarters of the influence on a feature of the default backbone come from.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError

__all__ = ["Strip", "Tile", "blended", "check_tile", "cut", "strips"]

_CELL = 32  # pixels of the coarsest grid that the network works on
_LEAST = 4 * _CELL
_STRIDES = (1, 2, 4, 8, 16, 32)


def check_tile(tile: int) -> None:
    """Refuse a side that no tile can have.

    Raises:
        ConfigError: neither 0 nor a multiple of 32 from 128.
    """
    if tile and (tile < _LEAST or tile % _CELL):
        raise ConfigError(f"tile {tile}: give a multiple of 32, {_LEAST} or more, or 0 for never")


def cut(length: int, tile: int) -> tuple[list[int], int]:
    """Where tiles start along one axis, and their side: as few and as small as they can be.

    Args:
        length: pixels of the axis, a multiple of 32.
        tile: most pixels of a tile, a multiple of 32, 128 or more.

    Returns:
        starts, multiples of 32, and the side of all tiles; neighbours share a quarter of `tile` or
        more, and no three tiles share a pixel.
    """
    if length <= tile:
        return [0], length
    overlap = tile // _LEAST * _CELL
    count = -(-(length - overlap) // (tile - overlap))
    side = -(-(length + (count - 1) * overlap) // (count * _CELL)) * _CELL
    cells = (length - side) // _CELL
    return [i * cells // (count - 1) * _CELL for i in range(count)], side


def blended(logits: Callable[[Tensor], Tensor], image: Tensor, tile: int) -> Tensor:
    """Logits of an image of any size, tile by tile.

    Args:
        logits: from (1, 3, t, u) to (1, K, t / s, u / s) float32, sizes rounded up. Where s does
            not divide 32, as for patches of 14 pixels, tiles share no grid of cells, and each is
            brought to the next finer one that they do share.
        image: (3, H, W), both sides multiples of 32.
        tile: most pixels of a tile, as in `cut`.

    Returns:
        (K, H / s, W / s), s perhaps finer, on the device of the logits. Equal to the logits of the
        whole image as far as these depend on pixels nearer than a quarter of the overlap.
    """
    (tops, height), (lefts, width) = (cut(side, tile) for side in image.shape[1:])
    total = torch.empty(0)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            part = logits(image[None, :, top : top + height, left : left + width])[0]
            part, stride = _on_shared_grid(part, height, width)
            down, across = part.shape[1:]
            if not total.numel():
                total = part.new_zeros(len(part), *(side // stride for side in image.shape[1:]))
            share = _share((tops, height, row), (lefts, width, column), part)
            place = total[:, top // stride :, left // stride :][:, :down, :across]
            place += part * share
    return total


Tile = tuple[int, int, int, int]
"""Top, left, height and width of a tile, in pixels."""


@dataclass(frozen=True, eq=False)
class Strip:
    """Finished logits of a part of an image, with one cell more to each side where there is one.

    Attributes:
        logits: (K, r, c).
        top: row of its first cell.
        left: column of its first cell.
        rows: first row that counts, and the one behind the last.
        columns: first column that counts, and the one behind the last.
        stride: pixels of a cell.
    """

    logits: Tensor
    top: int
    left: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    stride: int


def strips(
    logits: Callable[[Tile], Tensor], size: tuple[int, int], tile: int, across: int
) -> Iterator[Strip]:
    """What `blended` makes of an image, in parts, for images that no memory holds.

    Args:
        logits: from a tile of the image to its (K, t / s, u / s) float32, where s divides 32.
        size: (H, W) of the image, multiples of 32.
        tile: most pixels of a tile, as in `cut`.
        across: most tiles side by side that are held at once; one more than these is computed where
            there are others to the left, so that fewer tiles cost more time.

    Yields:
        strips that cover the image once, from top to bottom and then from left to right.
    """
    (tops, height), (lefts, width) = (cut(side, tile) for side in size)
    for first in range(0, len(lefts), across):
        last = min(first + across, len(lefts))
        edges = (lefts[first], lefts[last] if last < len(lefts) else size[1])
        held, above = torch.empty(0), 0
        for row, top in enumerate(tops):
            bottom = tops[row + 1] if row + 1 < len(tops) else size[0]
            for column in range(max(first - 1, 0), last):
                part, stride = _on_shared_grid(
                    logits((top, lefts[column], height, width)), height, width
                )
                begin, end = max(edges[0] // stride - 1, 0), edges[1] // stride + 1
                end = min(end, size[1] // stride)
                held = _lengthened(held, part, (top + height) // stride - above, end - begin)
                share = _share((tops, height, row), (lefts, width, column), part)
                _add(
                    held[:, top // stride - above :], part * share, lefts[column] // stride - begin
                )
            # No tile counts in the first cells of its overlap: what lies there is finished.
            done = min(bottom // stride + 1, size[0] // stride)
            yield Strip(
                held[:, : done - above],
                above,
                begin,
                (top // stride, bottom // stride),
                (edges[0] // stride, edges[1] // stride),
                stride,
            )
            held, above = held[:, bottom // stride - 1 - above :].clone(), bottom // stride - 1


def _lengthened(held: Tensor, part: Tensor, rows: int, columns: int) -> Tensor:
    """(K, rows, columns) with what is held at the top, and zeros below."""
    if not held.numel():
        return part.new_zeros(len(part), rows, columns)
    if held.shape[1] == rows:
        return held
    return torch.cat([held, held.new_zeros(len(held), rows - held.shape[1], columns)], dim=1)


def _add(held: Tensor, part: Tensor, left: int) -> None:
    """Add the columns of `part` that are inside; its first is column `left`."""
    down, across = part.shape[1:]
    start, stop = max(left, 0), min(left + across, held.shape[2])
    held[:, :down, start:stop] += part[:, :, start - left : stop - left]


def _share(
    rows: tuple[list[int], int, int], columns: tuple[list[int], int, int], part: Tensor
) -> Tensor:
    """(h, w) weights of the logits of one tile, each axis as (starts, side, number)."""
    down, across = (
        _weights(*axis, cells) for axis, cells in zip((rows, columns), part.shape[1:], strict=True)
    )
    return torch.outer(down, across).to(part.device)


def _on_shared_grid(part: Tensor, height: int, width: int) -> tuple[Tensor, int]:
    """The map of a tile in cells of a whole number of pixels, and that number, which divides 32."""
    stride = max(s for s in _STRIDES if s * part.shape[1] <= height and s * part.shape[2] <= width)
    size = (height // stride, width // stride)
    if part.shape[1:] == size:
        return part, stride
    finer = F.interpolate(part[None], size=size, mode="bilinear", align_corners=False)
    return finer[0], stride


def _weights(starts: list[int], side: int, index: int, cells: int) -> Tensor:
    """(cells,) weights of one tile along one axis; those of all tiles sum to 1 everywhere."""
    centres = starts[index] + side / cells * (torch.arange(cells) + 0.5)
    weights = torch.ones(cells)
    if index:
        weights = weights * _passed(starts, side, index, centres)
    if index + 1 < len(starts):
        weights = weights * (1 - _passed(starts, side, index + 1, centres))
    return weights


def _passed(starts: list[int], side: int, index: int, centres: Tensor) -> Tensor:
    """From 0 to 1 where tile `index` takes over from the one before it."""
    shared = starts[index - 1] + side - starts[index]
    return ((centres - starts[index] - shared / 4) / (shared / 2)).clamp(0, 1)
