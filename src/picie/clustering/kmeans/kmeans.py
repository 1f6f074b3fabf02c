"""K-means in torch, on the device of its points, over all of them at once (Lloyd)."""

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

_POINT_LIKE = 1e-6  # squared radius over squared size of the data that float32 takes for 0


@dataclass(frozen=True)
class _Fit:
    centroids: Tensor
    counts: Tensor
    history: list[float]
    iterations: int


class KMeans:
    """K-means with a stated empty-cluster rule: an empty cluster takes half of the widest one.

    After an update each empty cluster in turn picks the cluster with the largest sum of squared
    distances; both centroids become its centroid plus and minus a seeded random step of a tenth
    of its standard deviation along one axis. The reduced sums suffice for this, so all processes
    do the same, and the objective practically never rises: points go to the nearer of the two,
    which gains more than the step costs unless the step is almost orthogonal to the cluster (then
    that cluster's sum rises by at most its 0.01 / D). When no cluster has any width (fewer
    distinct points than K), empty clusters stay with count 0.

    All points are used, without subsampling; the starts of "k-means++" are drawn from a sample of
    max(16,384, 32 K) points. Points are read in blocks and never copied as a whole. The same
    points, seed and thread count give the same bytes on a CPU.

    Args:
        n_clusters: number of clusters K >= 1.
        metric: "spherical" maximises the cosine: points are read as unit vectors and centroids
            are made unit vectors after each update (Dhillon and Modha, 2001; a zero point has
            cosine 0). "euclidean" minimises the squared distance, centroids are plain means.
        init: "random": K different rows. "k-means++": greedy. "pca": mean +- one standard
            deviation along the principal directions, largest first; beyond 2 D by k-means++.
        max_iter: most updates of `fit`.
        tol: `fit` stops when the objective drops by no more than this share; 0 stops when
            it stands still.
        seed: of all random draws.
        reduce: adds a tensor up over all processes and returns the sum; identity for one. All
            processes, each with its part of the points, then learn the same centroids; they must
            make the same calls. What is wrong in one of them raises in all.

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
        """Store the settings; nothing is computed or checked before `fit`."""
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
        """(K, D) float32 centroids, unit vectors when spherical."""
        return self._fitted().centroids

    @property
    def counts_(self) -> Tensor:
        """(K,) int64 points nearest to each of `cluster_centers_`."""
        return self._fitted().counts

    @property
    def history_(self) -> list[float]:
        """Mean objective of each assignment, the one to the starting centroids first.

        Spherical: mean of 1 - cos. Euclidean: mean squared distance. `fit` makes one entry more
        than updates, so that the last entry belongs to `cluster_centers_`.
        """
        return self._fitted().history

    @property
    def n_iter_(self) -> int:
        """Number of updates made."""
        return self._fitted().iterations

    def fit(
        self, points: Tensor, centroids: Tensor | None = None, *, rows: Tensor | None = None
    ) -> Self:
        """Learn centroids from all points at once (Lloyd).

        Args:
            points: (N, D) floating point on any device, N >= K over all processes; with several
                processes the part of this one, N >= 0.
            centroids: (K, D) starting centroids; None makes them as `init` says.
            rows: (N,) int64 numbers of these points among those of all processes, which have
                0..N_total-1, each once: starts are drawn by number, so that they do not depend
                on how the points are spread. None: 0..N-1, one process.

        Raises:
            ConfigError: a setting that does not exist or is out of range.
            DataError: wrong shape or dtype, values that are not finite, fewer points than K, row
                numbers that are missing or stand twice.
        """
        self._check_settings()
        with _plain_float32(points.device):
            cloud = PointCloud.of(points, self.metric, rows=rows, reduce=self.reduce)
            self._check_enough(cloud.total, self.n_clusters)
            start = self._start(cloud) if centroids is None else self._given(cloud, centroids)
            self._fit = self._lloyd(cloud, start)
        return self

    def predict(self, points: Tensor) -> Tensor:
        """Return the nearest cluster of each point, (N,) int64; ties go to the lowest number.

        Args:
            points: (N, D) floating point on the device of the centroids.

        Raises:
            NotFittedError: `fit` has not run.
            DataError: wrong shape or dtype, values that are not finite.
        """
        centroids = self.cluster_centers_
        with _plain_float32(points.device):
            cloud = PointCloud.of(points, self.metric, width=centroids.shape[1])
            found = torch.empty(len(cloud), dtype=torch.int64, device=points.device)
            for rows, *_, labels in assign_blocks(cloud, centroids):
                found[rows] = labels
        return found

    def _lloyd(self, cloud: PointCloud, centroids: Tensor) -> _Fit:
        generator = torch_generator(Stream.KMEANS_REPAIR, self.seed)
        running = RunningStatistics(cloud, self.n_clusters)
        history: list[float] = []
        repaired = False
        for done in range(self.max_iter + 1):
            found = self._shared(running.update(centroids))
            updated = self._updated(found, centroids)
            # the only values that leave the device: one small transfer per iteration
            checks = (found.counts == 0).sum(), (updated != centroids).any()
            objective, empty, moved = torch.stack(
                (self._objective(found), *(check.to(found.counts) for check in checks))
            ).tolist()
            history.append(objective)
            if empty:
                updated = self._repaired(updated, centroids, found, generator)
                moved = not torch.equal(updated, centroids)
            elif not repaired and self._stands_still(history):
                break
            if done == self.max_iter or not moved:
                break
            centroids, repaired = updated, bool(empty)
        return _Fit(centroids, found.counts.long(), history, done)

    def _stands_still(self, history: list[float]) -> bool:
        return len(history) > 1 and history[-2] - history[-1] <= self.tol * history[-2]

    def _shared(self, found: Statistics) -> Statistics:
        return Statistics.unpack(self.reduce(found.pack()))

    def _objective(self, found: Statistics) -> Tensor:
        mean = found.inertia.sum() / found.counts.sum()
        return mean / 2 if self.metric == "spherical" else mean  # |u - c|^2 = 2 (1 - cos)

    def _updated(self, found: Statistics, centroids: Tensor) -> Tensor:
        means = found.sums / found.counts.clamp_min(1)[:, None]
        # opposite unit vectors cancel out: such a mean has no direction to take
        usable = found.counts > 0
        if self.metric == "spherical":
            usable &= means.norm(dim=1) > _POINT_LIKE
        return torch.where(usable[:, None], self._projected(means), centroids)

    def _projected(self, centroids: Tensor) -> Tensor:
        if self.metric == "spherical":
            centroids = normalize(centroids, dim=1)
        return centroids.float()

    def _repaired(
        self, updated: Tensor, before: Tensor, found: Statistics, generator: torch.Generator
    ) -> Tensor:
        shift = (updated - before).square().sum(1)
        inertia = (found.inertia - found.counts * shift).clamp_min(0)  # parallel axis theorem
        spread = 1.0 if self.metric == "spherical" else found.spread()
        pointlike = inertia <= _POINT_LIKE * found.counts * spread
        inertia = inertia.masked_fill(pointlike, 0.0)
        return self._projected(split_empty(updated, found.counts, inertia, generator))

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
                f"got {tuple(centroids.shape)}. Leave them out to let init make them."
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
    """No gradients, and no half precision inside a caller's autocast."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
