import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import normalize

from picie.clustering import affinities
from picie.clustering.affinities import (
    ContactCells,
    contrast_distances,
    count_contacts,
    diffusion_distances,
    neighbour_contrasts,
    relative_contacts,
    shared_pixels,
)
from picie.clustering.linkage import flexible_linkage
from picie.clustering.tree import cut_tree
from picie.clustering.vote import vote_tree
from picie.config import make_config


def merged(
    centroids: Tensor, k: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """(P,) cluster of each centroid when K are left, with all cues alike."""
    unit = normalize(centroids.double(), dim=1)
    near = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(0)
    distances = near / near.mean()
    if shared is not None:
        along = diffusion_distances(shared)
        distances = distances + along / along.mean()
    return cut_tree(flexible_linkage(distances, contacts, [0.5, 0.5], -0.1), k)


def pixels(count: int = 50, size: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def test_shared_pixels_equal_a_slow_sum() -> None:
    points, centroids = pixels(), pixels(4, seed=1)
    wanted = np.zeros((4, 4))
    unit = normalize(centroids.double(), dim=1)
    apart = [1 - float(unit[i] @ unit[j]) for i in range(4) for j in range(i)]
    temperature = 0.05 * sum(apart) / 6
    for point in points.double():
        cosine = [float(point @ c / point.norm()) for c in unit]
        powers = [math.exp(value / temperature) for value in cosine]
        members = [value / sum(powers) for value in powers]
        wanted += np.outer(members, members)
    np.testing.assert_allclose(shared_pixels(points, centroids), wanted, rtol=1e-4, atol=1e-6)


def test_parts_of_the_pixels_add_up_and_lengths_do_not_matter() -> None:
    points, centroids = pixels(), pixels(4, seed=1)
    whole = shared_pixels(points, centroids)
    assert whole.dtype == torch.float64
    parts = shared_pixels(points[:20], centroids) + shared_pixels(points[20:], centroids)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(shared_pixels(7 * points, 0.1 * centroids), whole, rtol=1e-4, atol=0)
    assert float(whole.sum()) == pytest.approx(50, rel=1e-6)  # memberships of a pixel sum to 1


def test_what_all_features_have_in_common_hardly_changes_what_is_shared() -> None:
    points, centroids = pixels(400), pixels(8, seed=1)
    plain = shared_pixels(points, centroids)
    unit, middle = normalize(points, dim=1), normalize(centroids, dim=1)
    constant = torch.full((400, 1), 2.0)  # cosines of lifted vectors lie between 0.6 and 1
    lifted = shared_pixels(torch.cat([unit, constant], 1), torch.cat([middle, constant[:8]], 1))
    torch.testing.assert_close(lifted, plain, rtol=0.02, atol=0.02 * float(plain.max()))


def test_one_centroid_or_equal_ones_share_all_pixels() -> None:
    points = pixels()
    assert shared_pixels(points, points[:1]).item() == pytest.approx(50)
    equal = shared_pixels(points, points[:1].expand(2, -1))
    torch.testing.assert_close(equal, torch.full((2, 2), 12.5, dtype=torch.float64))


def test_many_pixels_are_looked_at_in_blocks() -> None:
    points, centroids = pixels(40000), pixels(3, seed=1)
    halves = shared_pixels(points[:9000], centroids) + shared_pixels(points[9000:], centroids)
    torch.testing.assert_close(shared_pixels(points, centroids), halves, rtol=1e-5, atol=1e-6)


def test_diffusion_distances_are_those_of_profiles_after_eight_steps() -> None:
    shared = shared_pixels(pixels(), pixels(5, seed=1))
    degree = shared.sum(1)
    walk = shared / torch.sqrt(degree[:, None] * degree)
    profiles = torch.eye(5, dtype=torch.float64)
    for _ in range(8):
        profiles = walk @ profiles
    profiles = normalize(profiles.T, dim=1)
    wanted = torch.cdist(profiles, profiles)
    found = diffusion_distances(shared)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
    assert torch.equal(found, found.T)
    assert not found.diagonal().any()


def test_clusters_that_share_no_pixel_are_as_far_apart_as_can_be() -> None:
    apart = torch.block_diag(torch.tensor([[3.0, 1.0], [1.0, 3.0]]), torch.tensor([[2.0]]))
    found = diffusion_distances(apart)
    assert found[0, 2] == found[1, 2] == pytest.approx(math.sqrt(2))
    assert float(found[0, 1]) < 0.1


def test_a_cluster_without_pixels_gives_no_nan() -> None:
    shared = torch.zeros(3, 3)
    shared[:2, :2] = 1
    assert diffusion_distances(shared).isfinite().all()
    assert vote_tree(torch.eye(3), 2, shared).tree.isfinite().all()


def chain() -> tuple[Tensor, Tensor, Tensor]:
    """One long arc of pixels, and two groups as near to each other as the arc's pieces.

    Returns the pixels, centroids on them, and the class of each centroid.
    """
    draws = torch.Generator().manual_seed(0)
    arc = torch.linspace(0, 1.5, 900)
    line = torch.stack([arc.cos(), arc.sin(), torch.zeros(900), torch.zeros(900)], 1)
    groups = [torch.tensor([[0.0, 0.0, math.cos(a), math.sin(a)]]).repeat(150, 1) for a in (0, 0.6)]
    points = torch.cat([line, *groups])
    points = normalize(points + 0.01 * torch.randn(points.shape, generator=draws), dim=1)
    middles = (torch.arange(6) + 0.5) / 4
    zero = torch.zeros(6)
    centroids = torch.stack([middles.cos(), middles.sin(), zero, zero], 1)
    centroids = torch.cat([centroids, *(group[:1] for group in groups)])
    return points, centroids, torch.tensor([0] * 6 + [1, 2])


def test_pieces_with_pixels_between_them_join_before_groups_without() -> None:
    points, centroids, classes = chain()
    shared = shared_pixels(points, centroids)
    assert torch.equal(merged(centroids, 3, shared), classes)
    assert not torch.equal(merged(centroids, 3), classes)  # by distance alone


def test_the_tree_of_shared_pixels_is_nested_and_never_falls() -> None:
    points, centroids = pixels(400), pixels(20, seed=1)
    tree = vote_tree(centroids, 5, shared_pixels(points, centroids)).tree
    assert (tree[1:, 2] >= tree[:-1, 2]).all()
    for k in range(2, 20):
        fine, coarse = cut_tree(tree, k + 1), cut_tree(tree, k)
        pairs = set(zip(fine.tolist(), coarse.tolist(), strict=True))
        assert len(pairs) == k + 1  # each fine group lies in one coarse group


def test_the_order_of_the_centroids_does_not_matter() -> None:
    points, centroids, _ = chain()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    straight = merged(centroids, 3, shared_pixels(points, centroids))[order]
    turned = merged(centroids[order], 3, shared_pixels(points, centroids[order]))
    same = straight[:, None] == straight
    assert torch.equal(turned[:, None] == turned, same)


# --- where clusters touch, and what is to be seen there


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


def test_without_any_contact_the_groups_are_as_before() -> None:
    draws = torch.Generator().manual_seed(0)
    centroids = normalize(torch.randn(9, 4, generator=draws), dim=1)
    shared = torch.rand(9, 9, generator=draws).double()
    shared = shared + shared.T
    tree = vote_tree(centroids, 3, shared, torch.zeros(3, 9, 9)).tree
    assert torch.equal(tree[:, :2], vote_tree(centroids, 3, shared).tree[:, :2])


# --- cells that are kept until clusters are known


SIZE = 64
CONFIG = make_config(size=SIZE, base_size=SIZE)


def make_images(count: int = 4, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Features on a grid of 4 pixels, images, centroids."""
    draws = torch.Generator().manual_seed(0)
    maps = torch.randn(count, 5, side, side, generator=draws)
    return (
        maps,
        torch.rand(count, 3, SIZE, SIZE, generator=draws),
        torch.randn(6, 5, generator=draws),
    )


def kept(*parts: slice, places: Tensor | None = None) -> ContactCells:
    maps, images, _ = make_images()
    places = torch.arange(4) if places is None else places
    cells = ContactCells(CONFIG.size)
    for part in parts:
        cells.add(maps[part], images[part], places[part])
    return cells


def test_contacts_are_those_of_cells_of_eight_pixels() -> None:
    maps, images, centroids = make_images()
    features = F.normalize(F.avg_pool2d(maps, 2), dim=1)
    near = torch.einsum("bdhw,pd->bphw", features.half().float(), F.normalize(centroids, dim=1))
    both = [neighbour_contrasts(x) for x in (F.avg_pool2d(images, 8), features)]
    wanted = count_contacts(near.argmax(1), both, 6)
    found = kept(slice(None)).contacts(3 * centroids)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert found[0].sum() == 2 * 4 * 112


def test_batches_do_not_matter_and_parts_add_up() -> None:
    centroids = make_images()[2]
    whole = kept(slice(None)).contacts(centroids)
    single = kept(*(slice(i, i + 1) for i in range(4)))
    torch.testing.assert_close(single.contacts(centroids), whole)
    parts = [kept(part).contacts(centroids) for part in (slice(0, 1), slice(1, None))]
    torch.testing.assert_close(parts[0] + parts[1], whole)


@pytest.mark.parametrize(("most", "number"), [(2 * 64, 2), (3 * 64 + 63, 3), (1, 1), (10**6, 4)])
def test_only_the_first_places_of_the_sample_are_kept(
    most: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them this process has, and in whatever order they come."""
    monkeypatch.setattr(affinities, "_MOST_CELLS", most)
    places = torch.tensor([2, 0, 3, 1])
    found = kept(slice(0, 3), slice(3, 4), places=places).contacts(make_images()[2])
    assert found[0].sum() == 2 * 112 * number
    monkeypatch.setattr(affinities, "_MOST_CELLS", 10**6)
    chosen = [slice(i, i + 1) for i in range(4) if places[i] < number]
    torch.testing.assert_close(found, kept(*chosen).contacts(make_images()[2]))


def test_none_is_no_contact() -> None:
    maps, images, centroids = make_images()
    cells = ContactCells(CONFIG.size)
    cells.add(maps[:0], images[:0], torch.arange(0))
    assert not cells.contacts(centroids).any()
