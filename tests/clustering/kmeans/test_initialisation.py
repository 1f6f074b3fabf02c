import pytest
import torch
from torch import Tensor

from picie.clustering.kmeans import initialisation
from picie.clustering.kmeans.initialisation import (
    principal_directions,
    random_points,
    split_empty,
    spread_points,
)
from picie.clustering.kmeans.points import PointCloud


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud_of(points: Tensor) -> PointCloud:
    return PointCloud.of(points, "euclidean")


def gap(rows: Tensor, others: Tensor) -> float:
    """Largest distance of a row to the nearest of the others."""
    return float((rows[:, None] - others[None]).square().sum(2).amin(1).max().sqrt())


def distinct(rows: Tensor) -> int:
    return len({tuple(row) for row in rows.tolist()})


@pytest.fixture
def points() -> Tensor:
    stretch = torch.tensor([5.0, 3.0, 1.0, 0.2])
    return torch.randn(400, 4, generator=generator(1)) * stretch + 10


def test_random_points_are_different_rows(points: Tensor) -> None:
    picked = random_points(cloud_of(points), 400, generator())
    assert torch.equal(picked.sort(0).values, points.sort(0).values)
    assert not torch.equal(picked, points)


def test_spread_points_are_points(points: Tensor) -> None:
    picked = spread_points(cloud_of(points), 12, generator())
    assert picked.shape == (12, 4)
    assert gap(picked, points) < 1e-4
    assert distinct(picked) == 12


def test_spread_points_find_every_blob() -> None:
    centres = torch.eye(9) * 100
    blobs = centres.repeat_interleave(30, 0) + torch.randn(270, 9, generator=generator())
    for seed in range(5):
        picked = spread_points(cloud_of(blobs), 9, generator(seed))
        assert sorted(picked.argmax(1).tolist()) == list(range(9))


def test_spread_points_draw_by_squared_distance() -> None:
    line = torch.tensor([0.0, 1.0, 3.0])[:, None]
    draws = torch.linspace(0, 1, 1001)[:-1]
    rows = initialisation._weighted_rows(line[:, 0].square(), draws)
    assert rows.bincount(minlength=3).tolist() == pytest.approx([0, 100, 900], abs=2)


def test_spread_points_of_too_few_distinct_points_repeat_them() -> None:
    twice = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).repeat(10, 1)
    picked = spread_points(cloud_of(twice), 5, generator())
    assert picked.isfinite().all()
    assert gap(picked, twice[:2]) < 1e-5
    assert gap(twice[:2], picked) < 1e-5


def test_spread_points_use_a_sample(monkeypatch: pytest.MonkeyPatch, points: Tensor) -> None:
    monkeypatch.setattr(initialisation, "SAMPLE_LEAST", 50)
    monkeypatch.setattr(initialisation, "SAMPLE_PER_CLUSTER", 1)
    allowed = points[torch.randperm(400, generator=generator())[:50]]
    picked = spread_points(cloud_of(points), 20, generator())
    assert gap(picked, allowed) < 1e-4


def test_principal_directions_equal_the_singular_value_decomposition(points: Tensor) -> None:
    found = principal_directions(cloud_of(points), 6, generator())
    centred = points - points.mean(0)
    _, lengths, rows = torch.linalg.svd(centred, full_matrices=False)
    for i in range(3):
        step = rows[i] * lengths[i] / 400**0.5
        step = step * step[step.abs().argmax()].sign()
        torch.testing.assert_close(found[2 * i], points.mean(0) + step, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[2 * i + 1], points.mean(0) - step, rtol=1e-4, atol=1e-4)


def test_principal_directions_of_an_odd_number(points: Tensor) -> None:
    even = principal_directions(cloud_of(points), 4, generator())
    assert torch.equal(principal_directions(cloud_of(points), 3, generator()), even[:3])


def test_principal_directions_are_filled_up_with_spread_points(points: Tensor) -> None:
    found = principal_directions(cloud_of(points), 11, generator())
    assert gap(found[8:], points) < 1e-4
    assert distinct(found) == 11


@pytest.mark.parametrize("k", [1, 2, 5])
def test_principal_directions_of_one_repeated_point(k: int) -> None:
    found = principal_directions(cloud_of(torch.ones(8, 3)), k, generator())
    torch.testing.assert_close(found, torch.ones(k, 3))


def test_split_halves_the_widest_cluster_not_the_largest() -> None:
    centroids = torch.tensor([[0.0, 0.0], [9.0, 9.0], [5.0, 5.0]])
    counts = torch.tensor([100.0, 0.0, 10.0], dtype=torch.float64)
    inertia = torch.tensor([2.0, 0.0, 40.0], dtype=torch.float64)
    after = split_empty(centroids, counts, inertia, generator())
    assert torch.equal(after[0], centroids[0])
    torch.testing.assert_close((after[1] + after[2]) / 2, centroids[2])
    # standard deviation along one axis: sqrt(40 / 10 / 2); a tenth of it to either side
    assert (after[1] - after[2]).norm().item() == pytest.approx(0.2 * 2**0.5, rel=1e-5)
    assert centroids[1].tolist() == [9.0, 9.0]


def test_split_serves_many_empty_clusters() -> None:
    counts = torch.tensor([8.0, 0.0, 0.0, 0.0, 0.0])
    after = split_empty(torch.zeros(5, 3), counts, torch.tensor([8.0, 0, 0, 0, 0]), generator())
    assert distinct(after) == 5


def test_split_leaves_empty_clusters_where_nothing_has_width() -> None:
    centroids = torch.rand(3, 2)
    after = split_empty(centroids, torch.tensor([3.0, 0.0, 2.0]), torch.zeros(3), generator())
    assert torch.equal(after, centroids)
