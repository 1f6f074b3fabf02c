"""Initial centroids for k-means, and new ones for clusters that became empty."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from picie.clustering.kmeans.points import PointCloud, accumulator

__all__ = [
    "Init",
    "principal_directions",
    "random_points",
    "split_empty",
    "spread_points",
]

Init = Literal["k-means++", "pca", "random"]

SAMPLE_PER_CLUSTER = 32
SAMPLE_LEAST = 16_384
_SPLIT_STEP = 0.1  # in standard deviations along one axis: well inside the cluster
_FLAT = 1e-6  # directions below this share of the largest variance are numerical noise


def random_points(cloud: PointCloud, k: int, generator: torch.Generator) -> Tensor:
    """Draw K distinct rows uniformly over all processes; returns (K, D) float32."""
    return cloud.take(_rows(cloud, k, generator))


def spread_points(
    cloud: PointCloud, k: int, generator: torch.Generator, *, chosen: Tensor | None = None
) -> Tensor:
    """Draw initial centroids by greedy k-means++ (Arthur and Vassilvitskii, 2007).

    Works on a random sample of max(16,384, 32 K) points, or on all points if there are fewer. Each
    centroid is drawn with probability proportional to its squared distance to the nearest centroid
    so far; of 2 + ln K candidates, the one that lowers the sum of these distances most is kept.

    Args:
        cloud: points of width D, at least K over all processes.
        k: number of centroids, including those in `chosen`.
        generator: CPU generator of all draws.
        chosen: (J, D) float32 centroids that are already fixed, J <= K.

    Returns:
        (K, D) float32, `chosen` first. Centroids repeat if there are fewer than K distinct points.
    """
    size = min(cloud.total, max(SAMPLE_LEAST, SAMPLE_PER_CLUSTER * k))
    sample = cloud.take(_rows(cloud, size, generator))
    centre = sample.mean(0)
    sample -= centre  # avoids cancellation in the squared distances
    squares = sample.square().sum(1)
    starts = sample[:1] if chosen is None else chosen - centre  # the sample is in random order
    nearest = _squared_distances(starts, sample, squares).amin(0)
    draws = torch.rand(k, 2 + int(math.log(k)), generator=generator).to(sample.device)
    picked = [starts]
    for draw in draws[len(starts) :]:
        candidates = sample[_weighted_rows(nearest, draw)]
        options = _squared_distances(candidates, sample, squares).minimum(nearest)
        best = options.sum(1).argmin()
        nearest = options[best]
        picked.append(candidates[best][None])
    return torch.cat(picked) + centre


def principal_directions(cloud: PointCloud, k: int, generator: torch.Generator) -> Tensor:
    """Place initial centroids on both sides of the mean along the principal directions.

    Centroids 2i and 2i + 1 are mean +- sqrt(eigenvalue_i) * direction_i of the covariance of all
    points, largest variance first. Directions without variance are skipped; `spread_points` draws
    the centroids that are still missing. The largest component of each direction is made positive,
    so the result does not depend on the arbitrary sign of eigenvectors.

    Args:
        cloud: points of width D.
        k: number of centroids.
        generator: CPU generator for `spread_points`.

    Returns:
        (K, D) float32.
    """
    mean, covariance = _moments(cloud)
    variances, directions = torch.linalg.eigh(covariance.cpu())
    variances, directions = variances.flip(0), directions.T.flip(0)
    keep = int((variances > _FLAT * variances[0].clamp_min(1e-30)).sum())
    peak = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    steps = (variances.clamp_min(0).sqrt()[:, None] * directions * peak.sign())[:keep]
    steps = torch.stack((steps, -steps), 1).flatten(0, 1)[:k]
    starts = (mean + steps.to(mean)).float()
    if len(starts) == k:
        return starts
    chosen = starts if len(starts) else None
    return spread_points(cloud, k, generator, chosen=chosen)


def split_empty(
    centroids: Tensor, counts: Tensor, inertia: Tensor, generator: torch.Generator
) -> Tensor:
    """Split the cluster with the largest sum of squared distances for each empty cluster.

    The two centroids are the donor's plus and minus a step in a random direction, a tenth of its
    standard deviation along one axis. Each then counts with half of the donor's sum, so a cluster
    can be split several times. If no sum is positive, clusters stay empty.

    Args:
        centroids: (K, D) float32.
        counts: (K,) points per cluster.
        inertia: (K,) sums of squared distances to the centroids; a cluster of 0 is never split.
        generator: CPU generator of the directions; in the same state in all processes.

    Returns:
        (K, D) float32, a new tensor.
    """
    centroids, inertia = centroids.clone(), inertia.clone()
    radius = (inertia / counts.clamp_min(1)).sqrt().float()
    for empty in (counts == 0).nonzero()[:, 0].tolist():
        donor = int(inertia.argmax())
        if not inertia[donor] > 0:
            break
        direction = torch.randn(centroids.shape[1], generator=generator).to(centroids)
        axis_deviation = radius[donor] / len(direction) ** 0.5
        step = _SPLIT_STEP * axis_deviation * direction / direction.norm()
        centroids[empty] = centroids[donor] - step
        centroids[donor] += step
        radius[empty] = radius[donor]
        inertia[[empty, donor]] = inertia[donor] / 2
    return centroids


def _rows(cloud: PointCloud, size: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(cloud.total, generator=generator)[:size].to(cloud.values.device)


def _squared_distances(centres: Tensor, sample: Tensor, squares: Tensor) -> Tensor:
    """Squared distances (J, M) of centres (J, D) and sample (M, D) with squared norms (M,)."""
    bias = centres.square().sum(1)[:, None] + squares
    return torch.addmm(bias, centres, sample.T, alpha=-2).clamp_min_(0)


def _weighted_rows(weights: Tensor, draws: Tensor) -> Tensor:
    """Rows (T,) sampled in proportion to the weights, from uniform draws (T,) in [0, 1)."""
    ends = weights.to(accumulator(weights.device)).cumsum(0)
    rows = torch.searchsorted(ends, draws.to(ends) * ends[-1], right=True)
    return rows.clamp_max(len(weights) - 1)


def _moments(cloud: PointCloud) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) over all processes, accumulated in float64 over blocks."""
    wide = accumulator(cloud.values.device)
    width = cloud.values.shape[1]
    total = torch.zeros(width + 1, dtype=wide, device=cloud.values.device)
    for rows in cloud.ranges():
        total[:-1] += cloud.block(rows).sum(0)
    total[-1] = len(cloud)
    total[:-1] += len(cloud) * cloud.origin
    total = cloud.reduce(total)
    count, mean = total[-1], total[:-1] / total[-1]
    shift = (mean - cloud.origin).float()
    scatter = torch.zeros(width, width, dtype=wide, device=cloud.values.device)
    for rows in cloud.ranges():
        centred = cloud.block(rows) - shift
        scatter += centred.T @ centred
    return mean, cloud.reduce(scatter) / count
