"""The tree that the others agree with, and whose borders are seen."""

import itertools
import math

import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering import vote as module
from picie.clustering.affinities import diffusion_distances
from picie.clustering.linkage import build_tree, flexible_linkage
from picie.clustering.tree import cut_tree
from picie.clustering.vote import vote_tree


def measured(count: int = 16, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Centroids of four families, the pixels that they share, and their contacts."""
    draws = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, 6, generator=draws)
    points = centres.repeat(count // 4, 1) + 0.9 * torch.randn(count, 6, generator=draws)
    shared = torch.rand(count, count, generator=draws).double() ** 4
    shared += torch.diag(torch.rand(count, generator=draws).double() * 40)
    number = torch.randint(0, 90, (count, count), generator=draws).double()
    contacts = torch.stack([number, *(number * torch.rand(2, count, count, generator=draws) * 3)])
    return points, shared + shared.T, contacts + contacts.transpose(1, 2)


def grown(points: Tensor, shared: Tensor, contacts: Tensor) -> dict[str, Tensor]:
    """Every tree by the name of its rule."""
    unit = normalize(points.double(), dim=1)
    count = len(points)
    apart = ~torch.eye(count, dtype=torch.bool)
    near = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(0)
    along = diffusion_distances(shared)
    near, along = near / near[apart].mean(), along / along[apart].mean()
    cues = {"colours and features": (0.5, 0.5), "colours": (1, 0), "features": (0, 1)}
    return {
        f"diffusion {w:g}, contrasts of {cue}, beta {beta}": flexible_linkage(
            near + w * along, contacts, cues[cue], beta
        )
        for w, cue, beta in itertools.product((0, 0.5, 1), cues, (-0.1, -0.2))
    }


def border_contrast(labels: list[int], contacts: Tensor) -> float:
    """Features across borders against inside, contact by contact."""
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i, j in itertools.product(range(len(labels)), repeat=2):
        same = labels[i] == labels[j]
        sums[same][0] += float(contacts[2, i, j])
        sums[same][1] += float(contacts[0, i, j])
    return (sums[False][0] / sums[False][1]) / (sums[True][0] / sums[True][1])


@pytest.mark.parametrize("seed", range(4))
def test_agreement_and_the_contrast_at_borders_choose(seed: int) -> None:
    points, shared, contacts = measured(seed=seed)
    trees = grown(points, shared, contacts)
    pixels = [int(row) for row in (shared.sum(1) * 50).round()]
    labels = {rule: cut_tree(tree, 4).tolist() for rule, tree in trees.items()}
    spread = {  # each pixel with the cluster of its centroid
        rule: [one for one, n in zip(groups, pixels, strict=True) for _ in range(n)]
        for rule, groups in labels.items()
    }
    agreement = {
        rule: sum(adjusted_rand_score(own, other) for key, other in spread.items() if key != rule)
        / (len(trees) - 1)
        for rule, own in spread.items()
    }
    contrast = {rule: border_contrast(one, contacts) for rule, one in labels.items()}
    score = {rule: agreement[rule] + math.log(contrast[rule]) for rule in trees}
    found = vote_tree(points, 4, shared, contacts)
    assert found.score == pytest.approx(max(score.values()), abs=0.01)
    assert score[found.rule] == pytest.approx(max(score.values()), abs=1e-3)
    assert found.agreement == pytest.approx(agreement[found.rule], abs=0.01)
    assert found.contrast == pytest.approx(contrast[found.rule])
    assert found.least == pytest.approx(min(score.values()), abs=0.02)
    assert found.least < found.score  # they do differ
    assert torch.equal(found.tree[:, :2], trees[found.rule][:, :2])


def test_clusters_that_hold_whole_images_are_left_out() -> None:
    """Two kinds of images, each with two surfaces; centroids of one kind are alike."""
    light = torch.tensor([1.0, 1, 1, 1, -1, -1, -1, -1])[:, None]
    surface = torch.tensor([1.0, 1, -1, -1, 1, 1, -1, -1])[:, None]
    points = torch.cat([light, 0.4 * surface, 0.02 * torch.eye(8)], 1)
    shared = torch.eye(8).double() * 50 + 0.1
    number = torch.zeros(8, 8).double()
    for one in (slice(0, 4), slice(4, 8)):
        number[one, one] = 60  # only centroids of one kind meet, in their images
    contrast = number * (1 + (surface != surface.T).double())
    contacts = torch.stack([number, contrast, contrast])
    tree = vote_tree(points, 2, shared).tree
    assert cut_tree(tree, 2).tolist() == [0] * 4 + [1] * 4  # the kinds of images
    found = vote_tree(points, 4, shared, contacts)
    assert cut_tree(found.tree, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    trees = [found.tree, tree]
    groups = [cut_tree(one, 2) for one in (tree, torch.tensor(SURFACES).double())]
    kept = module._chosen(trees, ["kinds", "surfaces"], groups, shared.sum(1), contacts)
    assert kept.rule == "surfaces"


SURFACES = [  # joins the same surface of both kinds of images first
    [0, 1, 0.1], [4, 5, 0.2], [2, 3, 0.3], [6, 7, 0.4], [8, 9, 0.5], [10, 11, 0.6], [12, 13, 1.0],
]  # fmt: skip


def test_another_number_of_clusters_may_choose_another_tree() -> None:
    rules = {vote_tree(*measured(seed=seed)[:1], k, *measured(seed=seed)[1:]).rule
             for seed in range(3) for k in (2, 4, 7)}  # fmt: skip
    assert len(rules) > 1


def test_the_order_of_the_centroids_does_not_change_the_clusters() -> None:
    points, shared, contacts = measured()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    straight = vote_tree(points, 4, shared, contacts)
    turned = vote_tree(points[order], 4, shared[order][:, order], contacts[:, order][:, :, order])
    groups = cut_tree(straight.tree, 4)[order]
    assert adjusted_rand_score(groups.tolist(), cut_tree(turned.tree, 4).tolist()) == 1
    assert turned.agreement == pytest.approx(straight.agreement)


def test_centroids_alone_leave_no_choice() -> None:
    points = measured()[0]
    found = vote_tree(points, 4)
    assert torch.equal(found.tree, build_tree(points))
    assert (found.rule, found.agreement, found.contrast) == ("", 1, 1)


@pytest.mark.parametrize("count", [1, 2])
def test_one_centroid_and_two(count: int) -> None:
    shared = torch.eye(count).double() * 5
    found = vote_tree(torch.eye(count), count, shared, torch.zeros(3, count, count))
    assert found.tree.shape == (count - 1, 3)
    assert found.agreement == 1


def test_trees_that_all_agree_say_so() -> None:
    points = torch.eye(2).repeat_interleave(4, 0) + 0.01 * torch.arange(16).view(8, 2) / 16
    shared = torch.block_diag(torch.ones(4, 4), torch.ones(4, 4)).double() * 20 + 0.01
    found = vote_tree(points, 2, shared)
    assert cut_tree(found.tree, 2).tolist() == [0] * 4 + [1] * 4
    assert found.agreement == found.least == 1
