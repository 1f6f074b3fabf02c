"""Full-batch k-means (Lloyd) in torch, on the device of the points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.kmeans.initialisation import (
    Init,
    principal_directions,
    random_points,
    split_empty,
    spread_points,
)
from picie.clustering.kmeans.points import Metric, PointCloud, Reduce, assign_blocks, identity
from picie.clustering.kmeans.statistics import RunningStatistics, Statistics
from picie.errors import ConfigError, DataError, NotFittedError
from picie.runtime.random import Stream, torch_generator

__all__ = ["KMeans"]

_POINT_LIKE = 1e-6  # relative variance below which a cluster is a single point in float32


@dataclass(frozen=True)
class _Fit:
    centroids: Tensor
    counts: Tensor
    history: list[float]
    iterations: int


class KMeans:
    """K-means with a defined rule for empty clusters: each one splits the widest cluster.

    After an update, each empty cluster in turn splits the cluster with the largest sum of squared
    distances: the two centroids are its centroid plus and minus a seeded random step of a tenth of
    its standard deviation along one axis. The reduced sums determine the split, so it is the same
    in all processes. The objective almost never increases: points go to the nearer of the two
    centroids, which gains more than the step costs unless the step is nearly orthogonal to the
    cluster (then the sum of that cluster increases by at most 0.01 / D of itself). If no cluster
    has any variance (fewer distinct points than K), empty clusters keep count 0.

    All points are used, without subsampling; only "k-means++" draws the initial centroids from a
    sample of max(16,384, 32 K) points. Points are read in blocks and never copied as a whole. On a
    CPU the same points, seed and number of threads give bit-identical results.

    Args:
        n_clusters: number of clusters K >= 1.
        metric: "spherical" maximises the cosine: points are normalised to unit length, and
            centroids after each update (Dhillon and Modha, 2001; a zero point has cosine 0).
            "euclidean" minimises the squared distance; centroids are plain means.
        init: "random": K distinct rows. "k-means++": greedy k-means++. "pca": mean +- one standard
            deviation along the principal directions, largest first; beyond 2 D by k-means++.
        max_iter: maximum number of updates of `fit`.
        tol: `fit` stops when the relative decrease of the objective is at most this; 0 stops
            when the objective no longer decreases.
        seed: seed of all random draws.
        reduce: sums a tensor over all processes; identity for a single one. Each process passes
            its part of the points, and all learn the same centroids. They must make the same
            calls; an error in one of them is raised in all.

    Example:
        >>> import torch
        >>> points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> KMeans(2).fit(points).counts_.tolist()
        [2, 2]
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        metric: Metric = "spherical",
        init: Init = "k-means++",
        max_iter: int = 20,
        tol: float = 0.0,
        seed: int = 0,
        reduce: Reduce = identity,
    ) -> None:
        """Store the settings; `fit` checks them."""
        self.n_clusters = n_clusters
        self.metric = metric
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed
        self.reduce = reduce
        self._fit: _Fit | None = None

    @property
    def cluster_centers_(self) -> Tensor:
        """(K, D) float32 centroids; unit vectors if spherical."""
        return self._fitted().centroids

    @property
    def counts_(self) -> Tensor:
        """(K,) int64 number of points nearest to each of `cluster_centers_`."""
        return self._fitted().counts

    @property
    def history_(self) -> list[float]:
        """Objective of each assignment, starting with that to the initial centroids.

        Spherical: mean of 1 - cos. Euclidean: mean squared distance. There is one entry more than
        updates; the last one belongs to `cluster_centers_`.
        """
        return self._fitted().history

    @property
    def n_iter_(self) -> int:
        """Number of updates."""
        return self._fitted().iterations

    def fit(
        self, points: Tensor, centroids: Tensor | None = None, *, rows: Tensor | None = None
    ) -> Self:
        """Learn centroids from all points (Lloyd's algorithm).

        Args:
            points: (N, D) floating point on any device, N >= K over all processes; with several
                processes the part of this one, N >= 0.
            centroids: (K, D) initial centroids; None = computed as `init` says.
            rows: (N,) int64 row numbers of these points over all processes, where each number
                0..N_total-1 occurs once. Initial centroids are drawn by row number, so they do
                not depend on how the points are distributed. None: 0..N-1, one process.

        Raises:
            ConfigError: a setting is unknown or out of range.
            DataError: wrong shape or dtype, non-finite values, fewer points than K, row numbers
                that are missing or repeated.
        """
        self._check_settings()
        with _plain_float32(points.device):
            cloud = PointCloud.of(points, self.metric, rows=rows, reduce=self.reduce)
            self._check_enough(cloud.total, self.n_clusters)
            start = self._start(cloud) if centroids is None else self._given(cloud, centroids)
            self._fit = self._lloyd(cloud, start)
        return self

    def predict(self, points: Tensor) -> Tensor:
        """Return the nearest cluster of each point, (N,) int64; ties go to the lowest index.

        Args:
            points: (N, D) floating point on the device of the centroids.

        Raises:
            NotFittedError: `fit` has not run.
            DataError: wrong shape or dtype, non-finite values.
        """
        centroids = self.cluster_centers_
        with _plain_float32(points.device):
            cloud = PointCloud.of(points, self.metric, width=centroids.shape[1])
            nearest = torch.empty(len(cloud), dtype=torch.int64, device=points.device)
            for rows, *_, labels in assign_blocks(cloud, centroids):
                nearest[rows] = labels
        return nearest

    def _lloyd(self, cloud: PointCloud, centroids: Tensor) -> _Fit:
        generator = torch_generator(Stream.KMEANS_REPAIR, self.seed)
        running = RunningStatistics(cloud, self.n_clusters)
        history: list[float] = []
        repaired = False
        for done in range(self.max_iter + 1):
            statistics = self._shared(running.update(centroids))
            updated = self._updated(statistics, centroids)
            # one transfer from the device per iteration
            checks = (statistics.counts == 0).sum(), (updated != centroids).any()
            objective, empty, moved = torch.stack(
                (self._objective(statistics), *(check.to(statistics.counts) for check in checks))
            ).tolist()
            history.append(objective)
            if empty:
                updated = self._repaired(updated, centroids, statistics, generator)
                moved = not torch.equal(updated, centroids)
            elif not repaired and self._stands_still(history):
                break
            if done == self.max_iter or not moved:
                break
            centroids, repaired = updated, bool(empty)
        return _Fit(centroids, statistics.counts.long(), history, done)

    def _stands_still(self, history: list[float]) -> bool:
        return len(history) > 1 and history[-2] - history[-1] <= self.tol * history[-2]

    def _shared(self, local: Statistics) -> Statistics:
        return Statistics.unpack(self.reduce(local.pack()))

    def _objective(self, statistics: Statistics) -> Tensor:
        mean = statistics.inertia.sum() / statistics.counts.sum()
        return mean / 2 if self.metric == "spherical" else mean  # |u - c|^2 = 2 (1 - cos)

    def _updated(self, statistics: Statistics, centroids: Tensor) -> Tensor:
        means = statistics.sums / statistics.counts.clamp_min(1)[:, None]
        # if opposite unit vectors cancel out, the mean has no direction
        usable = statistics.counts > 0
        if self.metric == "spherical":
            usable &= means.norm(dim=1) > _POINT_LIKE
        return torch.where(usable[:, None], self._projected(means), centroids)

    def _projected(self, centroids: Tensor) -> Tensor:
        if self.metric == "spherical":
            centroids = normalize(centroids, dim=1)
        return centroids.float()

    def _repaired(
        self, updated: Tensor, before: Tensor, statistics: Statistics, generator: torch.Generator
    ) -> Tensor:
        shift = (updated - before).square().sum(1)
        inertia = (statistics.inertia - statistics.counts * shift).clamp_min(
            0
        )  # parallel axis theorem
        spread = 1.0 if self.metric == "spherical" else statistics.spread()
        pointlike = inertia <= _POINT_LIKE * statistics.counts * spread
        inertia = inertia.masked_fill(pointlike, 0.0)
        return self._projected(split_empty(updated, statistics.counts, inertia, generator))

    def _start(self, cloud: PointCloud) -> Tensor:
        generator = torch_generator(Stream.KMEANS_START, self.seed)
        if self.init == "pca":
            return self._projected(principal_directions(cloud, self.n_clusters, generator))
        draw = random_points if self.init == "random" else spread_points
        return self._projected(draw(cloud, self.n_clusters, generator))

    def _given(self, cloud: PointCloud, centroids: Tensor) -> Tensor:
        expected = (self.n_clusters, cloud.values.shape[1])
        if tuple(centroids.shape) != expected or not bool(centroids.isfinite().all()):
            raise DataError(
                f"starting centroids must be finite and of shape {expected}, "
                f"got {tuple(centroids.shape)}. Pass None to let init choose them."
            )
        return self._projected(centroids.detach().to(cloud.values.device, torch.float32).clone())

    def _check_settings(self) -> None:
        if self.n_clusters < 1 or self.max_iter < 0 or not self.tol >= 0:
            raise ConfigError(
                f"k-means needs n_clusters >= 1, max_iter >= 0 and tol >= 0, got "
                f"n_clusters={self.n_clusters}, max_iter={self.max_iter}, tol={self.tol}."
            )
        for name, known in (("metric", get_args(Metric)), ("init", get_args(Init))):
            if (value := getattr(self, name)) not in known:
                raise ConfigError(f"k-means {name} {value!r} is unknown. Use {', '.join(known)}.")

    def _check_enough(self, total: int, least: int) -> None:
        if total < least:
            raise DataError(
                f"k-means got {total} points for {self.n_clusters} clusters. Use fewer clusters, "
                f"more images, or more pixels per image (--kmeans-pixels)."
            )

    def _fitted(self) -> _Fit:
        if self._fit is None:
            raise NotFittedError("this KMeans has no centroids yet. Call fit(points) first.")
        return self._fit


@contextmanager
def _plain_float32(device: torch.device) -> Iterator[None]:
    """Disable gradients, and half precision of an enclosing autocast."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
