"""The points of k-means: validation, blocks, nearest centroids, several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from picie.errors import DataError

__all__ = [
    "Metric",
    "PointCloud",
    "Reduce",
    "accumulator",
    "assign_blocks",
    "best_rows",
    "block_ranges",
    "identity",
    "score_blocks",
]

Metric = Literal["spherical", "euclidean"]
Reduce = Callable[[Tensor], Tensor]

_CPU_ROWS = 4_096  # per thread: a block stays in cache between scoring and summing
_CPU_SCORES = 1_048_576  # per thread: so does its (K, block) score matrix
_DEVICE_ROWS = 65_536  # enough work for each kernel
_ORIGIN_ROWS = 65_536


def identity(table: Tensor) -> Tensor:
    """The `reduce` of a single process: returns the table itself."""
    return table


def accumulator(device: torch.device) -> torch.dtype:
    """Dtype of accumulators on a device: float64, or float32 on MPS, which lacks float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def block_ranges(
    size: int, device: torch.device, k: int = 1, threads: int | None = None
) -> list[slice]:
    """Split rows 0..size-1 into blocks sized for comparison with K centroids.

    Args:
        size: number of rows.
        device: device of the rows.
        k: K.
        threads: CPU threads that share one block; None = as many as torch uses.
    """
    step = _DEVICE_ROWS
    if device.type == "cpu":
        step = (threads or torch.get_num_threads()) * min(_CPU_ROWS, max(_CPU_SCORES // k, 1))
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


@dataclass(frozen=True)
class PointCloud:
    """Points in the form that the metric needs, computed block by block instead of copied.

    With several processes each holds a part of the points, possibly an empty one.

    Attributes:
        values: (N, D) floating point, the part of this process as passed by the caller.
        scale: (N, 1) float32 factors that normalise each row to unit length (0 for a zero row)
            if the metric is spherical; None if it is euclidean.
        squares: (N,) float32 squared distances to `origin`; 1 for unit vectors.
        origin: (D,) float32 point near the data, zero for unit vectors. Blocks are relative to
            it, so that data far from zero keeps its precision. Each process has its own.
        total: number of points over all processes.
        numbers: (N,) int64 row numbers of `values` over all processes; None = 0..N-1.
        reduce: sums a tensor over all processes.
    """

    values: Tensor
    scale: Tensor | None
    squares: Tensor
    origin: Tensor
    total: int
    numbers: Tensor | None
    reduce: Reduce

    @classmethod
    def of(
        cls,
        points: Tensor,
        metric: Metric,
        *,
        rows: Tensor | None = None,
        reduce: Reduce = identity,
        width: int | None = None,
    ) -> PointCloud:
        """Check points and compute their squared norms; all processes succeed or all raise.

        Args:
            points: (N, D) floating point, N >= 0, on any device.
            metric: "spherical" treats rows as directions, "euclidean" as positions.
            rows: (N,) int64 row numbers of the points over all processes.
            reduce: sums a tensor over all processes; called once.
            width: the D of existing centroids.

        Raises:
            DataError: not a 2-D floating-point tensor, another width, invalid row numbers, or
                non-finite values, in this process or in another one.
        """
        problem = _problem(points, rows, width)
        fit = points.new_empty(0, 1, dtype=torch.float32) if problem else points
        origin = fit.new_zeros(fit.shape[1], dtype=torch.float32)
        if metric == "euclidean":
            # the mean of zero rows is NaN, and one non-finite value must not affect all rows
            origin = fit[:_ORIGIN_ROWS].float().mean(0).nan_to_num(0.0, 0.0, 0.0)
        squares = _squares(fit, origin)
        total = _agreed_total(squares, problem, reduce)
        if metric == "euclidean":
            return cls(points, None, squares, origin, total, rows, reduce)
        scale = torch.where(squares > 0, squares.rsqrt(), 0.0)[:, None]
        ones = squares.new_ones(()).expand(len(points))
        return cls(points, scale, ones, origin, total, rows, reduce)

    def __len__(self) -> int:
        """Number of points N in this process."""
        return self.values.shape[0]

    def ranges(self, k: int = 1, threads: int | None = None) -> list[slice]:
        """Return the row ranges of blocks sized for comparison with K centroids."""
        return block_ranges(len(self), self.values.device, k, threads)

    def part(self, rows: slice) -> PointCloud:
        """Return a range of the points of this process, with the same origin and total."""
        numbers = None if self.numbers is None else self.numbers[rows]
        scale = None if self.scale is None else self.scale[rows]
        return replace(
            self, values=self.values[rows], scale=scale, squares=self.squares[rows], numbers=numbers
        )

    def block(self, rows: slice | Tensor, room: Tensor | None = None) -> Tensor:
        """Return some rows, relative to the origin, as (b, D) float32.

        Args:
            rows: a range or the numbers (b,) of rows of this process.
            room: (>= b, D) float32 buffer for the block; None = allocate one.
        """
        values = self._picked(rows, room)
        out = None if room is None else room[: len(values)]
        if self.scale is None:
            return torch.sub(values, self.origin, out=out)
        return torch.mul(values, self.scale[rows], out=out)

    def take(self, rows: Tensor) -> Tensor:
        """Collect points by their row numbers (M,) over all processes.

        Returns:
            (M, D) float32, the same in all processes.

        Raises:
            DataError: a row number belongs to no point, or to several.
        """
        positions, held = self._positions(rows)
        picked = self.values.index_select(0, positions[held]).float()
        if self.scale is not None:
            picked = picked * self.scale[positions[held]]
        table = picked.new_zeros(len(rows), picked.shape[1] + 1)
        table[held] = torch.cat((picked, picked.new_ones(len(picked), 1)), 1)
        table = self.reduce(table)
        if not bool((table[:, -1] == 1).all()):
            raise DataError(
                f"each of the {self.total} points of all processes needs its own row number. "
                f"Pass fit the numbers, from 0 to {self.total - 1}, of the rows of each process."
            )
        return table[:, :-1].contiguous()

    def _picked(self, rows: slice | Tensor, room: Tensor | None) -> Tensor:
        if isinstance(rows, slice):
            return self.values[rows].float()
        if room is None or self.values.dtype != torch.float32:
            return self.values.index_select(0, rows).float()
        return torch.index_select(self.values, 0, rows, out=room[: len(rows)])

    def _positions(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Local positions of global row numbers (M,), and which of them this process holds."""
        if self.numbers is None or len(self) == 0:
            return rows, rows < len(self)
        ordered, order = self.numbers.to(rows.device).sort()
        place = torch.searchsorted(ordered, rows).clamp_max(len(self) - 1)
        return order[place], ordered[place] == rows


def _problem(points: Tensor, rows: Tensor | None, width: int | None) -> str | None:
    """Message about an invalid shape or dtype of points or row numbers, or None."""
    if points.ndim != 2 or not points.is_floating_point() or points.shape[1] == 0:
        return (
            f"k-means needs points as a floating-point (N, D) tensor with D >= 1, got "
            f"{points.dtype} {tuple(points.shape)}. Flatten feature maps to one row per pixel."
        )
    if width not in (None, points.shape[1]):
        return (
            f"points of width {points.shape[1]} do not match centroids of width {width}. Use "
            f"features of the network that the centroids were fitted on."
        )
    if rows is not None and (rows.dtype != torch.int64 or rows.shape != points.shape[:1]):
        return (
            f"row numbers must be int64 and one per point, ({len(points)},), got {rows.dtype} "
            f"{tuple(rows.shape)}. Number the points of all processes from 0."
        )
    return None


def _squares(points: Tensor, origin: Tensor) -> Tensor:
    squares = torch.empty(len(points), device=points.device)
    for rows in block_ranges(len(points), points.device):
        squares[rows] = (points[rows].float() - origin).square().sum(1)
    return squares


def _agreed_total(squares: Tensor, problem: str | None, reduce: Reduce) -> int:
    """Number of points over all processes; raises in all of them if one has a problem."""
    bad = (~squares.isfinite()).sum()
    local = torch.tensor([len(squares), 0, problem is not None], dtype=accumulator(squares.device))
    table = local.to(squares.device)
    table[1] = bad
    total, unfit, refusals = (int(value) for value in reduce(table).tolist())
    if problem:
        raise DataError(problem)
    if refusals:
        raise DataError(
            f"{refusals} other processes could not use their points for k-means. See their "
            f"messages."
        )
    if unfit:
        raise DataError(
            f"k-means got {unfit} of {total} points with values that are not finite or above "
            f"1e19. Check the features for NaN; a lower learning rate or float32 may help."
        )
    return total


def score_blocks(
    cloud: PointCloud, centroids: Tensor, pieces: Sequence[slice | Tensor]
) -> Iterator[tuple[slice | Tensor, Tensor, Tensor]]:
    """Score points against all centroids: (x - o).(c - o) - |c - o|^2 / 2, o the cloud's origin.

    The nearest centroid has the largest score, since |x - c|^2 is |x - o|^2 minus twice the score.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors if the cloud is spherical.
        pieces: ranges or numbers (b,) of rows, the longest first.

    Yields:
        Per piece: rows, block (b, D) float32 relative to o, scores (K, b) float32. The next piece
        overwrites both buffers.
    """
    weight = centroids - cloud.origin
    bias = -weight.to(accumulator(weight.device)).square().sum(1, keepdim=True).float() / 2
    k, width = centroids.shape
    longest = _length(pieces[0]) if pieces else 0
    # Both buffers are reused, because allocating fresh pages costs as much as writing to them. The
    # product is faster on a copy in cache, copying included, than on the points themselves.
    buffer, copies = centroids.new_empty(k * longest), centroids.new_empty(longest, width)
    for rows in pieces:
        block = cloud.block(rows, copies)
        scores = buffer[: k * len(block)].view(k, len(block))
        yield rows, block, torch.addmm(bias, weight, block.T, out=scores)


def best_rows(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum of each column and its row; ties go to the lowest row.

    Args:
        scores: (K, b) floating point; overwritten.

    Returns:
        best (b,) and rows (b,) int64.
    """
    best = scores.amax(0)
    # argmax in four vectorised steps: torch.argmax is four times slower on a CPU
    countdown = torch.arange(len(scores), 0, -1.0, device=scores.device)[:, None]
    return best, len(scores) - scores.ge_(best).mul_(countdown).amax(0).long()


def assign_blocks(
    cloud: PointCloud, centroids: Tensor, ranges: Sequence[slice] | None = None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Assign every point to its nearest centroid; ties go to the lowest cluster index.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors if the cloud is spherical.
        ranges: blocks of rows, the longest first; None = all points.

    Yields:
        Per block, in the order of the points: rows, block (b, D), best scores (b,) and labels (b,)
        int64. Buffers are overwritten as in `score_blocks`.
    """
    ranges = cloud.ranges(len(centroids)) if ranges is None else ranges
    scored = score_blocks(cloud, centroids, ranges)
    for rows, (_, block, scores) in zip(ranges, scored, strict=True):
        best, labels = best_rows(scores)
        yield rows, block, best, labels


def _length(rows: slice | Tensor) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)
