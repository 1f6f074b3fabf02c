import pytest
import torch
from torch import Tensor

from picie.clustering import assignment
from picie.clustering.assignment import Metric, PointCloud, Statistics, assign_blocks, statistics
from picie.errors import DataError


@pytest.fixture
def points() -> Tensor:
    return torch.randn(70, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "_CPU_ROWS", 16)


def labels_of(cloud: PointCloud, centroids: Tensor) -> Tensor:
    return torch.cat([labels for *_, labels in assign_blocks(cloud, centroids)])


@pytest.mark.usefixtures("small_blocks")
def test_nearest_is_the_brute_force_one(points: Tensor) -> None:
    centroids = points[:7] * 1.5
    found = labels_of(PointCloud.of(points, "euclidean"), centroids)
    assert found.dtype == torch.int64
    assert torch.equal(found, torch.cdist(points, centroids).argmin(1))


@pytest.mark.usefixtures("small_blocks")
def test_nearest_spherical_is_the_largest_cosine(points: Tensor) -> None:
    centroids = torch.nn.functional.normalize(points[:7], dim=1)
    cosine = torch.cosine_similarity(points[:, None], centroids[None], dim=2)
    assert torch.equal(labels_of(PointCloud.of(points, "spherical"), centroids), cosine.argmax(1))


def test_ties_go_to_the_lowest_number() -> None:
    centroids = torch.tensor([[5.0, 5.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    points = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert labels_of(PointCloud.of(points, "euclidean"), centroids).tolist() == [1, 1]


def test_data_far_from_zero_keeps_its_digits(points: Tensor) -> None:
    points = (points * 64).round() / 64  # exact after the shift too
    near = statistics(PointCloud.of(points, "euclidean"), points[:7])
    far = statistics(PointCloud.of(points + 4096, "euclidean"), points[:7] + 4096)
    assert torch.equal(far.counts, near.counts)
    torch.testing.assert_close(far.inertia, near.inertia, rtol=1e-3, atol=1e-2)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_statistics_equal_a_loop(points: Tensor, metric: Metric) -> None:
    centroids = torch.nn.functional.normalize(points[:4], dim=1)
    found = statistics(PointCloud.of(points, metric), centroids)
    sums, counts, inertia = torch.zeros(4, 5).double(), [0] * 4, [0.0] * 4
    for point in points.double():
        seen = point / point.norm() if metric == "spherical" else point
        distances = [float((seen - c).square().sum()) for c in centroids.double()]
        k = distances.index(min(distances))
        sums[k] += seen
        counts[k] += 1
        inertia[k] += distances[k]
    assert found.counts.tolist() == counts
    torch.testing.assert_close(found.sums, sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.inertia, torch.tensor(inertia).double(), rtol=1e-5, atol=1e-5)


def test_both_ways_to_sum_by_label_agree(points: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    centroids = points[:4]
    cloud = PointCloud.of(points, "euclidean")
    on_cpu = statistics(cloud, centroids).pack()

    def product(values: Tensor, labels: Tensor, k: int) -> Tensor:
        return assignment._sum_by_product(values, labels, k)

    monkeypatch.setattr(assignment, "_sum_by_label", product)
    torch.testing.assert_close(statistics(cloud, centroids).pack(), on_cpu, rtol=1e-5, atol=1e-5)


def test_statistics_survive_packing(points: Tensor) -> None:
    found = statistics(PointCloud.of(points, "euclidean"), points[:3])
    again = Statistics.unpack(found.pack())
    assert torch.equal(found.sums, again.sums)
    assert torch.equal(found.counts, again.counts)
    assert torch.equal(found.inertia, again.inertia)


def test_spread_is_the_total_variance_at_the_cluster_means(points: Tensor) -> None:
    mean = points.mean(0, keepdim=True)
    expected = (points - mean).square().sum(1).mean().double()
    found = statistics(PointCloud.of(points, "euclidean"), mean)
    torch.testing.assert_close(found.spread(), expected)


def test_spherical_points_are_read_as_unit_vectors(points: Tensor) -> None:
    unit = torch.nn.functional.normalize(points, dim=1)
    scaled = PointCloud.of(points, "spherical")
    rows = torch.tensor([3, 0])
    torch.testing.assert_close(scaled.take(rows), unit[rows])
    torch.testing.assert_close(torch.cat([scaled.block(rows) for rows in scaled.ranges()]), unit)


def test_zero_point_has_cosine_zero() -> None:
    cloud = PointCloud.of(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), "spherical")
    found = statistics(cloud, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(found.sums, torch.tensor([[0.6, 0.8]]).double())
    assert found.inertia.item() == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(3),
        torch.zeros(2, 3, 4),
        torch.zeros(3, 4, dtype=torch.int64),
        torch.zeros(0, 4),
        torch.zeros(4, 0),
    ],
)
def test_other_forms_are_refused(points: Tensor) -> None:
    with pytest.raises(DataError, match=r"\(N, D\) tensor with N, D >= 1.*one row per pixel"):
        PointCloud.of(points, "spherical")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_values_that_are_not_finite_are_refused(value: float, metric: Metric) -> None:
    points = torch.rand(9, 3)
    points[4, 1] = value
    with pytest.raises(DataError, match=r"of 9 points with values that are not finite"):
        PointCloud.of(points, metric)
