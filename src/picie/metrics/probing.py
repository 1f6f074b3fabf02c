"""Classifiers on frozen features: how much of the labels can be read from them.

Unlike clustering these USE labels, those of other pictures. Their scores are upper marks for
features, never results without labels.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import ConfigError, DataError

__all__ = ["PENALTY", "check_neighbours", "fit_linear", "neighbour_votes"]

PENALTY = 1e-5
"""Of the linear classifier: factor of half the squared weights beside the mean cross-entropy."""

_STEPS = 500
_ROWS = 2**16  # of the linear classifier's block
_SCORES = 2**24  # numbers in a block of similarities: 64 MB
_NEVER = -1e4  # logit of a class that no sample has: finite, so that mixtures of logits are numbers


@torch.enable_grad()
def fit_linear(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by L-BFGS over all samples, from zero: nothing is drawn.

    Minimises mean cross-entropy + PENALTY / 2 |W|^2; the biases are free, classes are not weighted.
    A class without a sample gets a bias that is never the largest.

    Args:
        features: (N, D) float32 of unit length.
        labels: (N,) int64, 0..L-1.
        num_classes: L.

    Returns:
        weights (L, D) and biases (L,), without gradients.

    Raises:
        DataError: no sample.
    """
    _check_samples(features)
    seen, own = labels.unique(return_inverse=True)
    weight = features.new_zeros(len(seen), features.shape[1]).requires_grad_()
    bias = features.new_zeros(len(seen)).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = PENALTY / 2 * weight.square().sum()
        total.backward()
        for part in _blocks(len(features), _ROWS):
            logits = features[part] @ weight.T + bias
            loss = F.cross_entropy(logits, own[part], reduction="sum") / len(features)
            loss.backward()
            total = total.detach() + loss.detach()
        return total

    optimiser.step(closure)
    weights = features.new_zeros(num_classes, features.shape[1])
    biases = features.new_full((num_classes,), _NEVER)
    weights[seen], biases[seen] = weight.detach(), bias.detach()
    return weights, biases


@torch.no_grad()
def neighbour_votes(
    queries: Tensor, bank: Tensor, labels: Tensor, num_classes: int, neighbours: int
) -> Tensor:
    """Share of each class among the most similar samples, by cosine; all votes are equal.

    Similarities exist for one block of queries at a time.

    Args:
        queries: (N, D) floating point, of any length.
        bank: (M, D) samples of any length.
        labels: (M,) int64, 0..L-1.
        num_classes: L.
        neighbours: k, 1..M.

    Returns:
        (N, L) float32 in [0, 1], rows add up to 1.

    Raises:
        ConfigError: no neighbours.
        DataError: fewer samples than neighbours.
    """
    check_neighbours(neighbours)
    _check_samples(bank, neighbours)
    directions = F.normalize(bank.float(), dim=1)
    votes = torch.empty(len(queries), num_classes, device=queries.device)
    for part in _blocks(len(queries), max(1, _SCORES // len(bank))):
        similar = F.normalize(queries[part].float(), dim=1) @ directions.T
        nearest = similar.topk(neighbours, dim=1, sorted=False).indices
        counts = torch.zeros(len(nearest), num_classes, device=queries.device)
        counts.scatter_add_(1, labels[nearest], torch.ones_like(nearest, dtype=torch.float32))
        votes[part] = counts / neighbours
    return votes


def check_neighbours(neighbours: int) -> None:
    """Refuse a number of neighbours that cannot vote.

    Raises:
        ConfigError: below 1.
    """
    if neighbours < 1:
        raise ConfigError(f"{neighbours} neighbours cannot vote; give 1 or more")


def _blocks(size: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def _check_samples(samples: Tensor, wanted: int = 1) -> None:
    if len(samples) < wanted:
        raise DataError(
            f"{len(samples)} labelled feature pixels for a probe that needs {wanted}; use more "
            "pictures for it, or fewer neighbours"
        )
