"""What an assignment says about the clusters: sums, counts and squared distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from picie.clustering.kmeans.points import (
    PointCloud,
    accumulator,
    assign_blocks,
    best_rows,
    score_blocks,
)
from picie.runtime.devices import for_each

__all__ = ["RunningStatistics", "Statistics", "device_statistics"]

_LEAST_ROWS = 8_192  # for a thread of their own
_MOST_PICKED = 0.75  # of the points: picking more of them takes longer than reading all


@dataclass(frozen=True)
class Statistics:
    """What one assignment says about each cluster; adds up over blocks and over processes.

    Attributes:
        sums: (K, D) sums of the points of each cluster.
        counts: (K,) points per cluster, as floating-point whole numbers.
        inertia: (K,) sums of squared distances to the centroid that the points were assigned to.
    """

    sums: Tensor
    counts: Tensor
    inertia: Tensor

    def pack(self) -> Tensor:
        """Return everything as one (K, D + 2) tensor, so that one reduction carries it."""
        return torch.cat((self.sums, self.counts[:, None], self.inertia[:, None]), 1)

    def spread(self) -> Tensor:
        """Return the mean squared distance of the points to their common mean, about."""
        weight = self.counts[:, None] / self.counts.sum()
        means = self.sums / self.counts.clamp_min(1)[:, None]
        between = (weight * (means - (weight * means).sum(0)).square()).sum()
        return between + self.inertia.sum() / self.counts.sum()

    @classmethod
    def unpack(cls, table: Tensor) -> Statistics:
        """Undo `pack`."""
        return cls(table[:, :-2], table[:, -2], table[:, -1])


class RunningStatistics:
    """Statistics of the same points for one set of centroids after the other.

    On a CPU the points are shared out among threads, each with sums of its own; they are added up
    in one order, so that the same number of threads gives the same bytes. Elsewhere everything is
    done anew, because to find points that may have changed the host would wait for the device.

    Args:
        cloud: N points of width D, those of this process.
        k: number of clusters K.
    """

    def __init__(self, cloud: PointCloud, k: int) -> None:
        """Make room for the sums; nothing is assigned before `update`."""
        self._cloud = cloud
        self._shares: list[_Share] = []
        if cloud.values.device.type == "cpu":
            threads = max(1, min(torch.get_num_threads(), len(cloud) // _LEAST_ROWS))
            step = max(1, -(-len(cloud) // threads))
            starts = range(0, max(1, len(cloud)), step)
            self._shares = [_Share(cloud.part(slice(at, at + step)), k) for at in starts]

    def update(self, centroids: Tensor) -> Statistics:
        """Assign every point to the nearest of (K, D) float32 centroids."""
        if not self._shares:
            return device_statistics(self._cloud, centroids)
        for_each(lambda number: self._shares[number].update(centroids), len(self._shares))
        table = torch.stack([share.table for share in self._shares]).sum(0)
        # what rounding left behind in a cluster that lost all its points is no width
        table[table[:, -2] == 0] = 0
        sums, counts, squares = table.split((centroids.shape[1], 1, 1), 1)
        origin = self._cloud.origin.double()
        shift = centroids - origin
        inertia = squares + counts * shift.square().sum(1, keepdim=True)
        inertia -= 2 * (shift * sums).sum(1, keepdim=True)
        return Statistics(sums + counts * origin, counts[:, 0].clone(), inertia[:, 0].clamp_min(0))


class _Share:
    """Some of the points, with what is known of them from the centroids before.

    It remembers the cluster of every point, and a margin: how far centroids may move until another
    one can be nearer (Hamerly, 2010, as one number per point). Only points without margin are
    compared with the centroids, and only those that change their cluster are taken out of one sum
    and put into another. Margins allow for rounding, so that the labels are those of the full
    search. The sums are float64, in which float32 values come and go without a trace.

    Attributes:
        table: (K, D + 2) float64, columns as in `Statistics.pack` with |x - o|^2 for the last;
            sums are of x - o.
    """

    def __init__(self, cloud: PointCloud, k: int) -> None:
        width = cloud.values.shape[1]
        self._cloud = cloud
        self._ranges = cloud.ranges(k, threads=1)
        self._centroids: Tensor | None = None
        self._labels = torch.zeros(len(cloud), dtype=torch.int64)
        self._margins = torch.zeros(len(cloud))
        self.table = torch.zeros(k, width + 2, dtype=torch.float64)
        most = self._ranges[0].stop if self._ranges else 0
        self._room = torch.ones(most, width + 2, dtype=torch.float64)

    def update(self, centroids: Tensor) -> None:
        """Bring labels and sums up to (K, D) float32 centroids."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # settings are per thread
            if self._centroids is None:
                self._enter(centroids)
            else:
                reach = (centroids - self._cloud.origin).square().sum(1).amax()
                pieces = self._doubtful(centroids - self._centroids)
                for rows, block, scores in score_blocks(self._cloud, centroids, pieces):
                    self._revise(rows, block, scores, reach)
        self._centroids = centroids

    def _enter(self, centroids: Tensor) -> None:
        for rows, block, _, labels in assign_blocks(self._cloud, centroids, self._ranges):
            self._labels[rows] = labels
            self.table.index_add_(0, labels, self._terms(block, self._cloud.squares[rows]))

    def _doubtful(self, moves: Tensor) -> Sequence[slice | Tensor]:
        """Rows that may be nearer to another centroid after these moves (K, D)."""
        drift = moves.double().square().sum(1).sqrt()
        top = drift.topk(min(2, len(drift))).values
        rivals = torch.where(drift == top[0], top[-1], top[0])  # largest move of all others
        self._margins -= (drift + rivals).float().index_select(0, self._labels)
        rows = (self._margins <= 0).nonzero()[:, 0]
        if len(rows) > _MOST_PICKED * len(self._labels):
            return self._ranges
        return rows.split(len(self._room)) if len(rows) else []

    def _revise(self, rows: slice | Tensor, block: Tensor, scores: Tensor, reach: Tensor) -> None:
        before, squares = self._labels[rows], self._cloud.squares[rows]
        own = scores.gather(0, before[None])
        rival = scores.scatter_(0, before[None], -torch.inf).amax(0)
        # a product of width D is off by less than D eps |x| |c|
        slack = (squares + reach) * (block.shape[1] * torch.finfo(torch.float32).eps)
        self._margins[rows] = _margins(own[0], rival, squares, slack)
        changed = (rival >= own[0]).nonzero()[:, 0]  # or a tie, which the lowest number wins
        if len(changed) == 0:
            return
        _, labels = best_rows(scores.scatter_(0, before[None], own).index_select(1, changed))
        terms = self._terms(block.index_select(0, changed), squares.index_select(0, changed))
        self.table.index_add_(0, before.index_select(0, changed), terms, alpha=-1)
        self.table.index_add_(0, labels, terms)
        before[changed] = labels
        self._labels[rows] = before

    def _terms(self, points: Tensor, squares: Tensor) -> Tensor:
        """What points (M, D) relative to o add to the table of their clusters, (M, D + 2)."""
        terms = self._room[: len(points)]
        terms[:, :-2] = points
        if self._cloud.scale is None:
            terms[:, -1] = squares
        return terms


