"""PiCIE's objective: within-view and cross-view clustering losses (PiCIE, section 3.3)."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from picie.errors import ConfigError
from picie.objectives.prototypes import Prototypes, Term, prototype_loss
from picie.types import Losses

__all__ = ["add_auxiliary", "log_ratio_weights", "picie_losses"]

Pair = tuple[Tensor, Tensor]


def picie_losses(
    rows: Pair,
    labels: Pair,
    prototypes: tuple[Prototypes, Prototypes],
    *,
    temperature: float = 1.0,
    cross_view: bool = True,
    unit: bool = True,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Losses:
    """Four cross-entropies: each view against its own labels, and against the other view's.

    within = (L(z1, y1, mu1) + L(z2, y2, mu2)) / 2, cross = (L(z1, y2, mu2) + L(z2, y1, mu1)) / 2,
    total = (within + cross) / 2. The paper sums where the authors' code averages, which changes the
    scale only. Each L is a weighted mean, sum(w_y loss) / sum(w_y).

    Args:
        rows: (N, D) features per view; the same row is the same pixel in both views.
        labels: (N,) int64 pseudo-labels per view.
        prototypes: per view; labels, centroids and weights always come from the same view.
        temperature: divides the similarities.
        cross_view: include the cross-view loss; without it total = within.
        unit: normalise the features to unit length first.
        reduce: sums a tensor over all processes. The means are taken over the pixels of all
            processes, so the returned losses (and gradients) must be summed over them too.

    Returns:
        Scalars; only `total` carries gradients. The parts are `within` and, with `cross_view`,
        `cross`.
    """
    weights = [p.weights[one].sum() for p, one in zip(prototypes, labels, strict=True)]
    share = 0.25 if cross_view else 0.5
    scales = share / reduce(torch.stack(weights)).clamp_min(1e-12)
    terms = [Term(p, one, scale) for p, one, scale in zip(prototypes, labels, scales, strict=True)]
    if not cross_view:
        alone = [
            prototype_loss(one, [term], temperature, unit=unit)[0]
            for one, term in zip(rows, terms, strict=True)
        ]
        total = alone[0] + alone[1]
        return Losses(total, {"within": total.detach()})
    first, second = (prototype_loss(one, terms, temperature, unit=unit) for one in rows)
    within = 2 * (first[0] + second[1]).detach()
    cross = 2 * (first[1] + second[0]).detach()
    return Losses(first.sum() + second.sum(), {"within": within, "cross": cross})


def log_ratio_weights(clusters: int, auxiliary: int) -> tuple[float, float]:
    """Weights of the main and the auxiliary loss that make both contribute equally at the start.

    A loss over K clusters starts near log K, hence lambda_1 = log K2 / (log K1 + log K2) and
    lambda_2 = log K1 / (log K1 + log K2).

    Args:
        clusters: K1 >= 2.
        auxiliary: K2 >= 2.

    Raises:
        ConfigError: fewer than two clusters.

    Example:
        >>> [round(weight, 3) for weight in log_ratio_weights(27, 100)]
        [0.583, 0.417]
    """
    if min(clusters, auxiliary) < 2:
        raise ConfigError(f"{clusters} and {auxiliary} clusters: both must be 2 or more")
    first, second = math.log(clusters), math.log(auxiliary)
    return second / (first + second), first / (first + second)


def add_auxiliary(main: Losses, auxiliary: Losses, weights: tuple[float, float]) -> Losses:
    """Weighted sum of both totals; names of auxiliary parts get the suffix `_auxiliary`."""
    total = weights[0] * main.total + weights[1] * auxiliary.total
    named: Mapping[str, Tensor] = {f"{k}_auxiliary": v for k, v in auxiliary.parts.items()}
    return Losses(total, {**main.parts, **named})
