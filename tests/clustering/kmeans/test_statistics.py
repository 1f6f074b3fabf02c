import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.kmeans import points as clouds
from picie.clustering.kmeans.points import Metric, PointCloud
from picie.clustering.kmeans.statistics import (
    RunningStatistics,
    Statistics,
    _margins,
    device_statistics,
)


@pytest.fixture
def points() -> Tensor:
    return torch.randn(70, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "_CPU_ROWS", 16)


def statistics(cloud: PointCloud, centroids: Tensor) -> Statistics:
    return RunningStatistics(cloud, len(centroids)).update(centroids)


def test_data_far_from_zero_keeps_its_digits(points: Tensor) -> None:
    points = (points * 64).round() / 64  # exact after the shift too
    near = statistics(PointCloud.of(points, "euclidean"), points[:7])
    far = statistics(PointCloud.of(points + 4096, "euclidean"), points[:7] + 4096)
    assert torch.equal(far.counts, near.counts)
    torch.testing.assert_close(far.inertia, near.inertia, rtol=1e-3, atol=1e-2)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_statistics_equal_a_loop(points: Tensor, metric: Metric) -> None:
    centroids = normalize(points[:4], dim=1)
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


def test_zero_point_has_cosine_zero() -> None:
    cloud = PointCloud.of(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), "spherical")
    found = statistics(cloud, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(found.sums, torch.tensor([[0.6, 0.8]]).double())
    assert found.inertia.item() == pytest.approx(2.0, abs=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_running_statistics_equal_fresh_ones(points: Tensor, metric: Metric) -> None:
    cloud, draws = PointCloud.of(points, metric), torch.Generator().manual_seed(2)
    running = RunningStatistics(cloud, 6)
    for _ in range(20):
        centroids = normalize(torch.randn(6, 5, generator=draws), dim=1)
        found, fresh = running.update(centroids), statistics(cloud, centroids)
        assert torch.equal(found.counts, fresh.counts)
        torch.testing.assert_close(found.pack(), fresh.pack(), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("step", [1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_points_with_margin_keep_the_label_of_the_full_search(
    points: Tensor, metric: Metric, step: float
) -> None:
    cloud, draws = PointCloud.of(points, metric), torch.Generator().manual_seed(2)
    centroids = normalize(points[:6], dim=1)
    running = RunningStatistics(cloud, 6)
    for _ in range(40):
        found, fresh = running.update(centroids), statistics(cloud, centroids)
        assert torch.equal(found.counts, fresh.counts)
        torch.testing.assert_close(found.pack(), fresh.pack(), rtol=1e-12, atol=1e-12)
        # moves of very different size, as in k-means
        size = torch.rand(6, 1, generator=draws).pow(4)
        moved = centroids + step * size * torch.randn(6, 5, generator=draws)
        centroids = normalize(moved, dim=1)


def test_points_with_margin_are_not_compared(
    points: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    block = PointCloud.block

    def spy(self: PointCloud, rows: slice | Tensor, room: Tensor | None = None) -> Tensor:
        found = block(self, rows, room)
        compared.append(len(found))
        return found

    monkeypatch.setattr(PointCloud, "block", spy)
    running = RunningStatistics(PointCloud.of(points, "euclidean"), 4)
    for _ in range(3):
        running.update(points[:4])
    # all, all again to measure the margins, and then none, as nothing moved
    assert compared == [70, 70]


@pytest.mark.parametrize("k", [1, 3])
def test_ties_go_to_the_lowest_number_in_every_update(points: Tensor, k: int) -> None:
    whole = points.round()  # scores without rounding, as the mean of these points is 0
    running = RunningStatistics(PointCloud.of(torch.cat((whole, -whole)), "euclidean"), k)
    running.update(torch.arange(k)[:, None] + whole[:1])
    for _ in range(2):
        found = running.update(whole[:1].repeat(k, 1))
        assert found.counts.tolist() == [140, 0, 0][:k]


def test_margins_are_the_gap_between_two_distances() -> None:
    own, rival = torch.tensor([4.0, 0.5]), torch.tensor([-8.0, 0.5])
    found = _margins(own, rival, torch.tensor([9.0, 3.0]), torch.zeros(2))
    assert found.tolist() == [5 - 1, 0]
    assert (_margins(own, rival, torch.tensor([9.0, 3.0]), torch.full((2,), 0.1)) < found).all()


def test_running_statistics_hand_out_values_of_their_own(points: Tensor) -> None:
    running = RunningStatistics(PointCloud.of(points, "euclidean"), 4)
    first = running.update(points[:4])
    kept = first.pack()
    running.update(points[4:8])
    assert torch.equal(first.pack(), kept)


def test_a_cluster_that_lost_its_points_has_no_width(points: Tensor) -> None:
    running = RunningStatistics(PointCloud.of(points / 3, "euclidean"), 2)
    running.update(torch.cat((points[:1] / 3, points[1:2] / 3)))
    found = running.update(torch.stack((torch.zeros(5), torch.full((5,), 99.0))))
    assert found.counts.tolist() == [70, 0]
    assert found.inertia[1] == 0
    assert found.sums[1].eq(0).all()


@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_an_empty_part_adds_nothing(metric: Metric) -> None:
    cloud = PointCloud.of(torch.empty(0, 3), metric)
    for found in (statistics(cloud, torch.eye(3)), device_statistics(cloud, torch.eye(3))):
        assert torch.equal(found.pack(), torch.zeros(3, 5).double())


@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_both_ways_to_sum_agree(points: Tensor, metric: Metric) -> None:
    cloud, centroids = PointCloud.of(points, metric), normalize(points[:4], dim=1)
    found, expected = device_statistics(cloud, centroids), statistics(cloud, centroids)
    torch.testing.assert_close(found.pack(), expected.pack(), rtol=1e-5, atol=1e-5)
