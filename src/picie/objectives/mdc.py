"""Modified DeepCluster: one view, one cross-entropy (PiCIE, section 4.1; Caron et al. 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor

from picie.objectives.prototypes import Prototypes, Term, prototype_loss
from picie.types import Losses

__all__ = ["mdc_losses"]


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

    The variant that separates the gain of the fixed classifier from that of two views; DeepCluster
    itself learns its classifier (parametric.py).

    Args:
        rows: (N, D) features.
        labels: (N,) int64 pseudo-labels.
        prototypes: the centroids.
        temperature: divides the similarities.
        unit: divide the features by their length first.
        reduce: adds a tensor up over all processes.

    Returns:
        scalars; the part is `within`.
    """
    scale = 1 / reduce(prototypes.weights[labels].sum()).clamp_min(1e-12)
    total = prototype_loss(rows, [Term(prototypes, labels, scale)], temperature, unit=unit)[0]
    return Losses(total, {"within": total.detach()})
