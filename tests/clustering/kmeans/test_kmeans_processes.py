"""K-means with the points spread over processes."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from picie.clustering.kmeans import initialisation
from picie.clustering.kmeans.initialisation import Init
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.kmeans.points import Metric, Reduce
from picie.errors import DataError

METRICS: tuple[Metric, ...] = get_args(Metric)
INITS: tuple[Init, ...] = get_args(Init)
PARTS = {"two": [200, 400], "three": [5, 0, 595]}


def cloud(n: int = 600, d: int = 6, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(8, d, generator=draws)
    rows = torch.randint(8, (n,), generator=draws)
    return centres[rows] + torch.randn(n, d, generator=draws) + 3


def spread(total: int, sizes: list[int]) -> list[Tensor]:
    """Row numbers of each process, in no order."""
    numbers = torch.randperm(total, generator=torch.Generator().manual_seed(9))
    return list(numbers.split(sizes))


def together(count: int, work: Callable[[int, Reduce], Any]) -> list[Any]:
    """What each of some threads returns, or raises, that add tensors up like processes do."""
    barrier, parts = Barrier(count), [torch.empty(0)] * count
    results: list[Any] = [None] * count

    def job(rank: int) -> None:
        def add_up(table: Tensor) -> Tensor:
            parts[rank] = table
            barrier.wait(timeout=20)
            total = torch.stack(parts).sum(0)
            barrier.wait(timeout=20)
            return total

        try:
            results[rank] = work(rank, add_up)
        except DataError as error:
            results[rank] = error

    threads = [Thread(target=job, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def assert_same(found: KMeans, expected: KMeans) -> None:
    torch.testing.assert_close(
        found.cluster_centers_, expected.cluster_centers_, rtol=1e-4, atol=1e-4
    )
    assert torch.equal(found.counts_, expected.counts_)
    assert found.history_ == pytest.approx(expected.history_, rel=1e-5)
    assert found.n_iter_ == expected.n_iter_


@pytest.mark.parametrize("sizes", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("init", INITS)
def test_several_processes_equal_one(sizes: list[int], metric: Metric, init: Init) -> None:
    # a cluster more than "pca" has directions for, so that it too draws points
    settings: dict[str, Any] = {"metric": metric, "init": init, "max_iter": 6, "seed": 3}
    points, rows = cloud(), spread(600, sizes)

    def work(rank: int, reduce: Reduce) -> KMeans:
        return KMeans(13, **settings, reduce=reduce).fit(points[rows[rank]], rows=rows[rank])

    fits = together(len(sizes), work)
    for fit in fits:
        assert_same(fit, KMeans(13, **settings).fit(points))
        assert torch.equal(fit.cluster_centers_, fits[0].cluster_centers_)


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_starts_are_the_same_bytes_however_points_are_spread(
    init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialisation, "SAMPLE_LEAST", 50)
    monkeypatch.setattr(initialisation, "SAMPLE_PER_CLUSTER", 1)
    points, rows = cloud(), spread(600, [150, 450])

    def work(rank: int, reduce: Reduce) -> KMeans:
        model = KMeans(8, init=init, max_iter=0, reduce=reduce)
        return model.fit(points[rows[rank]], rows=rows[rank])

    alone = KMeans(8, init=init, max_iter=0).fit(points)
    for fit in together(2, work):
        assert torch.equal(fit.cluster_centers_, alone.cluster_centers_)


@pytest.mark.parametrize("start", [None, cloud()[:5]])
def test_points_are_counted_over_all_processes(start: Tensor | None) -> None:
    def fit(points: Tensor) -> list[Any]:
        def work(rank: int, reduce: Reduce) -> KMeans:
            rows = torch.arange(len(points))[rank::2]
            return KMeans(5, reduce=reduce).fit(points[rank::2], start, rows=rows)

        return together(2, work)

    assert all(isinstance(one, KMeans) for one in fit(cloud(n=5)))
    assert all("4 points for 5 clusters" in str(error) for error in fit(cloud(n=4)))


def test_a_bad_part_is_an_error_in_all_processes() -> None:
    bad = cloud()
    bad[3, 2] = float("nan")

    def work(rank: int, reduce: Reduce) -> KMeans:
        model = KMeans(5, reduce=reduce).fit(cloud(), cloud()[:5])
        return model.fit(bad if rank else cloud())

    for error in together(2, work):
        assert "1 of 1200 points with values that are not finite" in str(error)


def test_forgotten_row_numbers_are_an_error_in_all_processes() -> None:
    def work(_: int, reduce: Reduce) -> KMeans:
        return KMeans(5, reduce=reduce).fit(cloud())

    for error in together(2, work):
        assert "Pass fit the numbers, from 0 to 1199, of the rows of each process" in str(error)


def test_real_processes_equal_one(pair: Path) -> None:
    points, _ = torch.load(pair / "points.pt")
    alone = KMeans(8).fit(points)
    found = [torch.load(pair / f"centres{rank}.pt") for rank in range(2)]
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(found[0], alone.cluster_centers_, rtol=1e-4, atol=1e-4)
