import pytest
import torch
from torch.nn import functional as F

from picie.objectives.mdc import mdc_losses
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
