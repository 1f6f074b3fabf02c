import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.objectives.mdc import mdc_losses, parametric_losses, random_classifier
from picie.objectives.picie import picie_losses
from picie.objectives.prototypes import Prototypes

N, D, K = 30, 6, 4


@pytest.mark.parametrize("unit", [True, False])
def test_it_is_one_weighted_cross_entropy(unit: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    rows, centroids = (torch.randn(n, D, generator=draws) for n in (N, K))
    labels = torch.randint(K, (N,), generator=draws)
    weights = torch.rand(K, generator=draws) + 0.1
    expected = rows.clone().requires_grad_()
    features = F.normalize(expected, dim=1) if unit else expected
    slow = F.cross_entropy(features @ centroids.T / 0.5, labels, weight=weights)
    slow.backward()
    leaf = rows.clone().requires_grad_()
    prototypes = Prototypes.of(centroids, torch.arange(K), weights, "dot")
    losses = mdc_losses(leaf, labels, prototypes, temperature=0.5, unit=unit)
    losses.total.backward()
    torch.testing.assert_close(losses.total.detach(), slow.detach())
    torch.testing.assert_close(losses.parts, {"within": slow.detach()})
    torch.testing.assert_close(leaf.grad, expected.grad)


# --- parametric


COUNT = 40


def inputs(views: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    draws = torch.Generator().manual_seed(views)
    rows = [torch.randn(COUNT, D, generator=draws) for _ in range(views)]
    labels = [torch.randint(K, (COUNT,), generator=draws) for _ in range(views)]
    weights = [torch.rand(K, generator=draws) + 0.1 for _ in range(views)]
    return rows, labels, weights


def test_a_random_classifier_is_small_and_seeded() -> None:
    one, same = (random_classifier(500, 20, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one.weight, same.weight)
    assert float(one.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert not one.bias.detach().any()


def test_one_view_is_one_cross_entropy() -> None:
    rows, labels, weights = inputs(1)
    classifier = random_classifier(D, K, torch.Generator().manual_seed(0))
    losses = parametric_losses(rows, labels, [classifier], weights)
    expected = F.cross_entropy(
        classifier(F.normalize(rows[0], dim=1)), labels[0], weight=weights[0]
    )
    torch.testing.assert_close(losses.total, expected)
    assert set(losses.parts) == {"within"}


@pytest.mark.parametrize("cross_view", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_classifiers_with_the_weights_of_prototypes_give_their_losses(
    cross_view: bool, unit: bool
) -> None:
    rows, labels, weights = inputs(2)
    classifiers = [random_classifier(D, K, torch.Generator().manual_seed(s)) for s in (0, 1)]
    ours = parametric_losses(rows, labels, classifiers, weights, cross_view=cross_view, unit=unit)
    first, second = (
        Prototypes.of(c.weight.detach(), torch.arange(K), w, "dot")
        for c, w in zip(classifiers, weights, strict=True)
    )
    fixed = picie_losses(
        (rows[0], rows[1]), (labels[0], labels[1]), (first, second), cross_view=cross_view,
        unit=unit,
    )  # fmt: skip
    torch.testing.assert_close(ours.total, fixed.total)
    torch.testing.assert_close(ours.parts, fixed.parts)


def test_gradients_reach_features_and_classifiers() -> None:
    rows, labels, weights = inputs(2)
    leaves = [one.requires_grad_() for one in rows]
    classifiers = [random_classifier(D, K, torch.Generator().manual_seed(s)) for s in (0, 1)]
    parametric_losses(leaves, labels, classifiers, weights).total.backward()
    for tensor in [*leaves, *(p for c in classifiers for p in c.parameters())]:
        assert tensor.grad is not None
        assert tensor.grad.any()


def test_parts_of_the_pixels_add_up_to_the_whole() -> None:
    rows, labels, weights = inputs(2)
    classifiers = [random_classifier(D, K, torch.Generator().manual_seed(s)) for s in (0, 1)]
    whole = parametric_losses(rows, labels, classifiers, weights).total
    sums = torch.stack([w[y].sum() for w, y in zip(weights, labels, strict=True)])
    parts = [
        parametric_losses(
            [one[part] for one in rows],
            [one[part] for one in labels],
            classifiers,
            weights,
            reduce=lambda _: sums,
        ).total
        for part in (slice(0, 9), slice(9, 9), slice(9, COUNT))
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)
