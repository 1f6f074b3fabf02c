from threading import Barrier, Thread
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.kmeans import points as clouds
from picie.clustering.kmeans.points import Metric, PointCloud, assign_blocks, identity
from picie.errors import DataError


@pytest.fixture
def points() -> Tensor:
    return torch.randn(70, 5, generator=torch.Generator().manual_seed(0))


def test_spherical_points_are_read_as_unit_vectors(points: Tensor) -> None:
    unit = normalize(points, dim=1)
    scaled = PointCloud.of(points, "spherical")
    rows = torch.tensor([3, 0])
    torch.testing.assert_close(scaled.take(rows), unit[rows])
    torch.testing.assert_close(torch.cat([scaled.block(rows) for rows in scaled.ranges()]), unit)


def test_euclidean_blocks_are_relative_to_the_origin(points: Tensor) -> None:
    cloud = PointCloud.of(points + 50, "euclidean")
    torch.testing.assert_close(cloud.origin, points.mean(0) + 50)
    torch.testing.assert_close(cloud.block(slice(4, 9)), points[4:9] - points.mean(0))
    squares = (points - points.mean(0)).square().sum(1)
    torch.testing.assert_close(cloud.squares, squares, rtol=1e-4, atol=1e-4)
    assert torch.equal(cloud.take(torch.tensor([7, 7])), points[[7, 7]] + 50)


@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_a_block_can_be_written_to_given_room(points: Tensor, metric: Metric) -> None:
    cloud, room = PointCloud.of(points, metric), torch.empty(20, 5)
    block = cloud.block(slice(4, 9), room)
    assert torch.equal(block, cloud.block(slice(4, 9)))
    assert torch.equal(room[:5], block)
    picked = cloud.block(torch.tensor([8, 4]), room)
    assert torch.equal(picked, cloud.block(slice(4, 9))[[4, 0]])
    assert picked.data_ptr() == room.data_ptr()


def test_picked_rows_of_another_dtype_are_read_as_float32(points: Tensor) -> None:
    cloud, room = PointCloud.of(points.double(), "euclidean"), torch.empty(20, 5)
    rows = torch.tensor([8, 4])
    assert torch.equal(cloud.block(rows, room), cloud.block(slice(4, 9))[[4, 0]])


def test_points_are_taken_by_their_number_among_all(points: Tensor) -> None:
    numbers = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    cloud = PointCloud.of(points, "euclidean", rows=numbers)
    assert torch.equal(cloud.take(numbers[[5, 60]]), points[[5, 60]])


@pytest.mark.parametrize("numbers", [[0, 1, 1], [0, 1, 3]])
def test_row_numbers_that_do_not_count_the_points_are_refused(numbers: list[int]) -> None:
    cloud = PointCloud.of(torch.rand(3, 2), "spherical", rows=torch.tensor(numbers))
    with pytest.raises(
        DataError,
        match=r"each of the 3 points .* its own row number. Pass fit the numbers, from 0 to 2",
    ):
        cloud.take(torch.arange(3))


def test_parts_that_are_all_numbered_from_zero_are_refused() -> None:
    def twice(table: Tensor) -> Tensor:
        return table + table

    cloud = PointCloud.of(torch.rand(3, 2), "spherical", reduce=twice)
    assert cloud.total == 6
    with pytest.raises(DataError, match=r"each of the 6 points .* needs its own row number"):
        cloud.take(torch.tensor([1]))


@pytest.mark.parametrize("rows", [torch.arange(69), torch.rand(70), torch.zeros(70, 1).long()])
def test_row_numbers_of_another_form_are_refused(points: Tensor, rows: Tensor) -> None:
    with pytest.raises(DataError, match=r"int64 and one per point, \(70,\), got .* from 0"):
        PointCloud.of(points, "spherical", rows=rows)


@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_a_part_may_be_empty(metric: Metric) -> None:
    cloud = PointCloud.of(torch.empty(0, 4), metric)
    assert (len(cloud), cloud.total, cloud.ranges()) == (0, 0, [])
    assert torch.equal(cloud.origin, torch.zeros(4))


@pytest.mark.parametrize(
    "points",
    [torch.zeros(3), torch.zeros(2, 3, 4), torch.zeros(3, 4).long(), torch.zeros(4, 0)],
)
def test_other_forms_are_refused(points: Tensor) -> None:
    with pytest.raises(DataError, match=r"\(N, D\) tensor with D >= 1.*one row per pixel"):
        PointCloud.of(points, "spherical")


def test_another_width_is_refused(points: Tensor) -> None:
    with pytest.raises(DataError, match="points of width 5 do not match centroids of width 6"):
        PointCloud.of(points, "spherical", width=6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("metric", ["spherical", "euclidean"])
def test_values_that_are_not_finite_are_counted(value: float, metric: Metric) -> None:
    points = torch.rand(9, 3)
    points[4, 1] = value
    with pytest.raises(DataError, match=r"1 of 9 points with values that are not finite"):
        PointCloud.of(points, metric)


@pytest.mark.parametrize(
    ("bad", "own", "others"),
    [
        (torch.tensor([[float("nan"), 0.0]]), "1 of 4 points with values", "1 of 4 points with"),
        (torch.zeros(2), "Flatten feature maps", "1 other processes could not .* their messages"),
    ],
)
def test_what_is_wrong_in_one_process_raises_in_all(bad: Tensor, own: str, others: str) -> None:
    barrier, parts, errors = Barrier(2), [torch.empty(0)] * 2, ["", ""]

    def work(rank: int, points: Tensor) -> None:
        def add_up(table: Tensor) -> Tensor:
            parts[rank] = table
            barrier.wait(timeout=20)
            total = parts[0] + parts[1]
            barrier.wait(timeout=20)
            return total

        with pytest.raises(DataError) as caught:
            PointCloud.of(points, "spherical", reduce=add_up)
        errors[rank] = str(caught.value)

    jobs: list[Any] = [(0, torch.rand(3, 2)), (1, bad)]
    threads = [Thread(target=work, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    for error, expected in zip(errors, (others, own), strict=True):
        with pytest.raises(DataError, match=expected):
            raise DataError(error)


def test_identity_is_the_sum_over_one_process(points: Tensor) -> None:
    assert identity(points) is points


# --- assignment


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "_CPU_ROWS", 16)


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
