"""Outlines of connected regions, along the edges of their pixels, so that areas are exact.

Pixel (row i, column j) covers the square from (j, i) to (j + 1, i + 1). A region is what pixels of
one id form that touch along an edge, not at a corner only. Its outer ring runs clockwise as seen on
screen (y downwards), the rings of its holes the other way round.

Formats whose polygons have no holes get one ring: it goes to each hole along a straight cut, around
it, and back along the same cut. The cut has no width, so the ring covers exactly the pixels of the
region; programs that draw the outline itself show the cut as a line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from picie.errors import MissingExtraError
from picie.postprocessing.upsampling import Mask

__all__ = ["Region", "Ring", "area", "boxes_of", "one_ring", "regions", "simplified"]

Ring = NDArray[np.int64]
"""(n, 2) corners (x, y) in pixels, the first not repeated."""


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one id.

    Attributes:
        id: their value in the mask.
        rings: the outer ring, then those of the holes.
    """

    id: int
    rings: tuple[Ring, ...]

    @property
    def pixels(self) -> int:
        """How many there are."""
        return sum(area(ring) for ring in self.rings) // 2


def area(ring: Ring) -> int:
    """Twice the area inside a ring, in pixels; negative for the ring of a hole."""
    x, y = ring[:, 0], ring[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def regions(mask: Mask) -> Iterator[Region]:
    """The connected regions of a mask, by id and then by their first pixel from the top.

    Args:
        mask: (H, W) ids; those below 0 belong to no region.
    """
    labels, owners = _labelled(mask)
    rings: list[list[Ring]] = [[] for _ in owners]
    for label, ring in _rings(labels):
        rings[label - 1].append(ring)
    for owner, found in zip(owners, rings, strict=True):
        found.sort(key=area, reverse=True)  # the outer ring is the only positive one
        yield Region(owner, tuple(found))


def boxes_of(mask: Mask) -> list[tuple[slice, slice] | None]:
    """Rows and columns around the pixels of each id from 0 on; None where there are none."""
    found: Any = ndimage.find_objects((mask + 1).clip(0).astype(np.int32))
    boxes: list[tuple[slice, slice] | None] = found
    return boxes


def one_ring(rings: tuple[Ring, ...]) -> Ring:
    """An outer ring and those of its holes joined by cuts of no width, with the same area."""
    joined = rings[0]
    for hole in sorted(rings[1:], key=lambda ring: int(ring[:, 1].min())):
        start = int(hole[:, 1].argmin())
        near = int(np.abs(joined - hole[start]).sum(1).argmin())
        around = np.roll(hole, -start, axis=0)
        joined = np.concatenate(
            [joined[: near + 1], around, around[:1], joined[near : near + 1], joined[near + 1 :]]
        )
    return joined


def simplified(rings: tuple[Ring, ...], tolerance: float) -> tuple[Ring, ...]:
    """Rings with fewer corners, none of their points farther off than `tolerance` pixels.

    By Douglas and Peucker, each ring alone: neighbours may then overlap or leave gaps of that size.
    A ring that would shrink to a line stays as it is.

    Raises:
        MissingExtraError: OpenCV is missing.
    """
    if not tolerance:
        return rings
    try:
        import cv2
    except ImportError:
        raise MissingExtraError(
            'picie export --tolerance needs OpenCV: pip install "picie[export]"'
        ) from None

    def simpler(ring: Ring) -> Ring:
        found: Any = cv2.approxPolyDP(ring.astype(np.int32), tolerance, True)
        fewer: Ring = found[:, 0].astype(np.int64)
        return fewer if len(fewer) >= 3 and area(fewer) * area(ring) > 0 else ring

    return tuple(simpler(ring) for ring in rings)


def _labelled(mask: Mask) -> tuple[NDArray[np.int32], list[int]]:
    """(H, W) regions counted from 1, 0 = none; and the id of each."""
    labels = np.zeros(mask.shape, np.int32)
    owners: list[int] = []
    for number, box in enumerate(boxes_of(mask)):
        if box is None:
            continue
        part, count = ndimage.label(mask[box] == number)
        labels[box] += np.where(part > 0, part + len(owners), 0).astype(np.int32)
        owners += [number] * count
    return labels, owners


def _rings(labels: NDArray[np.int32]) -> Iterator[tuple[int, Ring]]:
    """Each ring with its region.

    The edges of pixels at borders are numbered, and each knows the next: the edges of a region have
    it on their right-hand side, and where two ways lead on, the one that turns right stays with the
    same pixel.
    """
    keys, owners, width = _edges(labels)
    if not len(keys):
        return
    steps = np.array([1, width, -1, -width])  # right, down, left, up
    total = (labels.shape[0] + 1) * width
    direction, vertex = np.divmod(keys, total)
    arrived = vertex + steps[direction]
    following = np.full(len(keys), -1)
    for turn in (3, 0, 1):  # left, straight on, right: the last that there is counts
        wanted = (direction + turn) % 4 * total + arrived
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        there = (keys[place] == wanted) & (owners[place] == owners)
        following[there] = place[there]
    straight = direction[following] == direction
    corner = np.zeros(len(keys), bool)
    corner[following[~straight]] = True
    yield from _walked(following.tolist(), corner.tolist(), vertex, owners, width)


def _edges(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Sorted keys (direction, start vertex) of edges at borders, their regions, vertices a row."""
    padded = np.pad(labels, 1)
    width = labels.shape[1] + 1
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    before, after = padded[1:-1, :-1], padded[1:-1, 1:]
    total = (labels.shape[0] + 1) * width
    found = []
    # The start of an edge, as an offset from the corner at its left or upper end.
    for number, (inside, outside, offset) in enumerate(
        [(below, above, 0), (before, after, 0), (above, below, 1), (after, before, width)]
    ):
        rows, columns = ((inside != outside) & (inside > 0)).nonzero()
        owners = inside[rows, columns]
        found.append((number * total + rows * width + columns + offset, owners))
    keys = np.concatenate([part for part, _ in found])
    owners = np.concatenate([part for _, part in found])
    order = np.argsort(keys)
    return keys[order], owners[order], width


def _walked(
    following: list[int],
    corner: list[bool],
    vertex: NDArray[np.int64],
    owners: NDArray[np.int32],
    width: int,
) -> Iterator[tuple[int, Ring]]:
    """Follow the edges of each ring, and keep the corners."""
    seen = bytearray(len(following))
    for start in range(len(following)):
        if seen[start] or not corner[start]:
            continue
        corners, edge = [], start
        while not seen[edge]:
            seen[edge] = 1
            if corner[edge]:
                corners.append(edge)
            edge = following[edge]
        rows, columns = np.divmod(vertex[corners], width)
        yield int(owners[start]), np.stack([columns, rows], 1)