def _margins(own: Tensor, rival: Tensor, squares: Tensor, slack: Tensor) -> Tensor:
    """How much nearer points are to their own centroid than to any other, at the least.

    Args:
        own: (b,) scores of the points' own centroids.
        rival: (b,) largest scores of the others.
        squares: (b,) squared distances of the points to the origin.
        slack: (b,) largest errors of squared distances.
    """
    nearest = (squares - 2 * own).clamp_min_(0).add_(slack).sqrt_()
    return (squares - 2 * rival).sub_(slack).clamp_min_(0).sqrt_().sub_(nearest)


def device_statistics(cloud: PointCloud, centroids: Tensor) -> Statistics:
    """Assign every point and sum up its cluster without a word to the host.

    Sums run in float32 within a block and in float64 (float32 on MPS) over blocks.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors when the cloud is spherical.
    """
    k, width = centroids.shape
    wide = accumulator(centroids.device)
    sums = torch.zeros(k, width, dtype=wide, device=centroids.device)
    tails = torch.zeros(k, 2, dtype=wide, device=centroids.device)
    for rows, block, best, labels in assign_blocks(cloud, centroids):
        # a product, because the order of index_add_ changes from run to run on a GPU
        one_hot = block.new_zeros(len(block), k).scatter_(1, labels[:, None], 1.0)
        sums += one_hot.T @ block
        distance = (cloud.squares[rows] - 2 * best).clamp_min(0)
        tail = torch.stack((torch.ones_like(distance), distance), 1)
        tails += one_hot.T.to(wide) @ tail.to(wide)
    counts, inertia = tails.unbind(1)
    return Statistics(sums + counts[:, None] * cloud.origin, counts, inertia)
