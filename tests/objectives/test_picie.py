import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError
from picie.objectives.picie import add_auxiliary, log_ratio_weights, picie_losses
from picie.objectives.prototypes import Prototypes
from picie.types import Losses

Pair = tuple[Tensor, Tensor]
N, D, K = 24, 6, 5


def inputs(seed: int = 0) -> tuple[Pair, Pair, Pair, Pair]:
    """Rows, labels, centroids and weights of both views."""
    draws = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(N, D, generator=draws) for _ in range(2))
    first, second = (torch.randint(K, (N,), generator=draws) for _ in range(2))
    mine, yours = (torch.randn(K, D, generator=draws) for _ in range(2))
    light, heavy = (torch.rand(K, generator=draws) + 0.1 for _ in range(2))
    return (one, other), (first, second), (mine, yours), (light, heavy)


def found(
    rows: Pair, labels: Pair, centroids: Pair, weights: Pair, temperature: float = 1.0
) -> Losses:
    first, second = (
        Prototypes.of(c, torch.arange(len(c)), w, "dot")
        for c, w in zip(centroids, weights, strict=True)
    )
    return picie_losses(rows, labels, (first, second), temperature=temperature)


def slow(
    rows: Tensor, labels: Tensor, centroids: Tensor, weight: Tensor, temperature: float
) -> float:
    numerator = denominator = 0.0
    for row, label in zip(rows, labels.tolist(), strict=True):
        unit = row / row.norm()
        values = [float(unit @ c) / temperature for c in centroids]
        loss = math.log(sum(math.exp(v) for v in values)) - values[label]
        numerator += float(weight[label]) * loss
        denominator += float(weight[label])
    return numerator / denominator


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_four_terms_equal_a_slow_loop(temperature: float) -> None:
    rows, labels, centroids, weights = inputs()
    term = {
        (v, c): slow(rows[v], labels[c], centroids[c], weights[c], temperature)
        for v in (0, 1)
        for c in (0, 1)
    }
    losses = found(rows, labels, centroids, weights, temperature)
    within = (term[0, 0] + term[1, 1]) / 2
    cross = (term[0, 1] + term[1, 0]) / 2
    assert float(losses.parts["within"]) == pytest.approx(within, rel=1e-5)
    assert float(losses.parts["cross"]) == pytest.approx(cross, rel=1e-5)
    assert float(losses.total) == pytest.approx((within + cross) / 2, rel=1e-5)


def test_only_ratios_of_weights_matter() -> None:
    rows, labels, centroids, weights = inputs()
    heavier = (7 * weights[0], weights[1])
    same(found(rows, labels, centroids, heavier), found(rows, labels, centroids, weights))


def same(one: Losses, other: Losses) -> None:
    torch.testing.assert_close(one.total, other.total)
    torch.testing.assert_close(one.parts, other.parts)


def test_renaming_the_clusters_of_a_view_changes_nothing() -> None:
    rows, labels, centroids, weights = inputs()
    old_of_new = torch.tensor([3, 0, 4, 1, 2])
    new_of_old = old_of_new.argsort()
    renamed = found(
        rows,
        (labels[0], new_of_old[labels[1]]),
        (centroids[0], centroids[1][old_of_new]),
        (weights[0], weights[1][old_of_new]),
    )
    same(renamed, found(rows, labels, centroids, weights))


def test_exchanging_the_views_changes_nothing() -> None:
    values = inputs()
    rows, labels, centroids, weights = ((second, first) for first, second in values)
    same(found(rows, labels, centroids, weights), found(*values))


def test_cross_equals_within_when_the_views_are_the_same() -> None:
    rows, labels, centroids, weights = ((first, first) for first, _ in inputs())
    losses = found(rows, labels, centroids, weights)
    torch.testing.assert_close(losses.parts["cross"], losses.parts["within"])
    torch.testing.assert_close(losses.total.detach(), losses.parts["within"])


