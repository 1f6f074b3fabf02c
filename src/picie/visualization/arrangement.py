"""Which cluster gets which colour: those that are close in the tree get distant ones."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from picie.visualization.palette import Colours, blended_distances

__all__ = ["arranged"]

_MOST = 256  # more colours look alike anyway
# Weights and costs are whole numbers, so that all machines find the same order: sums of their
# products are exact below 2^53.
_WEIGHT, _COST = 10_000, 1_000_000


def arranged(
    colours: Colours,
    ids: NDArray[np.int64],
    children: Sequence[tuple[int, int]] | NDArray[np.int64],
    fixed: int = 0,
) -> Colours:
    """The same colours in another order: far apart for ids that are close in the tree.

    The cost of two ids is the inverse square of the distance of their colours, weighted by the
    inverse square of the number of other ids below the node where they meet. Swaps of two colours
    lower the sum as long as one can (a quadratic assignment, solved locally). The order depends on
    tree and ids alone, so a cluster has one colour in all photos and commands.

    Args:
        colours: (N, 3) uint8 sRGB.
        ids: (P,) the id 0..N-1 of each centroid; N = ignored.
        children: (P - 1, 2), the two nodes below each node from P on; empty = keep the order.
        fixed: number of ids from 0 that keep their colour.
    """
    if not len(children) or not fixed < len(colours) <= _MOST:
        return colours
    tree = np.asarray(children, np.int64)
    order = _order(colours.tobytes(), ids.astype(np.int64).tobytes(), tree.tobytes(), fixed)
    return colours[list(order)]


@lru_cache(maxsize=64)
def _order(colours: bytes, ids: bytes, children: bytes, fixed: int) -> tuple[int, ...]:
    """The position in `colours` of the colour of each id."""
    rows = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    distances = blended_distances(rows, rows)
    np.fill_diagonal(distances, np.inf)
    cost = np.rint(_COST / np.maximum(distances, 1.0) ** 2)
    weight = _weights(
        np.frombuffer(ids, np.int64), np.frombuffer(children, np.int64).reshape(-1, 2), len(rows)
    )
    order = np.arange(len(rows))
    while True:
        # What swapping the colours of a and b adds to the sum, for all a and b at once.
        here = cost[np.ix_(order, order)]
        product = weight @ here
        own = np.diag(product)
        added = product + product.T - own[:, None] - own + 2 * weight * here
        added[:fixed], added[:, :fixed] = 0, 0
        one, other = divmod(int(added.argmin()), len(rows))
        if added[one, other] >= 0:
            return tuple(order.tolist())
        order[[one, other]] = order[[other, one]]


def _weights(
    ids: NDArray[np.int64], children: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """(N, N) whole numbers: large for two ids that meet below a small node."""
    weight = np.zeros((count, count))
    below = [[one] if one < count else [] for one in ids.tolist()]
    for left, right in children.tolist():
        both = sorted({*below[left], *below[right]})
        below.append(both)
        for pair in ((below[left], below[right]), (below[right], below[left])):
            block = np.ix_(*pair)
            met = weight[block]
            weight[block] = np.where(met > 0, met, np.rint(_WEIGHT / max(1, len(both) - 1) ** 2))
    np.fill_diagonal(weight, 0)
    return weight
