import math

import pytest
import torch
from torch import Tensor

from picie.objectives.picie import clustering_loss, picie_losses
from picie.types import Losses

Logits = dict[tuple[int, int], Tensor]
B, K, H, W = 2, 5, 3, 4


def inputs(seed: int = 0) -> tuple[Logits, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(seed)
    logits = {
        (view, clusters): 2 * torch.rand(B, K, H, W, generator=draws) - 1
        for view in (0, 1)
        for clusters in (0, 1)
    }
    first, second = (torch.randint(K, (B, H, W), generator=draws) for _ in range(2))
    one, other = (torch.rand(K, generator=draws) + 0.1 for _ in range(2))
    return logits, (first, second), (one, other)


def slow(logits: Tensor, labels: Tensor, weight: Tensor, temperature: float) -> float:
    numerator = denominator = 0.0
    for b in range(B):
        for i in range(H):
            for j in range(W):
                values = [float(logits[b, k, i, j]) / temperature for k in range(K)]
                y = int(labels[b, i, j])
                loss = math.log(sum(math.exp(v) for v in values)) - values[y]
                numerator += float(weight[y]) * loss
                denominator += float(weight[y])
    return numerator / denominator


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_four_terms_equal_a_slow_loop(temperature: float) -> None:
    logits, labels, weights = inputs()
    term = {
        (v, c): slow(logits[v, c], labels[c], weights[c], temperature)
        for v in (0, 1)
        for c in (0, 1)
    }
    losses = picie_losses(logits, labels, weights, temperature=temperature)
    within = (term[0, 0] + term[1, 1]) / 2
    cross = (term[0, 1] + term[1, 0]) / 2
    assert float(losses.within) == pytest.approx(within, rel=1e-5)
    assert float(losses.cross) == pytest.approx(cross, rel=1e-5)
    assert float(losses.total) == pytest.approx((within + cross) / 2, rel=1e-5)


def test_two_clusters_by_hand() -> None:
    # Two pixels: labels 0 and 1, similarities (1, 0) and (1, 0); log(1 + 1/e) = 0.3132617.
    logits = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    right, wrong = math.log(1 + math.exp(-1)), 1 + math.log(1 + math.exp(-1))
    assert float(clustering_loss(logits, labels)) == pytest.approx((right + wrong) / 2)
    weighted = clustering_loss(logits, labels, weight=torch.tensor([3.0, 1.0]))
    assert float(weighted) == pytest.approx((3 * right + wrong) / 4)
    sharp = clustering_loss(logits, labels, temperature=0.5)
    assert float(sharp) == pytest.approx(math.log(1 + math.exp(-2)) + 1)


def test_uniform_logits_cost_the_logarithm_of_k() -> None:
    labels = torch.randint(27, (B, H, W))
    for temperature in (1.0, 0.1):
        loss = clustering_loss(torch.full((B, 27, H, W), 0.3), labels, temperature=temperature)
        assert float(loss) == pytest.approx(math.log(27), rel=1e-6)


def test_perfect_unit_prototypes_reach_the_published_minimum() -> None:
    # 27 unit centroids on a simplex: similarity 1 to the own one, -1/26 to the others.
    labels = torch.arange(27).view(1, 3, 9)
    logits = torch.full((1, 27, 3, 9), -1 / 26)
    logits.scatter_(1, labels[:, None], 1.0)
    assert float(clustering_loss(logits, labels)) == pytest.approx(2.323, abs=1e-3)


def test_only_ratios_of_weights_matter() -> None:
    logits, labels, weights = inputs()
    one, other = (
        clustering_loss(logits[0, 0], labels[0], weight=w) for w in (weights[0], 7 * weights[0])
    )
    assert float(one) == pytest.approx(float(other), rel=1e-6)
    plain = clustering_loss(logits[0, 0], labels[0])
    equal = clustering_loss(logits[0, 0], labels[0], weight=torch.full((K,), 0.2))
    assert float(plain) == pytest.approx(float(equal), rel=1e-6)


def same(one: Losses, other: Losses) -> None:
    for name in ("total", "within", "cross"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))


def test_renaming_the_clusters_of_a_view_changes_nothing() -> None:
    logits, labels, weights = inputs()
    old_of_new = torch.tensor([3, 0, 4, 1, 2])
    new_of_old = old_of_new.argsort()
    renamed = {(v, c): x[:, old_of_new] if c == 1 else x for (v, c), x in logits.items()}
    same(
        picie_losses(
            renamed, (labels[0], new_of_old[labels[1]]), (weights[0], weights[1][old_of_new])
        ),
        picie_losses(logits, labels, weights),
    )


def test_exchanging_the_views_changes_nothing() -> None:
    logits, labels, weights = inputs()
    exchanged = {(1 - v, 1 - c): x for (v, c), x in logits.items()}
    same(
        picie_losses(exchanged, labels[::-1], weights[::-1]), picie_losses(logits, labels, weights)
    )


def test_cross_equals_within_when_the_views_are_the_same() -> None:
    logits, labels, weights = inputs()
    equal = dict.fromkeys(logits, logits[0, 0])
    losses = picie_losses(equal, (labels[0], labels[0]), (weights[0], weights[0]))
    torch.testing.assert_close(losses.cross, losses.within)
    torch.testing.assert_close(losses.total, losses.within)


def test_gradients_reach_the_features_of_both_views_from_both_label_sets() -> None:
    _, labels, weights = inputs()
    draws = torch.Generator().manual_seed(1)
    features = [torch.randn(B, 6, H, W, generator=draws, requires_grad=True) for _ in range(2)]
    centroids = [torch.randn(K, 6, generator=draws) for _ in range(2)]
    logits = {
        (v, c): torch.einsum("kd,bdhw->bkhw", centroids[c], features[v])
        for v in (0, 1)
        for c in (0, 1)
    }
    losses = picie_losses(logits, labels, weights)
    for part in (losses.within, losses.cross, losses.total):
        gradients = torch.autograd.grad(part, features, retain_graph=True)
        assert all(bool((g.abs().sum(1) > 0).all()) for g in gradients)  # every pixel


def test_a_step_against_the_gradient_lowers_the_loss() -> None:
    logits, labels, weights = inputs()
    leaves = {key: x.clone().requires_grad_() for key, x in logits.items()}
    before = picie_losses(leaves, labels, weights).total
    before.backward()
    moved = {}
    for key, leaf in leaves.items():
        assert leaf.grad is not None
        moved[key] = leaf.detach() - leaf.grad
    assert float(picie_losses(moved, labels, weights).total) < float(before.detach())


def test_a_cluster_without_pixels_may_weigh_nothing() -> None:
    logits, labels, _ = inputs()
    used = labels[0].clamp_max(K - 2)
    weight = torch.tensor([0.3, 0.3, 0.2, 0.2, 0.0])
    assert math.isfinite(float(clustering_loss(logits[0, 0], used, weight=weight)))
