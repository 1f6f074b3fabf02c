"""Which photo is worth a look next, and how much the model doubts each.

The order is that of `annotation.queue`, over the photos that were looked at so far. Doubts are
computed in parts, so that no stroke waits for all of them, and again only if names or rows change.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from picie.annotation.queue import ACCEPTED, Doubts, Summary, doubts, image_order, spread
from picie.inference.segmenter import Segmenter
from picie.studio.index import UNKNOWN, WHOLE, Index

__all__ = ["Queue"]

_PART = 128  # photos at a time
_FIRST = 40  # marks before doubt counts, as in `annotation.queue`


@dataclass(eq=False)
class _Table:
    """What a model believes of N photos.

    Attributes:
        version: of the model.
        known: (N,) which rows are filled.
        shares: (N, C) as in `Doubts`.
        doubts: (N, C)
        means: (N, D)
        leaves: (N, R) share of the leaves in the cells of each photo, in 65535ths, where the model
            has learnt from strokes; else None.
    """

    version: object
    known: NDArray[np.bool_]
    shares: NDArray[np.float32]
    doubts: NDArray[np.float32]
    means: NDArray[np.float32]
    leaves: NDArray[np.uint16] | None


class Queue:
    """The order of the photos.

    Args:
        index: of the photos.
        current: version and model that is used now, with names; from any thread.
    """

    def __init__(self, index: Index, current: Callable[[], tuple[object, Segmenter]]) -> None:
        self._index, self._current = index, current
        self._table: _Table | None = None
        self._passed = np.zeros(len(index.photos), np.int64)
        self._lock = threading.Lock()

    def step(self) -> bool:
        """Compute some doubts, in the worker; return whether more are missing."""
        version, model = self._current()
        table = self._table
        if table is None or table.version != version:
            table = self._fresh(version, model)
        waiting = np.flatnonzero(self._index.known & ~table.known)
        if len(waiting):
            some = waiting[:_PART]
            images = self._index.summaries(some.tolist())
            found = doubts(model, images)
            table.shares[some], table.doubts[some] = found.shares, found.doubts
            table.means[some] = found.means
            if table.leaves is not None:
                table.leaves[some] = _leaves(model, images, table.leaves.shape[1])
            table.known[some] = True
        self._table = table
        return len(waiting) > _PART

    def doubts(self) -> NDArray[np.float32]:
        """(N,) mean probability that a cell of each photo is wrong; NaN where it is not known."""
        values = np.full(len(self._passed), np.nan, np.float32)
        if self._table is not None:
            known = self._table.known
            values[known] = self._table.doubts[known].sum(1)
        return values

    def counts(self) -> NDArray[np.uint16]:
        """Shares of the leaves in each photo, in 65535ths; `UNKNOWN` everywhere if none.

        Returns:
            (N, P), or (N, R) where strokes have moved the rows: those are of a sample of the cells.
        """
        table = self._table
        if table is None or table.leaves is None:
            return self._index.counts()
        counts = np.full_like(table.leaves, UNKNOWN)
        counts[table.known] = table.leaves[table.known]
        return counts

    def next(self, touched: Mapping[str, int], after: int | None, count: int) -> list[int]:
        """Numbers of the next photos.

        Args:
            touched: how often photos were annotated, by name (`touched_images`).
            after: the photo that was looked at last: it and those before it come back last.
            count: most photos.
        """
        names = self._index.photos.names
        times = np.array([touched.get(name, 0) for name in names], np.int64)
        with self._lock:
            if after is not None and 0 <= after < len(names):
                self._passed[after] = self._passed.max() + 1
            passed = self._passed.copy()
        order = self._order(times)
        order = order[(times[order] < ACCEPTED) & (order != (-1 if after is None else after))]
        order = order[np.argsort(passed[order], kind="stable")]
        numbers: list[int] = order[:count].tolist()
        return numbers

    def _order(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """All photos that can be read, the best first."""
        readable = np.ones(len(times), np.bool_)
        readable[list(self._index.problems)] = False
        every = spread(len(times))
        every = every[np.argsort(times[every], kind="stable")]
        table = self._table
        marks = int((times % ACCEPTED).sum())
        if table is None or not table.known.any() or marks < _FIRST:
            return every[readable[every]]
        known = np.flatnonzero(table.known)
        part = Doubts(table.shares[known], table.doubts[known], table.means[known])
        first = known[image_order(part, times[known], first=_FIRST)[0]]
        rest = every[~np.isin(every, known)]
        return np.concatenate([first, rest[readable[rest]]])

    def _fresh(self, version: object, model: Segmenter) -> _Table:
        count, (rows, length) = len(self._passed), model.network.view_centroids(0)[0].shape
        learnt = model.network.labels is not None

        def zeros(columns: int) -> NDArray[Any]:
            return np.zeros((count, columns), np.float32)

        return _Table(
            version, np.zeros(count, np.bool_), zeros(model.clusters), zeros(model.clusters),
            zeros(length), np.zeros((count, rows), np.uint16) if learnt else None,
        )  # fmt: skip


def _leaves(model: Segmenter, images: list[Summary], rows: int) -> NDArray[np.uint16]:
    """(I, R) share of each row of the model in the cells of images, in 65535ths."""
    cells = torch.from_numpy(np.concatenate([one.cells for one in images])).float()
    scores = model.centroid_scores(cells.T[None, :, :, None].to(model.device))[0, :, :, 0]
    sizes = np.array([len(one.cells) for one in images])
    image = np.repeat(np.arange(len(images)), sizes)
    found = np.bincount(image * rows + scores.argmax(0).cpu().numpy(), minlength=len(images) * rows)
    shares = found.reshape(len(images), rows) / sizes[:, None]
    rounded: NDArray[np.uint16] = np.rint(WHOLE * shares).astype(np.uint16)
    return rounded
