"""Polygons of connected regions that follow pixel edges, so that areas are exact.

Pixel (row i, column j) covers the square from (j, i) to (j + 1, i + 1). A region consists of
edge-connected pixels of one id; touching corners do not connect. Its outer ring runs clockwise on
screen (y downwards), the rings of its holes counter-clockwise.

Formats without holes get a single ring: it follows a straight cut to each hole, goes around it, and
returns along the same cut. The cut has no width, so the ring covers exactly the pixels of the
region; programs that draw outlines show the cut as a line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.errors import MissingExtraError
from picie.postprocessing.regions import label_regions
from picie.postprocessing.upsampling import Mask

__all__ = ["Region", "Ring", "area", "one_ring", "regions", "simplified"]

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
        """Number of pixels."""
        return sum(area(ring) for ring in self.rings) // 2


def area(ring: Ring) -> int:
    """Twice the area inside a ring, in pixels; negative for the ring of a hole."""
    x, y = ring[:, 0], ring[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def regions(mask: Mask) -> Iterator[Region]:
    """The connected regions of a mask, by id and then by their first pixel from the top.

    Args:
        mask: (H, W) ids; negative ids belong to no region.
    """
    labels, owners = label_regions(mask)
    rings: list[list[Ring]] = [[] for _ in owners]
    for label, ring in _rings(labels):
        rings[label - 1].append(ring)
    for owner, region_rings in zip(owners, rings, strict=True):
        region_rings.sort(key=area, reverse=True)  # the outer ring is the only positive one
        yield Region(owner, tuple(region_rings))


def one_ring(rings: tuple[Ring, ...]) -> Ring:
    """Join an outer ring and those of its holes by cuts of zero width; the area is unchanged."""
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
    """Rings with fewer corners, at most `tolerance` pixels away from the original.

    Each ring is simplified alone (Douglas-Peucker), so neighbours may overlap or leave gaps of that
    size. A ring that would collapse to a line is kept.

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
        reduced: Any = cv2.approxPolyDP(ring.astype(np.int32), tolerance, True)
        fewer: Ring = reduced[:, 0].astype(np.int64)
        return fewer if len(fewer) >= 3 and area(fewer) * area(ring) > 0 else ring

    return tuple(simpler(ring) for ring in rings)


def _rings(labels: NDArray[np.int32]) -> Iterator[tuple[int, Ring]]:
    """Each ring with its region.

    Every boundary edge of a pixel gets a number and a link to the next edge. Edges have their
    region on the right; if two edges could follow, the right turn stays at the same pixel.
    """
    keys, owners, width = _edges(labels)
    if not len(keys):
        return
    steps = np.array([1, width, -1, -width])  # right, down, left, up
    total = (labels.shape[0] + 1) * width
    direction, vertex = np.divmod(keys, total)
    arrived = vertex + steps[direction]
    following = np.full(len(keys), -1)
    for turn in (3, 0, 1):  # left, straight, right: the last existing one wins
        wanted = (direction + turn) % 4 * total + arrived
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        there = (keys[place] == wanted) & (owners[place] == owners)
        following[there] = place[there]
    straight = direction[following] == direction
    corner = np.zeros(len(keys), bool)
    corner[following[~straight]] = True
    yield from _walked(following.tolist(), corner.tolist(), vertex, owners, width)


def _edges(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Sorted keys (direction, start vertex) of boundary edges, their regions, vertices per row."""
    padded = np.pad(labels, 1)
    width = labels.shape[1] + 1
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    before, after = padded[1:-1, :-1], padded[1:-1, 1:]
    total = (labels.shape[0] + 1) * width
    parts = []
    # The start vertex of an edge, as an offset from its left or upper end.
    for number, (inside, outside, offset) in enumerate(
        [(below, above, 0), (before, after, 0), (above, below, 1), (after, before, width)]
    ):
        rows, columns = ((inside != outside) & (inside > 0)).nonzero()
        owners = inside[rows, columns]
        parts.append((number * total + rows * width + columns + offset, owners))
    keys = np.concatenate([part for part, _ in parts])
    owners = np.concatenate([part for _, part in parts])
    order = np.argsort(keys)
    return keys[order], owners[order], width


def _walked(
    following: list[int],
    corner: list[bool],
    vertex: NDArray[np.int64],
    owners: NDArray[np.int32],
    width: int,
) -> Iterator[tuple[int, Ring]]:
    """Follow the edges of each ring and yield its corners."""
    visited = bytearray(len(following))
    for start in range(len(following)):
        if visited[start] or not corner[start]:
            continue
        corners, edge = [], start
        while not visited[edge]:
            visited[edge] = 1
            if corner[edge]:
                corners.append(edge)
            edge = following[edge]
        rows, columns = np.divmod(vertex[corners], width)
        yield int(owners[start]), np.stack([columns, rows], 1)
