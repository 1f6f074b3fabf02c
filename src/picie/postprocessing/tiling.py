"""Process large images in overlapping tiles, and blend their logits.

Features near the border of a tile lack context. Adjacent tiles therefore overlap by a quarter of
the tile size, 256 pixels of 1024. In the outer quarter of the overlap, at the border of a tile, its
weight is 0; across the middle half, the weight changes linearly from one tile to the other. Where
both weigh the same, each tile covers at least 128 pixels on every side, the range from which a
feature of the default backbone gets three quarters of its influence.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError

__all__ = ["Strip", "Tile", "blended", "check_tile", "cut", "strips"]

_CELL = 32  # coarsest stride of the network, in pixels
_LEAST = 4 * _CELL
_STRIDES = (1, 2, 4, 8, 16, 32)


def check_tile(tile: int) -> None:
    """Raise if the side of a tile is invalid.

    Raises:
        ConfigError: neither 0 nor a multiple of 32 of at least 128.
    """
    if tile and (tile < _LEAST or tile % _CELL):
        raise ConfigError(f"tile {tile}: give a multiple of 32 from {_LEAST}, or 0 for no tiles")


def cut(length: int, tile: int) -> tuple[list[int], int]:
    """Place the smallest number of tiles along one axis, and make them as small as possible.

    Args:
        length: pixels of the axis, a multiple of 32.
        tile: maximum side of a tile in pixels, a multiple of 32, 128 or more.

    Returns:
        Starts of the tiles, multiples of 32, and their common side. Adjacent tiles overlap by at
        least a quarter of `tile`; no pixel is in three tiles.
    """
    if length <= tile:
        return [0], length
    overlap = tile // _LEAST * _CELL
    count = -(-(length - overlap) // (tile - overlap))
    side = -(-(length + (count - 1) * overlap) // (count * _CELL)) * _CELL
    cells = (length - side) // _CELL
    return [i * cells // (count - 1) * _CELL for i in range(count)], side


def blended(logits: Callable[[Tensor], Tensor], image: Tensor, tile: int) -> Tensor:
    """Logits of an image of any size, computed tile by tile and blended.

    Args:
        logits: maps (1, 3, t, u) to (1, K, t / s, u / s) float32, sizes rounded up. If s does not
            divide 32, as for patches of 14 pixels, the tiles have no common grid; their logits are
            then upsampled to the next finer grid whose stride divides 32.
        image: (3, H, W), both sides multiples of 32.
        tile: maximum side of a tile in pixels, as in `cut`.

    Returns:
        (K, H / s, W / s), or finer as described above, on the device of the logits. Equal to the
        logits of the whole image if these depend only on pixels nearer than 1/4 of the overlap.
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
    """Final logits of a part of an image, with a margin of one cell on each side inside the image.

    Attributes:
        logits: (K, r, c), including the margin.
        top: row of the first cell, in the whole image.
        left: column of the first cell, in the whole image.
        rows: first row of the part without margin, and the row after its last.
        columns: first column of the part without margin, and the column after its last.
        stride: pixels per cell.
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
    """The result of `blended` in parts, for images that do not fit into memory.

    Args:
        logits: maps a tile of the image to its (K, t / s, u / s) float32, where s divides 32.
        size: (H, W) of the image, multiples of 32.
        tile: maximum side of a tile in pixels, as in `cut`.
        across: maximum number of tiles side by side that are held at once. If there are tiles to
            the left, one of them is computed again, so a smaller number takes more time.

    Yields:
        Strips that cover the image once, from top to bottom, then from left to right.
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
            # The next tile has weight 0 in the first cells of the overlap, so these are final.
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
    """(K, rows, columns): the held logits, followed by rows of zeros."""
    if not held.numel():
        return part.new_zeros(len(part), rows, columns)
    if held.shape[1] == rows:
        return held
    return torch.cat([held, held.new_zeros(len(held), rows - held.shape[1], columns)], dim=1)


def _add(held: Tensor, part: Tensor, left: int) -> None:
    """Add `part`, which starts at column `left`, clipped to the columns of `held`."""
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
    """The map of a tile at a stride that divides 32, and this stride."""
    stride = max(s for s in _STRIDES if s * part.shape[1] <= height and s * part.shape[2] <= width)
    size = (height // stride, width // stride)
    if part.shape[1:] == size:
        return part, stride
    finer = F.interpolate(part[None], size=size, mode="bilinear", align_corners=False)
    return finer[0], stride


def _weights(starts: list[int], side: int, index: int, cells: int) -> Tensor:
    """(cells,) weights of one tile along one axis; over all tiles they sum to 1 everywhere."""
    centres = starts[index] + side / cells * (torch.arange(cells) + 0.5)
    weights = torch.ones(cells)
    if index:
        weights = weights * _passed(starts, side, index, centres)
    if index + 1 < len(starts):
        weights = weights * (1 - _passed(starts, side, index + 1, centres))
    return weights


def _passed(starts: list[int], side: int, index: int, centres: Tensor) -> Tensor:
    """Blending weight of tile `index` against the tile before it, from 0 to 1."""
    shared = starts[index - 1] + side - starts[index]
    return ((centres - starts[index] - shared / 4) / (shared / 2)).clamp(0, 1)
