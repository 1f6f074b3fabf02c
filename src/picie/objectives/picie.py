"""PiCIE's objective: within-view and cross-view clustering losses (PiCIE, section 3.3)."""

from collections.abc import Callable

import torch
from torch import Tensor

from picie.objectives.prototypes import Prototypes, Term, prototype_loss
from picie.types import Losses

__all__ = ["picie_losses"]

Pair = tuple[Tensor, Tensor]


def picie_losses(
    rows: Pair,
    labels: Pair,
    prototypes: tuple[Prototypes, Prototypes],
    *,
    temperature: float = 1.0,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Losses:
    """Four cross-entropies: each view against its own labels, and against the other view's.

    within = (L(z1, y1, mu1) + L(z2, y2, mu2)) / 2, cross = (L(z1, y2, mu2) + L(z2, y1, mu1)) / 2,
    total = (within + cross) / 2. The paper adds where the code averages: a scale only. Each L is a
    weighted mean, sum(w_y loss) / sum(w_y).

    Args:
        rows: (N, D) features per view, pixel by pixel in the same frame.
        labels: (N,) int64 pseudo-labels per view.
        prototypes: of each view; labels, centroids and weights always come from the same view.
        temperature: divides the similarities.
        reduce: adds a tensor up over all processes: the means are those of the pixels of all of
            them, and the losses (and gradients) that they return must be added up too.

    Returns:
        scalars; only `total` carries gradients.
    """
    weights = [p.weights[one].sum() for p, one in zip(prototypes, labels, strict=True)]
    scales = 0.25 / reduce(torch.stack(weights)).clamp_min(1e-12)
    terms = [Term(p, one, scale) for p, one, scale in zip(prototypes, labels, scales, strict=True)]
    first, second = (prototype_loss(one, terms, temperature) for one in rows)
    within = 2 * (first[0] + second[1]).detach()
    cross = 2 * (first[1] + second[0]).detach()
    return Losses(total=first.sum() + second.sum(), within=within, cross=cross)
