"""The order in which clusters join, with leftovers brought in and contacts of whole groups."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.linkage import build_tree, flexible_linkage
from picie.clustering.tree import cut_tree, suggest_clusters
from picie.errors import DataError

WEIGHTS, BETA = (0.5, 1.0), -0.1


def pairs(count: int = 14, seed: int = 0) -> Tensor:
    """(P, P) distances of points of a plane."""
    points = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)).double()
    return torch.cdist(points, points)


def meetings(count: int = 14, seed: int = 0) -> Tensor:
    """(3, P, P): how often clusters touch and two sums of contrasts; many never do."""
    draws = torch.Generator().manual_seed(seed)
    number = torch.randint(-40, 90, (count, count), generator=draws).clamp_min(0).double()
    found = torch.stack([number, *(number * torch.rand(2, count, count, generator=draws) * 3)])
    return found + found.transpose(1, 2)


def slow(distances: Tensor, contacts: Tensor | None) -> list[tuple[frozenset[int], float]]:
    """The new group of each step and its height, each from all pairs of clusters anew."""
    count = len(distances)
    groups = [frozenset([i]) for i in range(count)]
    apart = {frozenset([a, b]): float(distances[min(a), min(b)]) for a in groups for b in groups}
    others = ~torch.eye(count, dtype=torch.bool)

    def contrast(a: frozenset[int], b: frozenset[int]) -> float:
        if contacts is None:
            return 0.0
        total = 0.0
        for kind, weight in zip((1, 2), WEIGHTS, strict=True):
            mean = float(contacts[kind][others].sum() / contacts[0][others].sum())
            number = sum(float(contacts[0, i, j]) for i in a for j in b)
            amount = sum(float(contacts[kind, i, j]) for i in a for j in b)
            total += weight * (amount / mean + 20) / (number + 20)
        return total

    found = []
    while len(groups) > 1:
        choices = [(a, b) for n, b in enumerate(groups) for a in groups[:n]]
        a, b = min(choices, key=lambda pair: apart[frozenset(pair)] + contrast(*pair))
        mean = sum(float(distances[i, j]) for i in a for j in b) / (len(a) * len(b))
        groups = [group for group in groups if group not in (a, b)]
        for group in groups:
            parts = len(a) * apart[frozenset([a, group])] + len(b) * apart[frozenset([b, group])]
            value = (1 - BETA) * parts / len(a | b) + BETA * apart[frozenset([a, b])]
            apart[frozenset([a | b, group])] = value
        groups.append(a | b)
        found.append((a | b, mean + contrast(a, b)))
    return found


def unfolded(tree: Tensor) -> list[frozenset[int]]:
    """The clusters in the new group of each row."""
    groups = [frozenset([i]) for i in range(len(tree) + 1)]
    for first, second, _ in tree.tolist():
        groups.append(groups[int(first)] | groups[int(second)])
    return groups[len(tree) + 1 :]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("touching", [False, True])
def test_it_equals_a_slow_one(touching: bool, seed: int) -> None:
    distances = pairs(seed=seed)
    contacts = meetings(seed=seed) if touching else None
    tree = flexible_linkage(distances, contacts, WEIGHTS if touching else (), BETA)
    wanted = slow(distances, contacts)
    assert unfolded(tree) == [group for group, _ in wanted]
    heights = torch.tensor([height for _, height in wanted]).double().cummax(0).values
    torch.testing.assert_close(tree[:, 2], heights)


@pytest.mark.parametrize("seed", range(3))
def test_without_flexibility_it_is_average_linkage(seed: int) -> None:
    distances = pairs(20, seed)
    wanted = torch.from_numpy(linkage(squareform(distances.numpy()), "average")[:, :3].copy())
    torch.testing.assert_close(flexible_linkage(distances), wanted)


def families() -> Tensor:
    """Two families of eight clusters, and a single one that is a little farther from both."""
    distances = torch.full((17, 17), 1.0).double()
    distances[:8, :8] = distances[8:16, 8:16] = 0.3
    distances[16] = distances[:, 16] = 1.1
    return distances.fill_diagonal_(0)


def test_a_leftover_comes_in_before_large_groups_join() -> None:
    groups = cut_tree(flexible_linkage(families(), beta=-0.1), 2).tolist()
    assert groups[0] != groups[8]
    assert len(set(groups[:8])) == len(set(groups[8:16])) == 1
    plain = flexible_linkage(families())  # average linkage leaves it alone
    assert cut_tree(plain, 2).tolist() == [0] * 16 + [1]


def test_contacts_are_those_of_whole_groups() -> None:
    """A wall in pieces 0 to 4, each of which touches the next one alone, and two other things."""
    contacts = torch.zeros(2, 7, 7)
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 4)):
        contacts[0, first, second] = 100
    for first, second in ((0, 5), (2, 5), (3, 6), (5, 6)):
        contacts[:, first, second] = 100
    contacts = contacts + contacts.transpose(1, 2)
    distances = torch.ones(7, 7).double().fill_diagonal_(0)
    groups = cut_tree(flexible_linkage(distances, contacts, [0.75]), 3)
    assert groups.tolist() == [0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("seed", range(6))
def test_every_cut_of_the_tree_has_its_number_of_groups(seed: int) -> None:
    """Contacts put mergers out of order, and rows of one height could not be told apart."""
    tree = flexible_linkage(pairs(24, seed), 30 * meetings(24, seed), WEIGHTS, BETA)
    assert (tree[1:, 2] > tree[:-1, 2]).all()
    for k in range(1, 25):
        assert len(cut_tree(tree, k).unique()) == k


def test_the_order_of_the_clusters_does_not_matter() -> None:
    distances, contacts = pairs(), meetings()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(5))
    turned = flexible_linkage(
        distances[order][:, order], contacts[:, order][:, :, order], WEIGHTS, BETA
    )
    straight = flexible_linkage(distances, contacts, WEIGHTS, BETA)
    back = [frozenset(order[list(group)].tolist()) for group in unfolded(turned)]
    assert back == unfolded(straight)
    torch.testing.assert_close(turned[:, 2], straight[:, 2])


def test_each_contrast_counts_by_its_weight() -> None:
    distances = torch.ones(3, 3).double().fill_diagonal_(0)
    number = torch.full((3, 3), 1e9)
    total = torch.tensor([[0.0, 0.4, 1.3], [0.4, 0, 1.3], [1.3, 1.3, 0]]) * 1e9
    tree = flexible_linkage(distances, torch.stack([number, total, number]), WEIGHTS)
    wanted = 1 + 0.5 * torch.tensor([0.4, 1.3]).double() + 1
    torch.testing.assert_close(tree[:, 2], wanted, rtol=1e-6, atol=0)


def test_one_cluster_and_two() -> None:
    assert flexible_linkage(torch.zeros(1, 1)).shape == (0, 3)
    two = torch.tensor([[0.0, 0.5], [0.5, 0.0]], requires_grad=True)
    assert flexible_linkage(two).tolist() == [[0, 1, 0.5]]
    assert torch.equal(two, torch.tensor([[0.0, 0.5], [0.5, 0.0]]))  # it is not written into


# --- merging


def merged(centroids: Tensor, k: int) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids), k)


def centroids(count: int = 24, size: int = 6, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, size, generator=draws)
    chosen = torch.randint(5, (count,), generator=draws)
    lengths = 0.2 + torch.rand(count, 1, generator=draws)
    return (centres[chosen] + 0.8 * torch.randn(count, size, generator=draws)) * lengths


def slow_merging(points: Tensor, k: int) -> list[int]:
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
    assert groups.tolist() == slow_merging(points, k)  # the same partition and the same numbering


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
    with pytest.raises(
        DataError, match=r"^3 centroids cannot be merged to 5 clusters; fit more centroids$"
    ):
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
    assert suggest_clusters(build_tree(points).numpy()) == wanted
    assert suggest_clusters(build_tree(points[:5]).numpy()) == 5
