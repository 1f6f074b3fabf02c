import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.affinities import diffusion_distances, shared_pixels
from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_tree


def merged(
    centroids: Tensor, k: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids, shared, contacts), k)


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
    assert build_tree(torch.eye(3), shared).isfinite().all()


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


def test_of_equally_alike_clusters_the_small_ones_join_first() -> None:
    centroids = torch.eye(4)
    small = torch.diag(torch.tensor([50.0, 50, 5, 5], dtype=torch.float64))
    small += 1e-9  # nothing but sizes tells the pairs apart
    groups = merged(centroids, 3, small)
    assert groups[2] == groups[3]
    assert len({groups[0].item(), groups[1].item(), groups[2].item()}) == 3


def test_sizes_scale_the_distance_by_a_small_power_of_their_harmonic_mean() -> None:
    pair = torch.eye(2)

    def height(*pixels: float) -> float:
        return float(build_tree(pair, torch.diag(torch.tensor(pixels)))[0, 2])

    # 0.2 and 1.8 times the mean: their harmonic mean is 0.36
    assert height(1, 9) / height(5, 5) == pytest.approx(0.36**0.15, rel=1e-6)
    assert height(0, 9) > 0  # an empty cluster is not at distance 0


def test_the_tree_of_shared_pixels_is_nested_and_never_falls() -> None:
    points, centroids = pixels(400), pixels(20, seed=1)
    tree = build_tree(centroids, shared_pixels(points, centroids))
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
