import pytest
import torch
from torch import Tensor

from picie.clustering.kmeans import points as clouds
from picie.clustering.kmeans.points import PointCloud, assign_blocks


@pytest.fixture
def points() -> Tensor:
    return torch.randn(70, 5, generator=torch.Generator().manual_seed(0))


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