def test_the_gradient_is_that_of_four_cross_entropies() -> None:
    rows, labels, centroids, weights = inputs()
    plain = [one.clone().requires_grad_() for one in rows]
    terms = [
        F.cross_entropy(F.normalize(z, dim=1) @ c.T / 0.1, y, weight=w)
        for z in plain
        for y, c, w in zip(labels, centroids, weights, strict=True)
    ]
    torch.stack(terms).mean().backward()
    ours = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    found(ours, labels, centroids, weights, 0.1).total.backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_parts_of_the_pixels_add_up_to_the_whole() -> None:
    # What several processes do: sums of weights are shared, losses and gradients added up.
    rows, labels, centroids, weights = inputs()
    first, second = (
        Prototypes.of(c, torch.arange(K), w, "dot") for c, w in zip(centroids, weights, strict=True)
    )
    total = torch.stack([w[y].sum() for w, y in zip(weights, labels, strict=True)])
    leaves = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    whole = picie_losses(leaves, labels, (first, second))
    whole.total.backward()
    shared = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    parts = []
    for part in (slice(0, 7), slice(7, 7), slice(7, N)):
        losses = picie_losses(
            (shared[0][part], shared[1][part]),
            (labels[0][part], labels[1][part]),
            (first, second),
            reduce=lambda _: total,
        )
        losses.total.backward()
        parts.append(
            torch.stack([losses.total.detach(), losses.parts["within"], losses.parts["cross"]])
        )
    expected = torch.stack([whole.total.detach(), whole.parts["within"], whole.parts["cross"]])
    torch.testing.assert_close(sum(parts), expected)
    for one, other in zip(shared, leaves, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_step_against_the_gradient_lowers_the_loss() -> None:
    rows, labels, centroids, weights = inputs()
    leaves = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    before = found(leaves, labels, centroids, weights).total
    before.backward()
    moved = []
    for leaf in leaves:
        assert leaf.grad is not None
        moved.append(leaf.detach() - leaf.grad)
    after = found((moved[0], moved[1]), labels, centroids, weights).total
    assert float(after) < float(before.detach())


def test_without_the_cross_view_loss_only_within_is_left() -> None:
    rows, labels, centroids, weights = inputs()
    prototypes = tuple(
        Prototypes.of(c, torch.arange(K), w, "dot") for c, w in zip(centroids, weights, strict=True)
    )
    first, second = prototypes
    leaves = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    alone = picie_losses(leaves, labels, (first, second), cross_view=False)
    both = found(rows, labels, centroids, weights)
    assert set(alone.parts) == {"within"}
    torch.testing.assert_close(alone.parts["within"], both.parts["within"])
    torch.testing.assert_close(alone.total.detach(), both.parts["within"])
    alone.total.backward()
    other = (labels[0], labels[1].roll(1))  # of view 2: no matter to view 1
    again = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    picie_losses(again, other, (first, second), cross_view=False).total.backward()
    torch.testing.assert_close(leaves[0].grad, again[0].grad)


def test_features_keep_their_length_if_asked() -> None:
    rows, labels, centroids, weights = inputs()
    plain = [one.clone().requires_grad_() for one in rows]
    terms = [
        F.cross_entropy(-torch.cdist(z, c).square(), y, weight=w)
        for z in plain
        for y, c, w in zip(labels, centroids, weights, strict=True)
    ]
    torch.stack(terms).mean().backward()
    first, second = (
        Prototypes.of(c, torch.arange(K), w, "l2") for c, w in zip(centroids, weights, strict=True)
    )
    ours = (rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_())
    losses = picie_losses(ours, labels, (first, second), unit=False)
    losses.total.backward()
    torch.testing.assert_close(losses.total.detach(), torch.stack(terms).mean().detach())
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


# --- overclustering


def test_weights_sum_to_one_and_favour_the_coarser_clustering() -> None:
    main, auxiliary = log_ratio_weights(27, 100)
    assert main + auxiliary == pytest.approx(1)
    assert (round(main, 3), round(auxiliary, 3)) == (0.583, 0.417)
    assert log_ratio_weights(8, 8) == (0.5, 0.5)


def test_losses_that_start_at_log_k_start_equal() -> None:
    main, auxiliary = log_ratio_weights(11, 100)
    assert main * math.log(11) == pytest.approx(auxiliary * math.log(100))


@pytest.mark.parametrize("pair", [(1, 100), (27, 1)])
def test_one_cluster_has_no_logarithm_to_share(pair: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="both must be 2 or more"):
        log_ratio_weights(*pair)


def test_both_losses_are_weighted_and_their_parts_kept() -> None:
    main = Losses(torch.tensor(2.0), {"within": torch.tensor(1.0), "cross": torch.tensor(3.0)})
    other = Losses(torch.tensor(4.0), {"within": torch.tensor(5.0)})
    both = add_auxiliary(main, other, (0.75, 0.25))
    assert float(both.total) == 2.5
    assert {name: float(value) for name, value in both.parts.items()} == {
        "within": 1,
        "cross": 3,
        "within_auxiliary": 5,
    }
