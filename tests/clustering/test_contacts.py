"""Where clusters touch, and what is to be seen there."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.affinities import (
    contrast_distances,
    count_contacts,
    neighbour_contrasts,
    relative_contacts,
)
from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_tree


def merged(
    centroids: Tensor, k: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids, shared, contacts), k)


def scene(images: int = 3, clusters: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(B, 6, 7) clusters and (B, 4, 6, 7) values."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(clusters, (images, 6, 7), generator=draws)
    return labels, torch.randn(images, 4, 6, 7, generator=draws)


def slow(labels: Tensor, values: Tensor, clusters: int) -> Tensor:
    """(2, P, P) by looking at every cell and its neighbours."""
    found = torch.zeros(2, clusters, clusters, dtype=torch.float64)
    for own, maps in zip(labels, values.double(), strict=True):
        pairs = []
        height, width = own.shape
        for row in range(height):
            for column in range(width):
                for down, right in ((0, 1), (1, 0)):
                    y, x = row + down, column + right
                    if y < height and x < width:
                        apart = float((maps[:, row, column] - maps[:, y, x]).norm())
                        pairs.append((int(own[row, column]), int(own[y, x]), apart))
        mean = sum(apart for _, _, apart in pairs) / len(pairs)
        for one, other, apart in pairs:
            for a, b in ((one, other), (other, one)):
                found[0, a, b] += 1
                found[1, a, b] += apart / mean
    return found


def test_contacts_equal_a_slow_count() -> None:
    labels, values = scene()
    found = count_contacts(labels, [neighbour_contrasts(values)], 5)
    torch.testing.assert_close(found, slow(labels, values, 5), rtol=1e-5, atol=1e-6)
    assert torch.equal(found, found.transpose(1, 2))


def test_contacts_of_parts_add_up() -> None:
    labels, values = scene(4)
    whole = count_contacts(labels, [neighbour_contrasts(values)], 5)
    parts = [
        count_contacts(labels[part], [neighbour_contrasts(values[part])], 5)
        for part in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)


@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_contrast_is_told_in_that_of_the_image(scale: float) -> None:
    values = scene()[1]
    changed = values.clone()
    changed[1] *= scale
    found = neighbour_contrasts(changed)
    torch.testing.assert_close(found, neighbour_contrasts(values), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.mean(1), torch.ones(3))


def test_a_image_of_one_colour_has_no_contrast() -> None:
    assert not neighbour_contrasts(torch.full((1, 3, 4, 4), 0.5)).any()
    assert neighbour_contrasts(torch.zeros(2, 3, 1, 1)).shape == (2, 0)
    assert neighbour_contrasts(torch.zeros(0, 3, 4, 4)).shape == (0, 24)


def test_distances_are_means_drawn_to_that_of_all_pairs() -> None:
    number = torch.tensor([[500.0, 80, 0], [80, 500, 20], [0, 20, 500]])
    total = torch.tensor([[99.0, 120, 0], [120, 99, 180], [0, 180, 99]])
    contacts = relative_contacts(torch.stack([number, total]))
    # 100 contacts with a mean of 3; each pair is given 20 of them
    wanted = torch.tensor([60 / 100, 1, 80 / 40]).double()
    found = contrast_distances(contacts)[0]
    torch.testing.assert_close(found[[0, 0, 1], [1, 2, 2]], wanted)
    torch.testing.assert_close(contrast_distances(contacts[:, 1])[0], found[1])  # of one group


@pytest.mark.parametrize("own", [0, 9])
def test_clusters_that_never_touch_are_all_alike(own: int) -> None:
    contacts = torch.zeros(3, 4, 4)
    contacts[:, range(4), range(4)] = own
    found = contrast_distances(relative_contacts(contacts))
    assert torch.equal(found.triu(1), torch.ones(2, 4, 4).double().triu(1))


def four() -> tuple[Tensor, Tensor]:
    """Centroids all equally far apart, which share no pixels, in clusters of one size."""
    return torch.eye(4), torch.eye(4, dtype=torch.float64)


def test_a_cut_without_an_edge_is_joined_first() -> None:
    """Clusters 0 and 1 are halves of an even surface; edges lie between all others."""
    labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]])
    colours = torch.tensor([[[9.0, 9, 9, 9], [9, 9, 9, 9], [0, 0, 4, 4], [0, 0, 4, 4]]])[:, None]
    contrasts = neighbour_contrasts(colours)
    contacts = count_contacts(labels, [contrasts, contrasts], 4)
    centroids, shared = four()
    assert merged(centroids, 3, shared, contacts).tolist() == [0, 0, 1, 2]
    turned = torch.tensor([2, 0, 3, 1])  # whatever the order of the centroids
    again = contacts[:, turned][:, :, turned]
    groups = merged(centroids[turned], 3, shared, again)
    assert groups[1] == groups[3]
    assert len(groups.unique()) == 3


@pytest.mark.parametrize("kinds", [1, 2])
def test_each_contrast_counts_three_quarters(kinds: int) -> None:
    """Distances are multiples of their means, so only contrast tells the pairs apart."""
    centroids, shared = torch.eye(2), torch.eye(2, dtype=torch.float64)
    number = torch.tensor([[0.0, 60], [60, 0]])
    tree = build_tree(centroids, shared, torch.stack([number, *[number * 5] * kinds]))
    assert tree[0, 2] == pytest.approx(2 + kinds * 0.75)
    centroids, shared = torch.eye(3), torch.eye(3, dtype=torch.float64)
    number = torch.full((3, 3), 1e9)
    total = torch.tensor([[0.0, 0.4, 1.3], [0.4, 0, 1.3], [1.3, 1.3, 0]]) * 1e9
    tree = build_tree(centroids, shared, torch.stack([number, *[total] * kinds]))
    wanted = 2 + kinds * 0.75 * torch.tensor([0.4, 1.3]).double()
    torch.testing.assert_close(tree[:, 2], wanted, rtol=1e-6, atol=0)


def test_without_any_contact_the_groups_are_as_before() -> None:
    draws = torch.Generator().manual_seed(0)
    centroids = normalize(torch.randn(9, 4, generator=draws), dim=1)
    shared = torch.rand(9, 9, generator=draws).double()
    shared = shared + shared.T
    tree = build_tree(centroids, shared, torch.zeros(3, 9, 9))
    assert torch.equal(tree[:, :2], build_tree(centroids, shared)[:, :2])
