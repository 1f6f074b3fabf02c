"""The top of a tree: as much of it as a page can show."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Merge", "TreeTop", "top_of"]

Merge = tuple[int, int, float]
"""The two nodes that merge, and their distance."""


@dataclass(frozen=True)
class TreeTop:
    """The upper part of a tree of P centroids, with T leaves of its own.

    Attributes:
        numbers: (2T - 1,) the node of the tree that each node of this part is.
        places: (P,) the leaf 0..T-1 that holds each centroid.
        merges: T - 1 rows, in the numbers of this part.
    """

    numbers: tuple[int, ...]
    places: tuple[int, ...]
    merges: tuple[Merge, ...]

    def below(self) -> list[tuple[int, ...]]:
        """The leaves below each of the 2T - 1 nodes."""
        found: list[tuple[int, ...]] = [(leaf,) for leaf in range(len(self.merges) + 1)]
        for left, right, _ in self.merges:
            found.append(found[left] + found[right])
        return found


def top_of(merges: Sequence[Merge], leaves: int) -> TreeTop:
    """The top of a tree with at most this many leaves: all of it, or what merges last.

    Args:
        merges: P - 1 rows; 0..P-1 are the centroids, row i forms node P + i.
        leaves: most leaves T, 1 or more.
    """
    count = len(merges) + 1
    below = max(0, count - leaves)  # merges that are left out
    holder = list(range(count + below))
    for row in range(below - 1, -1, -1):
        for node in merges[row][:2]:
            holder[node] = holder[count + row]
    kept = sorted(set(holder))
    place = {node: number for number, node in enumerate(kept)}
    rows = []
    for row, (left, right, distance) in enumerate(merges[below:]):
        rows.append((place[left], place[right], distance))
        place[count + below + row] = len(kept) + row
    return TreeTop(tuple(place), tuple(place[node] for node in holder[:count]), tuple(rows))
