"""Modified DeepCluster: one view, one cross-entropy (PiCIE, section 4.1; Caron et al. 2018)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.objectives.prototypes import Prototypes, Term, prototype_loss
from picie.types import Losses

__all__ = ["mdc_losses", "parametric_losses", "random_classifier"]

_DEVIATION = 0.01  # of the initial weights, as in the authors' code


def random_classifier(features: int, clusters: int, generator: torch.Generator) -> nn.Linear:
    """A 1x1 convolution with bias, as a linear layer: weights from N(0, 0.01^2), biases 0.

    Args:
        features: D.
        clusters: K.
        generator: CPU generator of the weights.
    """
    layer = nn.Linear(features, clusters)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(clusters, features, generator=generator).mul_(_DEVIATION))
        layer.bias.zero_()
    return layer


def parametric_losses(
    rows: Sequence[Tensor],
    labels: Sequence[Tensor],
    classifiers: Sequence[nn.Linear],
    weights: Sequence[Tensor],
    *,
    cross_view: bool = True,
    unit: bool = True,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Losses:
    """The cross-entropies of `picie_losses` (two views) or `mdc_losses` with learnt classifiers.

    Args:
        rows: (N, D) features per view; one or two views.
        labels: (N,) int64 pseudo-labels per view.
        classifiers: one per view; they receive gradients too.
        weights: (K,) weights of the clusters in the loss, per view.
        cross_view: with two views, add the losses against the other view's labels.
        unit: normalise the features to unit length first.
        reduce: sums a tensor over all processes.

    Returns:
        Scalars; the parts are `within` and, with two views and `cross_view`, `cross`.
    """
    sums = reduce(torch.stack([w[one].sum() for w, one in zip(weights, labels, strict=True)]))
    sums = sums.clamp_min(1e-12)
    count = len(rows)
    terms: dict[tuple[int, int], Tensor] = {}  # by (view of the features, view of the labels)
    with torch.autocast(rows[0].device.type, enabled=False):
        points = [F.normalize(one.float(), dim=1) if unit else one.float() for one in rows]
        for i, one in enumerate(points):
            for j, classifier in enumerate(classifiers):
                if i == j or cross_view:
                    losses = F.cross_entropy(classifier(one), labels[j], reduction="none")
                    terms[i, j] = (weights[j][labels[j]] * losses).sum() / sums[j]
    within = torch.stack([terms[i, i] for i in range(count)]).mean()
    if count == 1 or not cross_view:
        return Losses(within, {"within": within.detach()})
    cross = (terms[0, 1] + terms[1, 0]) / 2
    total = (within + cross) / 2
    return Losses(total, {"within": within.detach(), "cross": cross.detach()})


def mdc_losses(
    rows: Tensor,
    labels: Tensor,
    prototypes: Prototypes,
    *,
    temperature: float = 1.0,
    unit: bool = True,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Losses:
    """Cross-entropy of one view against its own pseudo-labels, with centroids as the classifier.

    This variant separates the effect of the fixed classifier from that of the second view.
    DeepCluster itself learns its classifier (`parametric_losses`).

    Args:
        rows: (N, D) features.
        labels: (N,) int64 pseudo-labels.
        prototypes: the centroids.
        temperature: divides the similarities.
        unit: normalise the features to unit length first.
        reduce: sums a tensor over all processes.

    Returns:
        Scalars; the only part is `within`.
    """
    scale = 1 / reduce(prototypes.weights[labels].sum()).clamp_min(1e-12)
    total = prototype_loss(rows, [Term(prototypes, labels, scale)], temperature, unit=unit)[0]
    return Losses(total, {"within": total.detach()})
