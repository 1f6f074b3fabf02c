import math
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import picie.objectives.prototypes
from picie.objectives.prototypes import Prototypes, Term, prototype_loss

N, D, K = 50, 6, 4
GROUPS = torch.tensor([2, 0, 1, 0, 3, 2, 2])


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return (
        torch.randn(N, D, generator=draws),
        torch.randn(len(GROUPS), D, generator=draws),
        torch.randint(K, (N,), generator=draws),
        torch.rand(K, generator=draws) + 0.1,
    )


def plain(
    rows: Tensor,
    centroids: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    groups: Tensor = GROUPS,
    cosine: bool = False,
    temperature: float = 1.0,
) -> Tensor:
    """The sum of the weighted losses, written out."""
    vectors = F.normalize(centroids, dim=1) if cosine else centroids
    scores = F.normalize(rows, dim=1) @ vectors.T
    logits = [scores[:, groups == k].amax(1) for k in range(int(groups.max()) + 1)]
    losses = F.cross_entropy(torch.stack(logits, 1) / temperature, labels, reduction="none")
    return (weights[labels] * losses).sum()


@pytest.mark.parametrize("rule", ["cosine", "dot"])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("block", [1, 10_000])
def test_losses_and_gradients_are_those_of_the_equation(
    monkeypatch: pytest.MonkeyPatch, rule: Literal["cosine", "dot"], temperature: float, block: int
) -> None:
    monkeypatch.setattr(picie.objectives.prototypes, "_CPU_VALUES", block * len(GROUPS))
    rows, centroids, labels, weights = inputs()
    other = torch.flip(labels, (0,))
    prototypes = Prototypes.of(centroids, GROUPS, weights, rule)
    leaf = rows.clone().requires_grad_()
    terms = [Term(prototypes, labels, torch.tensor(0.5)), Term(prototypes, other, torch.tensor(2))]
    losses = prototype_loss(leaf, terms, temperature)
    losses.sum().backward()
    expected = rows.clone().requires_grad_()
    cosine = rule == "cosine"
    parts = [
        plain(expected, centroids, y, weights, cosine=cosine, temperature=temperature)
        for y in (labels, other)
    ]
    (0.5 * parts[0] + 2 * parts[1]).backward()
    torch.testing.assert_close(losses, torch.stack([0.5 * parts[0], 2 * parts[1]]))
    torch.testing.assert_close(leaf.grad, expected.grad)


def test_blocks_of_any_size_give_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = torch.Generator().manual_seed(3)
    rows, labels = torch.randn(1000, D, generator=draws), torch.randint(K, (1000,), generator=draws)
    _, centroids, _, weights = inputs()
    term = Term(Prototypes.of(centroids, GROUPS, weights, "dot"), labels, torch.tensor(1e-3))
    whole = prototype_loss(rows, [term])
    monkeypatch.setattr(picie.objectives.prototypes, "_CPU_VALUES", 1)
    assert len(picie.objectives.prototypes._blocks(1000, 7, torch.device("cpu"))) > 3
    torch.testing.assert_close(prototype_loss(rows, [term]), whole)


def test_one_centroid_a_cluster_is_the_plain_softmax() -> None:
    rows, centroids, labels, weights = inputs()
    groups = torch.tensor([1, 3, 0, 2])
    term = Term(Prototypes.of(centroids[:K], groups, weights, "dot"), labels, torch.tensor(1.0))
    leaf, expected = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    prototype_loss(leaf, [term]).sum().backward()
    plain(expected, centroids[:K], labels, weights, groups=groups).backward()
    torch.testing.assert_close(leaf.grad, expected.grad)


def test_two_clusters_by_hand() -> None:
    # Two pixels on (1, 0), labels 0 and 1, similarities (1, 0): log(1 + 1/e) = 0.3132617.
    rows, labels = torch.tensor([[3.0, 0.0], [0.5, 0.0]]), torch.tensor([0, 1])
    prototypes = Prototypes.of(torch.eye(2), torch.arange(2), torch.tensor([3.0, 1.0]), "dot")
    right, wrong = math.log(1 + math.exp(-1)), 1 + math.log(1 + math.exp(-1))
    found = prototype_loss(rows, [Term(prototypes, labels, torch.tensor(0.25))])
    assert float(found) == pytest.approx((3 * right + wrong) / 4)


def test_equal_similarities_cost_the_logarithm_of_k() -> None:
    prototypes = Prototypes.of(torch.ones(27, D), torch.arange(27), torch.ones(27), "cosine")
    labels = torch.randint(27, (N,))
    for temperature in (1.0, 0.1):
        term = Term(prototypes, labels, torch.tensor(1 / N))
        assert float(prototype_loss(inputs()[0], [term], temperature)) == pytest.approx(
            math.log(27), rel=1e-5
        )


def test_perfect_unit_prototypes_reach_the_published_minimum() -> None:
    # 27 unit centroids on a simplex: similarity 1 to the own one, -1/26 to the others.
    simplex = F.normalize(torch.eye(27) - 1 / 27, dim=1)
    prototypes = Prototypes.of(simplex, torch.arange(27), torch.ones(27), "dot")
    term = Term(prototypes, torch.arange(27), torch.tensor(1 / 27))
    assert float(prototype_loss(5 * simplex, [term])) == pytest.approx(2.323, abs=1e-3)


def test_a_far_label_at_a_low_temperature_stays_finite() -> None:
    prototypes = Prototypes.of(torch.eye(2), torch.arange(2), torch.ones(2), "dot")
    leaf = torch.tensor([[1.0, 0.0]], requires_grad=True)
    found = prototype_loss(leaf, [Term(prototypes, torch.tensor([1]), torch.tensor(1.0))], 1e-3)
    found.sum().backward()
    assert float(found.detach()) == pytest.approx(1000)
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())


def test_no_pixels_cost_nothing() -> None:
    _, centroids, labels, weights = inputs()
    term = Term(Prototypes.of(centroids, GROUPS, weights, "dot"), labels[:0], torch.tensor(1.0))
    leaf = torch.zeros(0, D, requires_grad=True)
    found = prototype_loss(leaf, [term])
    found.sum().backward()
    assert found.tolist() == [0]
    assert leaf.grad is not None
    assert leaf.grad.shape == (0, D)


def test_half_precision_features_are_compared_in_single_precision() -> None:
    rows, centroids, labels, weights = inputs()
    term = Term(Prototypes.of(centroids, GROUPS, weights, "dot"), labels, torch.tensor(1 / N))
    half = rows.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = prototype_loss(half, [term])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, prototype_loss(rows.bfloat16().float(), [term]))
    found.sum().backward()
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def test_prototypes_are_sorted_by_cluster() -> None:
    _, centroids, _, weights = inputs()
    prototypes = Prototypes.of(centroids, GROUPS, weights, "dot")
    assert prototypes.clusters.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert torch.equal(prototypes.vectors, centroids[[1, 3, 2, 0, 5, 6, 4]])
    cosine = Prototypes.of(centroids, GROUPS, weights, "cosine")
    assert cosine.vectors.norm(dim=1).tolist() == pytest.approx([1] * 7)
