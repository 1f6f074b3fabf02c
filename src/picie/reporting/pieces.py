"""The best pieces of photos: few, from different stretches of them, as pixels until the end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picie.visualization.thumbnails import Box

__all__ = ["BestPieces", "Piece"]


@dataclass(frozen=True, eq=False)
class Piece:
    """A square piece of a photo.

    Attributes:
        name: of the photo.
        value: by which it was chosen, a similarity.
        pixels: (S, S, 3) uint8 RGB.
        leaves: (a, b) what each cell in it and around it belongs to; None where nobody asks.
        box: of the piece in these cells: left, top, right and bottom.
    """

    name: str
    value: float
    pixels: NDArray[np.uint8]
    leaves: NDArray[np.int64] | None = None
    box: Box = (0, 0, 1, 1)


class BestPieces:
    """The best pieces of each cluster.

    Neighbours by name are often similar, as in video. The photos are therefore divided into twice
    as many stretches as pieces are wanted, and each stretch contributes at most one piece.

    Args:
        clusters: N.
        most: pieces per cluster.
        photos: number of photos.
    """

    def __init__(self, clusters: int, most: int, photos: int) -> None:
        self._most, self._photos = most, photos
        self._entries: list[dict[int, tuple[float, Piece]]] = [{} for _ in range(clusters)]

    def admits(self, cluster: int, value: float, photo: int) -> bool:
        """Whether a piece of this value would be kept.

        Args:
            cluster: 0..N-1.
            value: the larger, the better; of equal ones, the first photo's is kept.
            photo: number of the photo.
        """
        best = self._entries[cluster].get(self._stretch(photo))
        return best is None or value > best[0]

    def add(self, cluster: int, value: float, photo: int, piece: Piece) -> None:
        """Keep a piece; the arguments are those of `admits`."""
        self._entries[cluster][self._stretch(photo)] = value, piece

    def finish(self) -> tuple[tuple[Piece, ...], ...]:
        """The pieces of each cluster, best first."""
        ranked = (
            sorted(entries.items(), key=lambda item: (-item[1][0], item[0]))
            for entries in self._entries
        )
        return tuple(tuple(piece for _, (_, piece) in entries[: self._most]) for entries in ranked)

    def _stretch(self, photo: int) -> int:
        return photo * min(2 * self._most, self._photos) // self._photos
