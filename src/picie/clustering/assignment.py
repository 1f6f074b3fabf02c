"""Nearest-centroid search over many points, one block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from picie.clustering.points import PointCloud, accumulator

__all__ = ["assign_blocks", "best_rows", "score_blocks"]


def score_blocks(
    cloud: PointCloud, centroids: Tensor, pieces: Sequence[slice | Tensor]
) -> Iterator[tuple[slice | Tensor, Tensor, Tensor]]:
    """Compare points with all centroids: (x - o).(c - o) - |c - o|^2 / 2.

    o is the cloud's origin. The nearest centroid has the largest score, since |x - c|^2 is
    |x - o|^2 minus twice the score.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors when the cloud is spherical.
        pieces: ranges or numbers (b,) of rows, the longest first.

    Yields:
        rows, block (b, D) float32 relative to o, scores (K, b) float32, piece by piece. The next
        piece overwrites both.
    """
    weight = centroids - cloud.origin
    bias = -weight.to(accumulator(weight.device)).square().sum(1, keepdim=True).float() / 2
    k, width = centroids.shape
    most = _length(pieces[0]) if pieces else 0
    # Reused, as fresh pages cost as much as what is written to them. The product is faster on a
    # copy in the cache, copying included, than on the points themselves.
    room, copies = centroids.new_empty(k * most), centroids.new_empty(most, width)
    for rows in pieces:
        block = cloud.block(rows, copies)
        scores = room[: k * len(block)].view(k, len(block))
        yield rows, block, torch.addmm(bias, weight, block.T, out=scores)


def best_rows(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Find the largest of each column and its row; ties go to the lowest row.

    Args:
        scores: (K, b) floating point; overwritten.

    Returns:
        best (b,) and rows (b,) int64.
    """
    best = scores.amax(0)
    # argmax in four vectorised steps: PyTorch's own is four times slower on a CPU
    countdown = torch.arange(len(scores), 0, -1.0, device=scores.device)[:, None]
    return best, len(scores) - scores.ge_(best).mul_(countdown).amax(0).long()


def assign_blocks(
    cloud: PointCloud, centroids: Tensor, ranges: Sequence[slice] | None = None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Find the nearest centroid of every point; ties go to the lowest cluster number.

    Args:
        cloud: N points of width D, those of this process.
        centroids: (K, D) float32; unit vectors when the cloud is spherical.
        ranges: blocks of rows, the longest first; None = those of all points.

    Yields:
        rows, block (b, D), best scores (b,) and labels (b,) int64, in the order of the points,
        as in `score_blocks`.
    """
    ranges = cloud.ranges(len(centroids)) if ranges is None else ranges
    found = score_blocks(cloud, centroids, ranges)
    for rows, (_, block, scores) in zip(ranges, found, strict=True):
        best, labels = best_rows(scores)
        yield rows, block, best, labels


def _length(rows: slice | Tensor) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)
