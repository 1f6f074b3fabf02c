"""Where centroids share pixels: in features that training moved, or in those that it began with."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.kmeans import KMeans
from picie.clustering.merging import cut_tree, linkage_tree
from picie.clustering.overlap import shared_pixels
from picie.config import make_config
from picie.joining import joining_tree, with_start
from picie.models.picie import PiCIE
from picie.processes import Processes

PER_GROUP = 50


@pytest.fixture
def network() -> PiCIE:
    torch.manual_seed(0)
    return PiCIE("test_resnet", 8, pretrained=False).eval()


def change(network: PiCIE) -> None:
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))


def pictures() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


# --- the features


@torch.no_grad()
def test_the_start_is_seen_beside_what_was_learnt(network: PiCIE) -> None:
    before = network(pictures())
    network.keep_start()
    change(network)
    found = with_start(network, make_config("best"))(pictures())
    assert found.shape == (2, 2, 8, 16, 16)
    torch.testing.assert_close(found[:, 0], network(pictures()))
    torch.testing.assert_close(found[:, 1], before, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[:, 0], found[:, 1], atol=0.1)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kept", "settings"),
    [
        (False, {}),
        (True, {"merge_features": "trained"}),
        (True, {"merge_rule": "distance"}),
        (True, {"overclusters": 0}),
    ],
)
def test_otherwise_there_are_only_the_features(
    network: PiCIE, kept: bool, settings: dict[str, object]
) -> None:
    if kept:
        network.keep_start()
    found = with_start(network, make_config("best", **settings))(pictures())
    assert found.shape == (2, 1, 8, 16, 16)
    torch.testing.assert_close(found[:, 0], network(pictures()))


# --- the tree


def corners(order: list[int] | None = None) -> Tensor:
    """(4 x 50, 4) points in four groups, equally far apart.

    With an order, the first two and the last two of it are near, and have pixels between them.
    """
    centres = torch.eye(4)
    if order is not None:
        near = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
        centres[order] = torch.block_diag(near, near)
    draws = torch.Generator().manual_seed(0)
    points = centres[:, None] + 0.05 * torch.randn(4, PER_GROUP, 4, generator=draws)
    return F.normalize(points.flatten(0, 1), dim=1)


def joined(pixels: Tensor, rule: str) -> set[frozenset[int]]:
    """The groups of points that lie in one cluster, after joining four centroids to two."""
    config = make_config(clusters=2, overclusters=4, merge_rule=rule)
    kmeans = KMeans(4, metric="spherical", init="k-means++", iterations=50, seed=0)
    kmeans.fit(pixels[:, 0].contiguous())
    labels = kmeans.predict(pixels[:, 0]).view(4, PER_GROUP)
    assert (labels == labels[:, :1]).all()  # k-means finds the four
    groups = cut_tree(joining_tree(kmeans, pixels, config, Processes()), 2)[labels[:, 0]].tolist()
    return {frozenset(i for i in range(4) if groups[i] == group) for group in groups}


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]])
def test_centroids_join_where_the_start_has_pixels_between_them(order: list[int]) -> None:
    expected = {frozenset(order[:2]), frozenset(order[2:])}
    assert joined(corners(order)[:, None], "pixels") == expected  # they are the start
    assert joined(torch.stack([corners(), corners(order)], 1), "pixels") == expected


def test_distance_is_that_of_the_trained_features() -> None:
    pixels = torch.stack([corners([0, 1, 2, 3]), corners([0, 2, 1, 3])], 1)
    assert joined(pixels, "distance") == {frozenset({0, 1}), frozenset({2, 3})}
    pixels = torch.stack([corners([0, 1, 2, 3]), corners()], 1)
    assert joined(pixels, "pixels") == {frozenset({0, 1}), frozenset({2, 3})}


@pytest.mark.parametrize("rule", ["pixels", "distance"])
def test_the_same_features_twice_change_nothing(rule: str) -> None:
    points = corners([0, 1, 2, 3])
    config = make_config(clusters=2, overclusters=4, merge_rule=rule)
    kmeans = KMeans(8, metric="spherical", init="k-means++", iterations=100, seed=0).fit(points)
    once = joining_tree(kmeans, points[:, None], config, Processes())
    twice = joining_tree(kmeans, torch.stack([points, points], 1), config, Processes())
    torch.testing.assert_close(once, twice, rtol=1e-3, atol=1e-3)
    shared = shared_pixels(points, kmeans.centroids_) if rule == "pixels" else None
    torch.testing.assert_close(once, linkage_tree(kmeans.centroids_, shared))
