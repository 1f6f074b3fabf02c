"""What photos show of each node of the tree: how much of them it is, and pieces of them.

Only the centroids are counted and photographed. A node is the sum of what is below it, and shows
pieces of its centroids, dealt by their shares, so a page needs each piece once. A veil says which
part of a piece is the node's.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picie.data.photo_loader import LoadedPhoto
from picie.reporting.content import Crop, Node
from picie.reporting.pieces import BestPieces, Piece
from picie.reporting.treetop import Merge, top_of
from picie.visualization.thumbnails import fit_photo, patch_pixels, patch_values, smooth, veil

__all__ = ["MOST_LEAVES", "OCCURS", "LeafCollector", "inner_cells"]

MOST_LEAVES = 256
"""Of larger trees, the page shows the last merges only."""
OCCURS = 0.001
"""Smallest share of a photo's pixels at which a cluster counts as occurring in it."""

_ALL_PIECES = 512
_MOST_PIECES = 4  # of a centroid
_SHOWN, _VEIL_SIDES = (6, 4), (72, 56)  # pieces of a node, in trees of few leaves and of more
_FEW_LEAVES = 128
_BYTES = 900_000, 2_600  # maximum of all pieces, and of one
_MARGIN = 1 / 16  # of a side, avoided

Ints = NDArray[np.int64]


class LeafCollector:
    """What the photos so far show of the centroids.

    Args:
        merges: the tree of the P centroids.
        ids: (P,) the id of each centroid.
        photos: number of photos, readable or not.
    """

    def __init__(self, merges: Sequence[Merge], ids: Ints, photos: int) -> None:
        self._ids, self._top = ids, top_of(merges, MOST_LEAVES)
        self._places = np.array(self._top.places)
        self._count = len(self._top.merges) + 1
        self._shares = np.zeros(len(ids))
        self._occurrences = np.zeros(len(self._top.numbers), np.int64)
        most = max(1, min(_MOST_PIECES, _ALL_PIECES // self._count))
        self._limit = min(_BYTES[0] // (most * self._count), _BYTES[1])
        self._best = BestPieces(self._count, most, photos)

    def add(
        self, photo: LoadedPhoto, leaves: Ints, values: NDArray[np.float32], number: int
    ) -> None:
        """Add one photo.

        Args:
            photo: as loaded.
            leaves: (h, w) the centroid that each cell belongs to.
            values: (h, w) its similarity.
            number: of the photo.
        """
        shares = np.bincount(leaves.ravel(), minlength=len(self._shares)) / leaves.size
        self._shares += shares
        self._occurrences += self._summed(shares) >= OCCURS
        tops, inner = self._places[leaves], inner_cells(*leaves.shape)
        flat = values.ravel()
        for top in np.unique(tops).tolist():
            members = tops == top
            inside = members & inner
            where = np.flatnonzero(inside if inside.any() else members)
            cell = int(where[flat[where].argmax()])
            if self._best.admits(top, float(flat[cell]), number):
                row, column = divmod(cell, leaves.shape[1])
                centre = (row + 0.5) / leaves.shape[0], (column + 0.5) / leaves.shape[1]
                piece = Piece(
                    photo.photo.name,
                    float(flat[cell]),
                    patch_pixels(photo.image, centre),
                    *patch_values(tops, photo.image.shape, centre),
                )
                self._best.add(top, float(flat[cell]), number, piece)

    def finish(self, shares: NDArray[np.float64]) -> tuple[dict[int, Node], tuple[Crop, ...]]:
        """The nodes by their numbers, and the crops that they show.

        Args:
            shares: share of the pixels of each id, 0..1, which those of its centroids add up to.
        """
        counted = np.bincount(self._ids, self._shares, len(shares))
        exact = self._shares * (shares / np.where(counted, counted, 1))[self._ids]
        found = self._best.finish()
        pieces = [piece for own in found for piece in own]
        ends = np.cumsum([len(own) for own in found]).tolist()
        numbers = [list(range(end - len(own), end)) for end, own in zip(ends, found, strict=True)]
        node_shares, below = self._summed(exact), self._top.below()
        sizes = self._summed(np.ones(len(exact)))
        nodes = {}
        for place, number in enumerate(self._top.numbers):
            own = {leaf: float(node_shares[leaf]) for leaf in below[place]}
            inside = np.isin(np.arange(self._count), below[place])
            chosen = _dealt(own, numbers, pieces, _SHOWN[self._count > _FEW_LEAVES])
            crops = tuple((one, self._veil(pieces[one], inside)) for one in chosen)
            nodes[number] = Node(
                number,
                int(sizes[place]),
                float(node_shares[place]),
                int(self._occurrences[place]),
                crops,
            )
        return nodes, tuple(Crop(one.name, fit_photo(one.pixels, self._limit)) for one in pieces)

    def _veil(self, piece: Piece, inside: NDArray[np.bool_]) -> bytes:
        side = _VEIL_SIDES[self._count > _FEW_LEAVES]
        return veil(smooth(inside[piece.leaves], piece.box, side))

    def _summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2T - 1,) the sums of each node, of values of the P centroids."""
        sums = np.bincount(self._places, values, self._count).tolist()
        for left, right, _ in self._top.merges:
            sums.append(sums[left] + sums[right])
        return np.array(sums)


def inner_cells(height: int, width: int) -> NDArray[np.bool_]:
    """(h, w), the cells away from the edges of a photo, where patches mostly show that edge."""
    inner = np.zeros((height, width), bool)
    rows, columns = round(height * _MARGIN), round(width * _MARGIN)
    inner[rows : height - rows, columns : width - columns] = True
    return inner


def _dealt(
    shares: dict[int, float], numbers: list[list[int]], pieces: Sequence[Piece], most: int
) -> list[int]:
    """Pieces of some leaves, the next one always of the leaf that has the fewest for its share.

    Args:
        shares: of the leaves.
        numbers: of the pieces of each leaf, best first.
        pieces: by number; another photo is preferred to one that was chosen.
        most: how many.
    """
    waiting = {leaf: deque(numbers[leaf]) for leaf in shares if numbers[leaf]}
    given = dict.fromkeys(waiting, 1)
    chosen: list[int] = []
    again: list[int] = []
    photos: set[str] = set()
    while waiting and len(chosen) < most:
        leaf = max(waiting, key=lambda one: (shares[one] / given[one], -one))
        number = waiting[leaf].popleft()
        if not waiting[leaf]:
            del waiting[leaf]
        if pieces[number].name in photos:
            again.append(number)
            continue
        given[leaf] += 1
        photos.add(pieces[number].name)
        chosen.append(number)
    return chosen + again[: most - len(chosen)]
