"""Time k-means against faiss and scikit-learn's MiniBatchKMeans on the CPU.

    python benchmarks/kmeans.py --points 100000 1000000 --clusters 27 100 512 --threads 1 2

Prints one line of JSON per setting. The points are unit vectors from a mixture of 200 groups of
unequal size; group centres and within-group noise both have a spectrum that decays like that of
network features. All methods start from the same K random points.

`picie` and `faiss` make the same number of full-batch updates, without subsampling; picie makes one
more assignment, for counts and objective. `sklearn` runs mini-batches with its default settings
until it converges, which does not take longer for more points. Its counterpart is `picie_sample`:
ten updates on the first max(32768, 128 K) points, which are in random order.

Seconds are medians over the repeats; in each repeat all methods run once. Ratios are medians of
(seconds of the other method) / (seconds of picie) in the same repeat, above 1 if picie is faster:
faiss / `picie`, sklearn / `picie_sample`. `objective` is the mean objective of all points (1 - cos,
or squared distance) for the centroids of each method, computed in the same way for all. Compare
seconds only together with the objective.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import faiss
import sklearn
import torch
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.kmeans.kmeans import KMeans

GROUPS = 200
RATIOS = {"faiss": "picie", "sklearn": "picie_sample"}


def mixture(count: int, width: int, seed: int = 0) -> Tensor:
    """Unit vectors (count, width) from groups of unequal size with a decaying spectrum."""
    draws = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, width + 1).pow(-0.5)
    centres = torch.randn(GROUPS, width, generator=draws) * spectrum
    shares = torch.arange(1, GROUPS + 1).pow(-0.7)
    groups = torch.multinomial(shares, count, replacement=True, generator=draws)
    noise = torch.randn(count, width, generator=draws)
    return normalize(noise.mul_(0.6 * spectrum).add_(centres[groups]), dim=1)


def rivals(
    args: argparse.Namespace, points: Tensor, start: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """The compared methods; each returns centroids (K, D) from the same points and start."""
    k, width = start.shape
    rows, first = points.numpy(), start.numpy()

    def ours() -> Tensor:
        model = KMeans(k, metric=args.metric, max_iter=args.iterations)
        return model.fit(points, start).cluster_centers_

    def ours_on_a_sample() -> Tensor:
        model = KMeans(k, metric=args.metric, max_iter=10)
        return model.fit(points[: max(32_768, 128 * k)], start).cluster_centers_

    def by_faiss() -> Tensor:
        model = faiss.Kmeans(
            width,
            k,
            niter=args.iterations,
            spherical=args.metric == "spherical",
            max_points_per_centroid=10**9,
        )
        model.train(rows, init_centroids=first)
        return torch.from_numpy(model.centroids)

    def by_sklearn() -> Tensor:
        model = MiniBatchKMeans(k, init=first, n_init=1, random_state=0).fit(rows)
        return torch.from_numpy(model.cluster_centers_)

    return {
        "picie": ours,
        "faiss": by_faiss,
        "picie_sample": ours_on_a_sample,
        "sklearn": by_sklearn,
    }


def measure(args: argparse.Namespace, points: Tensor, k: int, threads: int) -> dict[str, Any]:
    """One setting: seconds, ratios and objectives."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    draws = torch.Generator().manual_seed(1)
    start = points[torch.randperm(len(points), generator=draws)[:k]].clone()
    seconds: dict[str, list[float]] = {}
    objective: dict[str, float] = {}
    for _ in range(args.repeats):
        for name, learn in rivals(args, points, start).items():
            with threadpool_limits(threads):
                began = time.perf_counter()
                centroids = learn()
                seconds.setdefault(name, []).append(time.perf_counter() - began)
            judge = KMeans(k, metric=args.metric, max_iter=0).fit(points, centroids)
            objective[name] = judge.history_[-1]
    return {
        "points": len(points),
        "width": points.shape[1],
        "clusters": k,
        "threads": threads,
        "iterations": args.iterations,
        "metric": args.metric,
        "repeats": args.repeats,
        "seconds": {name: round(median(values), 4) for name, values in seconds.items()},
        "ratio": {
            name: round(_ratio(seconds[name], seconds[our]), 2) for name, our in RATIOS.items()
        },
        "objective": {name: round(value, 6) for name, value in objective.items()},
    }


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return median(their / our for their, our in zip(theirs, ours, strict=True))


def versions() -> dict[str, str]:
    """Versions and machine, which the times depend on."""
    return {
        "torch": torch.__version__,
        "faiss": faiss.__version__,
        "sklearn": sklearn.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--clusters", type=int, nargs="+", default=[27, 100, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--metric", choices=["spherical", "euclidean"], default="spherical")
    args = parser.parse_args()
    for count in args.points:
        points = mixture(count, args.width)
        for k in args.clusters:
            for threads in args.threads:
                result = measure(args, points, k, threads)
                print(json.dumps({**result, **versions()}), flush=True)


if __name__ == "__main__":
    main()
