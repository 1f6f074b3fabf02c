import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_tree, suggest_clusters
from picie.errors import DataError


def merged(
    centroids: Tensor, k: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids, shared, contacts), k)


def centroids(count: int = 24, size: int = 6, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, size, generator=draws)
    chosen = torch.randint(5, (count,), generator=draws)
    lengths = 0.2 + torch.rand(count, 1, generator=draws)
    return (centres[chosen] + 0.8 * torch.randn(count, size, generator=draws)) * lengths


def slow(points: Tensor, k: int) -> list[int]:
    """Average linkage by looking at every pair of groups in every step."""
    unit = normalize(points.double(), dim=1)
    distance = (unit[:, None] - unit).norm(dim=2)
    groups = [[i] for i in range(len(points))]
    while len(groups) > k:
        pairs = [(a, b) for b in range(len(groups)) for a in range(b)]
        a, b = min(pairs, key=lambda p: float(distance[groups[p[0]]][:, groups[p[1]]].mean()))
        groups[a] += groups.pop(b)
    names = [0] * len(points)
    for name, group in enumerate(sorted(groups, key=min)):
        for member in group:
            names[member] = name
    return names


@pytest.mark.parametrize("k", [1, 2, 5, 11, 23])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_a_slow_average_linkage(k: int, seed: int) -> None:
    points = centroids(seed=seed)
    groups = merged(points, k)
    assert groups.dtype == torch.int64
    assert groups.tolist() == slow(points, k)  # the same partition and the same numbering


@pytest.mark.parametrize("k", [2, 5, 11])
def test_the_partition_equals_scipy_and_scikit_learn(k: int) -> None:
    points = centroids()
    groups = merged(points, k).tolist()
    unit = normalize(points.double(), dim=1).numpy()
    tree = fcluster(linkage(unit, "average", metric="euclidean"), k, "maxclust")
    assert adjusted_rand_score(groups, tree) == 1
    other = AgglomerativeClustering(k, linkage="average", metric="euclidean").fit_predict(unit)
    assert adjusted_rand_score(groups, other) == 1


def test_as_many_centroids_as_clusters_stay_as_they_are() -> None:
    points = torch.cat([centroids(6), centroids(6)])  # coincident ones too
    assert merged(points, 12).tolist() == list(range(12))


@pytest.mark.parametrize("k", [2, 7])
def test_the_order_of_the_centroids_does_not_change_the_partition(k: int) -> None:
    points = centroids()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    groups, shuffled = merged(points, k)[order], merged(points[order], k)
    assert adjusted_rand_score(groups.tolist(), shuffled.tolist()) == 1


def test_the_length_of_a_centroid_does_not_matter() -> None:
    points = centroids()
    scales = torch.linspace(0.01, 50, 24)[:, None]
    assert torch.equal(merged(points, 6), merged(points * scales, 6))


def test_numbers_follow_the_first_occurrence() -> None:
    axes = torch.eye(3)
    points = torch.stack([axes[2], axes[0], axes[2], axes[1], axes[0]]) + 0.01 * torch.arange(
        15
    ).view(5, 3)
    assert merged(points, 3).tolist() == [0, 1, 0, 2, 1]
    groups = merged(centroids(), 9).numpy()
    _, first = np.unique(groups, return_index=True)
    assert len(first) == 9
    assert (np.diff(first) > 0).all()


def test_coincident_centroids_give_fewer_clusters() -> None:
    points = torch.eye(2).repeat(3, 1)
    assert merged(points, 4).tolist() == [0, 1, 0, 1, 0, 1]


def test_gradients_are_not_asked_for() -> None:
    points = centroids().requires_grad_()
    assert not merged(points, 4).requires_grad


def test_too_few_centroids_are_an_error() -> None:
    with pytest.raises(DataError, match=r"^3 centroids cannot be merged to 5 clusters; find more$"):
        merged(torch.eye(3), 5)


def test_a_tree_holds_every_cut() -> None:
    points = centroids()
    tree = build_tree(points)
    assert tree.shape == (23, 3)
    assert (tree[1:, 2] >= tree[:-1, 2]).all()
    for k in (1, 2, 5, 11, 23, 24):
        assert cut_tree(tree, k).tolist() == merged(points, k).tolist()
    # each cut only joins groups of the next finer one
    for k in range(1, 24):
        coarse, fine = cut_tree(tree, k), cut_tree(tree, k + 1)
        assert len({(c, f) for c, f in zip(coarse.tolist(), fine.tolist(), strict=True)}) == k + 1


def test_a_single_centroid_is_a_tree_of_its_own() -> None:
    tree = build_tree(torch.ones(1, 3))
    assert tree.shape == (0, 3)
    assert cut_tree(tree, 1).tolist() == [0]
    with pytest.raises(DataError, match="1 centroids cannot be merged to 2"):
        cut_tree(tree, 2)


@pytest.mark.parametrize("wanted", [3, 4, 6])
def test_the_suggestion_is_the_number_of_separate_groups(wanted: int) -> None:
    draws = torch.Generator().manual_seed(1)
    centres = torch.linalg.qr(torch.randn(8, 8, generator=draws)).Q[:wanted]
    points = centres.repeat(4, 1) + 0.05 * torch.randn(4 * wanted, 8, generator=draws)
    assert suggest_clusters(build_tree(points)) == wanted
    assert suggest_clusters(build_tree(points[:5])) == 5
