"""Statistics of an assignment per cluster: sums, counts and squared distances."""

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

_LEAST_ROWS = 8_192  # minimum number of rows per thread
_MOST_PICKED = 0.75  # share of rows above which gathering them is slower than reading all


@dataclass(frozen=True)
class Statistics:
    """Statistics of one assignment per cluster; additive over blocks and over processes.

    Attributes:
        sums: (K, D) sums of the points of each cluster.
        counts: (K,) points per cluster, whole numbers in floating point.
        inertia: (K,) sums of squared distances to the centroid that the points were assigned to.
    """

    sums: Tensor
    counts: Tensor
    inertia: Tensor

    def pack(self) -> Tensor:
        """Pack everything into one (K, D + 2) tensor, so that one reduction suffices."""
        return torch.cat((self.sums, self.counts[:, None], self.inertia[:, None]), 1)

    def spread(self) -> Tensor:
        """Approximate mean squared distance of the points to their common mean."""
        weight = self.counts[:, None] / self.counts.sum()
        means = self.sums / self.counts.clamp_min(1)[:, None]
        between = (weight * (means - (weight * means).sum(0)).square()).sum()
        return between + self.inertia.sum() / self.counts.sum()

    @classmethod
    def unpack(cls, table: Tensor) -> Statistics:
        """Invert `pack`."""
        return cls(table[:, :-2], table[:, -2], table[:, -1])


class RunningStatistics:
    """Statistics of the same points for a sequence of centroids.

    On a CPU each thread keeps the sums of its share of the points and updates them for points that
    change their cluster. The sums are added in a fixed order, so the same number of threads gives
    bit-identical results. On other devices everything is recomputed, because finding the points
    that may change would make the host wait for the device.

    Args:
        cloud: N points of width D, those of this process.
        k: number of clusters K.
    """

    def __init__(self, cloud: PointCloud, k: int) -> None:
        """Allocate the sums; `update` makes the first assignment."""
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
        # rounding errors in a cluster that became empty must not count as variance
        table[table[:, -2] == 0] = 0
        sums, counts, squares = table.split((centroids.shape[1], 1, 1), 1)
        origin = self._cloud.origin.double()
        shift = centroids - origin
        inertia = squares + counts * shift.square().sum(1, keepdim=True)
        inertia -= 2 * (shift * sums).sum(1, keepdim=True)
        return Statistics(sums + counts * origin, counts[:, 0].clone(), inertia[:, 0].clamp_min(0))


class _Share:
    """One thread's points, with their clusters and bounds from the previous centroids.

    For every point it keeps the cluster and a margin: how far centroids may move before another one
    can be nearer (Hamerly, 2010, as one number per point). Only points whose margin is used up are
    compared with the centroids, and only points that change their cluster are moved between sums.
    Margins include rounding errors, so the labels equal those of a full search. The sums are
    float64, so that float32 values are added and subtracted without accumulating rounding errors.

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
        """Update labels and sums to (K, D) float32 centroids."""
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
        """Rows whose nearest centroid may have changed after these moves (K, D)."""
        drift = moves.double().square().sum(1).sqrt()
        top = drift.topk(min(2, len(drift))).values
        rivals = torch.where(drift == top[0], top[-1], top[0])  # largest move of any other one
        self._margins -= (drift + rivals).float().index_select(0, self._labels)
        rows = (self._margins <= 0).nonzero()[:, 0]
        if len(rows) > _MOST_PICKED * len(self._labels):
            return self._ranges
        return rows.split(len(self._room)) if len(rows) else []

    def _revise(self, rows: slice | Tensor, block: Tensor, scores: Tensor, reach: Tensor) -> None:
        before, squares = self._labels[rows], self._cloud.squares[rows]
        assigned = scores.gather(0, before[None])
        rival = scores.scatter_(0, before[None], -torch.inf).amax(0)
        # the rounding error of a dot product of width D is below D eps |x| |c|
        slack = (squares + reach) * (block.shape[1] * torch.finfo(torch.float32).eps)
        self._margins[rows] = _margins(assigned[0], rival, squares, slack)
        changed = (rival >= assigned[0]).nonzero()[:, 0]  # or a tie, which the lowest number wins
        if len(changed) == 0:
            return
        _, labels = best_rows(scores.scatter_(0, before[None], assigned).index_select(1, changed))
        terms = self._terms(block.index_select(0, changed), squares.index_select(0, changed))
        self.table.index_add_(0, before.index_select(0, changed), terms, alpha=-1)
        self.table.index_add_(0, labels, terms)
        before[changed] = labels
        self._labels[rows] = before

    def _terms(self, points: Tensor, squares: Tensor) -> Tensor:
        """Contributions (M, D + 2) of points (M, D) relative to o to the table."""
        terms = self._room[: len(points)]
        terms[:, :-2] = points
        if self._cloud.scale is None:
            terms[:, -1] = squares
        return terms


def _margins(assigned: Tensor, rival: Tensor, squares: Tensor, slack: Tensor) -> Tensor:
    """Lower bound of (distance to the second nearest centroid) - (distance to the nearest).

    Args:
        assigned: (b,) scores of the assigned centroids.
        rival: (b,) largest scores of the other centroids.
        squares: (b,) squared distances of the points to the origin.
        slack: (b,) upper bounds of the rounding errors of squared distances.
    """
    nearest = (squares - 2 * assigned).clamp_min_(0).add_(slack).sqrt_()
    return (squares - 2 * rival).sub_(slack).clamp_min_(0).sqrt_().sub_(nearest)


def device_statistics(cloud: PointCloud, centroids: Tensor) -> Statistics:
    """Assign every point and sum per cluster, without synchronising with the host.

    Sums run in float32 within a block and in float64 (float32 on MPS) over blocks.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors if the cloud is spherical.
    """
    k, width = centroids.shape
    wide = accumulator(centroids.device)
    sums = torch.zeros(k, width, dtype=wide, device=centroids.device)
    tails = torch.zeros(k, 2, dtype=wide, device=centroids.device)
    for rows, block, best, labels in assign_blocks(cloud, centroids):
        # a matrix product, because index_add_ is not deterministic on a GPU
        one_hot = block.new_zeros(len(block), k).scatter_(1, labels[:, None], 1.0)
        sums += one_hot.T @ block
        distance = (cloud.squares[rows] - 2 * best).clamp_min(0)
        tail = torch.stack((torch.ones_like(distance), distance), 1)
        tails += one_hot.T.to(wide) @ tail.to(wide)
    counts, inertia = tails.unbind(1)
    return Statistics(sums + counts[:, None] * cloud.origin, counts, inertia)
