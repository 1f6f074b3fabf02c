"""Nearest-centroid search over many points, one block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from picie.errors import DataError

__all__ = [
    "Metric",
    "PointCloud",
    "Statistics",
    "accumulator",
    "assign_blocks",
    "block_ranges",
    "statistics",
]

Metric = Literal["spherical", "euclidean"]

_CPU_ROWS = 4_096  # per thread: a block stays in the cache between scoring and summing
_CPU_SCORES = 1_048_576  # per thread: so does its block x K matrix
_DEVICE_ROWS = 65_536  # enough work for each kernel
_ORIGIN_ROWS = 65_536


def accumulator(device: torch.device) -> torch.dtype:
    """Dtype of long sums on a device: float64, or float32 on MPS, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def block_ranges(size: int, device: torch.device, k: int = 1) -> list[slice]:
    """Cut rows 0..size-1 into blocks that are compared with K centroids at a time."""
    step = _DEVICE_ROWS
    if device.type == "cpu":
        step = torch.get_num_threads() * min(_CPU_ROWS, max(_CPU_SCORES // k, 1))
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


@dataclass(frozen=True)
class PointCloud:
    """Points as the metric sees them, made block by block: there is no second copy of them.

    Attributes:
        values: (N, D) floating point, as the caller gave them.
        scale: (N, 1) float32 factors that make every row a unit vector (0 for a zero row) when
            the metric is spherical; None when it is euclidean.
        squares: (N,) float32 squared distances to `origin`; for unit vectors simply 1.
        origin: (D,) float32 point near the data, zero for unit vectors. Blocks are relative to
            it, so that data far from zero loses no digits.
    """

    values: Tensor
    scale: Tensor | None
    squares: Tensor
    origin: Tensor

    @classmethod
    def of(cls, points: Tensor, metric: Metric) -> PointCloud:
        """Check points and measure them once.

        Args:
            points: (N, D) floating point, N >= 1, on any device.
            metric: "spherical" reads rows as directions, "euclidean" as positions.

        Raises:
            DataError: not a 2-D floating-point tensor, empty, or with values that are not finite.
        """
        _check_form(points)
        if metric == "euclidean":
            origin = points[:_ORIGIN_ROWS].float().mean(0)
            return cls(points, None, _finite_squares(points, origin), origin)
        squares = _finite_squares(points, None)
        scale = torch.where(squares > 0, squares.rsqrt(), 0.0)[:, None]
        ones = squares.new_ones(()).expand(len(points))
        return cls(points, scale, ones, squares.new_zeros(points.shape[1]))

    def __len__(self) -> int:
        """Number of points N."""
        return self.values.shape[0]

    def ranges(self, k: int = 1) -> list[slice]:
        """Return the row ranges of blocks that are compared with K centroids at a time."""
        return block_ranges(len(self), self.values.device, k)

    def block(self, rows: slice) -> Tensor:
        """Return a range of rows, relative to the origin, as (b, D) float32."""
        block = self.values[rows].float()
        return block - self.origin if self.scale is None else block * self.scale[rows]

    def take(self, rows: Tensor) -> Tensor:
        """Return the points at some row numbers (M,) as an (M, D) float32 copy."""
        picked = self.values[rows].float()
        return picked if self.scale is None else picked * self.scale[rows]


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


def assign_blocks(
    cloud: PointCloud, centroids: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Find the nearest centroid of every point; ties go to the lowest cluster number.

    Minimises |x - c|^2 by maximising (x - o).(c - o) - |c - o|^2 / 2, one block x K matrix at a
    time, o being the cloud's origin. For unit vectors this is the largest cosine.

    Args:
        cloud: N points of width D.
        centroids: (K, D) float32; unit vectors when the cloud is spherical.

    Yields:
        rows, block (b, D) float32 relative to o, best (b,) float32, labels (b,) int64, in the
        order of the points; squared distances are |x - o|^2 - 2 best.
    """
    weight = centroids - cloud.origin
    bias = -weight.to(accumulator(weight.device)).square().sum(1, keepdim=True).float() / 2
    k = len(centroids)
    countdown = torch.arange(k, 0, -1.0, device=centroids.device)[:, None]
    ranges = cloud.ranges(k)
    room = torch.empty(k * ranges[0].stop, device=centroids.device)
    for rows in ranges:
        block = cloud.block(rows)
        scores = room[: k * len(block)].view(k, len(block))  # reused: fresh pages cost as much
        torch.addmm(bias, weight, block.T, out=scores)
        best = scores.amax(0)
        # argmax in four vectorised steps: PyTorch's own is four times slower on a CPU
        yield rows, block, best, k - scores.ge_(best).mul_(countdown).amax(0).long()


def statistics(cloud: PointCloud, centroids: Tensor) -> Statistics:
    """Assign every point and sum up its cluster.

    Sums run in float32 within a block and in float64 (float32 on MPS) over blocks.

    Args:
        cloud: N points of width D.
        centroids: (K, D) float32; unit vectors when the cloud is spherical.
    """
    k, width = centroids.shape
    wide = accumulator(centroids.device)
    sums = torch.zeros(k, width, dtype=wide, device=centroids.device)
    tails = torch.zeros(k, 2, dtype=wide, device=centroids.device)
    for rows, block, best, labels in assign_blocks(cloud, centroids):
        sums += _sum_by_label(block, labels, k)
        distance = (cloud.squares[rows] - 2 * best).clamp_min(0)
        tail = torch.stack((torch.ones_like(distance), distance), 1).to(wide)
        tails += _sum_by_label(tail, labels, k)
    counts, inertia = tails.unbind(1)
    return Statistics(sums + counts[:, None] * cloud.origin, counts, inertia)


def _sum_by_label(values: Tensor, labels: Tensor, k: int) -> Tensor:
    """Sum rows (b, D) into (K, D) by label."""
    if values.device.type == "cpu":
        return values.new_zeros(k, values.shape[1]).index_add_(0, labels, values)
    return _sum_by_product(values, labels, k)


def _sum_by_product(values: Tensor, labels: Tensor, k: int) -> Tensor:
    # index_add_ is three to five times faster on a CPU, but its order changes from run to run on
    # a GPU, where the product costs next to nothing.
    one_hot = values.new_zeros(len(values), k).scatter_(1, labels[:, None], 1.0)
    return one_hot.T @ values


def _check_form(points: Tensor) -> None:
    if points.ndim != 2 or not points.is_floating_point() or points.numel() == 0:
        raise DataError(
            f"k-means needs points as a floating-point (N, D) tensor with N, D >= 1, got "
            f"{points.dtype} {tuple(points.shape)}. Flatten feature maps to one row per pixel."
        )


def _finite_squares(points: Tensor, origin: Tensor | None) -> Tensor:
    squares = torch.empty(len(points), device=points.device)
    for rows in block_ranges(len(points), points.device):
        block = points[rows].float()
        block = block if origin is None else block - origin
        squares[rows] = block.square().sum(1)
    if not bool(squares.isfinite().all()):
        bad = int((~squares.isfinite()).sum())
        raise DataError(
            f"k-means got {bad} of {len(points)} points with values that are not finite or above "
            f"1e19. Look for NaN in the features: a lower learning rate or float32 may help."
        )
    return squares
