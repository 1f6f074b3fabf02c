"""The order in which clusters join, with leftovers brought in and contacts of whole groups."""

import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from picie.clustering import linkage as module
from picie.clustering.linkage import flexible_linkage
from picie.clustering.tree import cut_tree


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
        for kind in (1, 2):
            mean = float(contacts[kind][others].sum() / contacts[0][others].sum())
            number = sum(float(contacts[0, i, j]) for i in a for j in b)
            amount = sum(float(contacts[kind, i, j]) for i in a for j in b)
            total += 0.75 * (amount / mean + 20) / (number + 20)
        return total

    found = []
    while len(groups) > 1:
        choices = [(a, b) for n, b in enumerate(groups) for a in groups[:n]]
        a, b = min(choices, key=lambda pair: apart[frozenset(pair)] + contrast(*pair))
        mean = sum(float(distances[i, j]) for i in a for j in b) / (len(a) * len(b))
        groups = [group for group in groups if group not in (a, b)]
        for group in groups:
            parts = len(a) * apart[frozenset([a, group])] + len(b) * apart[frozenset([b, group])]
            value = 1.1 * parts / len(a | b) - 0.1 * apart[frozenset([a, b])]
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
    tree = flexible_linkage(distances, contacts)
    wanted = slow(distances, contacts)
    assert unfolded(tree) == [group for group, _ in wanted]
    heights = torch.tensor([height for _, height in wanted]).double().cummax(0).values
    torch.testing.assert_close(tree[:, 2], heights)


@pytest.mark.parametrize("seed", range(3))
def test_without_flexibility_it_is_average_linkage(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(module, "_BETA", 0.0)
    distances = pairs(20, seed)
    wanted = torch.from_numpy(linkage(squareform(distances.numpy()), "average")[:, :3].copy())
    torch.testing.assert_close(flexible_linkage(distances), wanted)


def families() -> Tensor:
    """Two families of eight clusters, and a single one that is a little farther from both."""
    distances = torch.full((17, 17), 1.0).double()
    distances[:8, :8] = distances[8:16, 8:16] = 0.3
    distances[16] = distances[:, 16] = 1.1
    return distances.fill_diagonal_(0)


def test_a_leftover_comes_in_before_large_groups_join(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = cut_tree(flexible_linkage(families()), 2).tolist()
    assert groups[0] != groups[8]
    assert len(set(groups[:8])) == len(set(groups[8:16])) == 1
    monkeypatch.setattr(module, "_BETA", 0.0)  # average linkage leaves it alone
    assert cut_tree(flexible_linkage(families()), 2).tolist() == [0] * 16 + [1]


def test_contacts_are_those_of_whole_groups() -> None:
    """A wall in pieces 0 to 4, each of which touches the next one alone, and two other things."""
    contacts = torch.zeros(2, 7, 7)
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 4)):
        contacts[0, first, second] = 100
    for first, second in ((0, 5), (2, 5), (3, 6), (5, 6)):
        contacts[:, first, second] = 100
    contacts = contacts + contacts.transpose(1, 2)
    distances = torch.ones(7, 7).double().fill_diagonal_(0)
    groups = cut_tree(flexible_linkage(distances, contacts), 3)
    assert groups.tolist() == [0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("seed", range(6))
def test_every_cut_of_the_tree_has_its_number_of_groups(seed: int) -> None:
    """Contacts put mergers out of order, and rows of one height could not be told apart."""
    tree = flexible_linkage(pairs(24, seed), 30 * meetings(24, seed))
    assert (tree[1:, 2] > tree[:-1, 2]).all()
    for k in range(1, 25):
        assert len(cut_tree(tree, k).unique()) == k


def test_the_order_of_the_clusters_does_not_matter() -> None:
    distances, contacts = pairs(), meetings()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(5))
    turned = flexible_linkage(distances[order][:, order], contacts[:, order][:, :, order])
    straight = flexible_linkage(distances, contacts)
    back = [frozenset(order[list(group)].tolist()) for group in unfolded(turned)]
    assert back == unfolded(straight)
    torch.testing.assert_close(turned[:, 2], straight[:, 2])


def test_one_cluster_and_two() -> None:
    assert flexible_linkage(torch.zeros(1, 1)).shape == (0, 3)
    two = torch.tensor([[0.0, 0.5], [0.5, 0.0]], requires_grad=True)
    assert flexible_linkage(two).tolist() == [[0, 1, 0.5]]
    assert torch.equal(two, torch.tensor([[0.0, 0.5], [0.5, 0.0]]))  # it is not written into
