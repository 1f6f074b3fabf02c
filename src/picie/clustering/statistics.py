"""What an assignment says about the clusters: sums, counts and squared distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from picie.clustering.assignment import assign_blocks
from picie.clustering.points import PointCloud, accumulator

__all__ = ["RunningStatistics", "Statistics", "device_statistics"]


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

    On a CPU it remembers the cluster of every point: only points that change theirs are taken
    out of one sum and put into another, soon few of them. The sums are float64, in which float32
    values come and go without a trace. Elsewhere everything is summed anew, because to find the
    changed points the host would have to wait for the device.

    Args:
        cloud: N points of width D, those of this process.
        k: number of clusters K.
    """

    def __init__(self, cloud: PointCloud, k: int) -> None:
        """Make room for the sums; nothing is assigned before `update`."""
        width = cloud.values.shape[1]
        blocks = cloud.ranges(k)
        self._cloud = cloud
        self._labels: Tensor | None = None
        # columns as in Statistics.pack, with |x - o|^2 for the last; sums are of x - o
        self._table = torch.zeros(k, width + 2, dtype=torch.float64)
        self._room = torch.ones(blocks[0].stop if blocks else 0, width + 2, dtype=torch.float64)

    def update(self, centroids: Tensor) -> Statistics:
        """Assign every point to the nearest of (K, D) float32 centroids."""
        if centroids.device.type != "cpu":
            return device_statistics(self._cloud, centroids)
        before = self._labels
        if before is None:
            self._labels = torch.empty(len(self._cloud), dtype=torch.int64)
            for rows, block, _, labels in assign_blocks(self._cloud, centroids):
                self._labels[rows] = labels
                self._table.index_add_(0, labels, self._terms(block, self._cloud.squares[rows]))
            return self._read(centroids)
        for rows, block, _, labels in assign_blocks(self._cloud, centroids):
            self._move(block, self._cloud.squares[rows], before[rows], labels)
        return self._read(centroids)

    def _move(self, block: Tensor, squares: Tensor, before: Tensor, labels: Tensor) -> None:
        changed = (labels != before).nonzero()[:, 0]
        if len(changed):
            terms = self._terms(block.index_select(0, changed), squares.index_select(0, changed))
            self._table.index_add_(0, labels.index_select(0, changed), terms)
            self._table.index_add_(0, before.index_select(0, changed), terms, alpha=-1)
            before.copy_(labels)

    def _terms(self, points: Tensor, squares: Tensor) -> Tensor:
        """What points (M, D) relative to o add to the table of their clusters, (M, D + 2)."""
        terms = self._room[: len(points)]
        terms[:, :-2] = points
        if self._cloud.scale is None:
            terms[:, -1] = squares
        return terms

    def _read(self, centroids: Tensor) -> Statistics:
        # what rounding left behind in a cluster that lost all its points is no width
        self._table[self._table[:, -2] == 0] = 0
        sums, counts, squares = self._table.split((centroids.shape[1], 1, 1), 1)
        origin = self._cloud.origin.double()
        shift = centroids - origin
        inertia = squares + counts * shift.square().sum(1, keepdim=True)
        inertia -= 2 * (shift * sums).sum(1, keepdim=True)
        return Statistics(sums + counts * origin, counts[:, 0].clone(), inertia[:, 0].clamp_min(0))


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
