"""Pseudo-labels: each feature takes the number of its nearest centroid (PiCIE, section 3.2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, normalize

from picie.clustering.kmeans.points import best_rows, block_ranges
from picie.errors import ConfigError, DataError
from picie.runtime.devices import for_each

__all__ = ["Balance", "Rule", "balance_weights", "group_scores", "nearest", "scores"]

Rule = Literal["cosine", "l2", "dot"]
Balance = Literal["none", "frequency", "inverse"]

_TINY = 1e-12  # least length that vectors are divided by


def scores(features: Tensor, centroids: Tensor, rule: Rule) -> Tensor:
    """Score every feature against every centroid; larger is nearer.

    A 1x1 convolution whose weights are the centroids, the prototype classifier. With f a feature
    and c a centroid: "dot" is f.c; "cosine" is f.c / (|f| |c|), in [-1, 1], 0 for zero vectors;
    "l2" is -(|f|^2 - 2 f.c + |c|^2), the negative squared distance. Gradients reach the features
    and the centroids.

    Args:
        features: (B, D, h, w) floating point.
        centroids: (K, D) of the same dtype and device.
        rule: "cosine", "l2" or "dot".

    Returns:
        (B, K, h, w).

    Raises:
        ConfigError: unknown rule.
        DataError: shapes that do not fit.
    """
    linear = _linear_scores(features, centroids, rule)
    if rule == "cosine":
        length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return linear / length.clamp_min(_TINY)
    if rule == "l2":
        return 2 * linear - features.square().sum(1, keepdim=True)
    return linear


def group_scores(values: Tensor, groups: Tensor) -> Tensor:
    """Score of a cluster that several centroids make up: that of the best of them.

    Args:
        values: (B, P, h, w) score of each centroid.
        groups: (P,) int64, the cluster 0..K-1 of each centroid, every cluster at least once.

    Returns:
        (B, K, h, w); gradients reach the best centroid's score.
    """
    clusters = int(groups.max()) + 1
    if clusters == len(groups) and bool((groups == torch.arange(clusters).to(groups)).all()):
        return values
    best = values.new_full((values.shape[0], clusters, *values.shape[2:]), -torch.inf)
    return best.scatter_reduce(1, groups[None, :, None, None].expand_as(values), values, "amax")


def nearest(rows: Tensor, centroids: Tensor, rule: Rule, *, unit: bool = True) -> Tensor:
    """Return the centroid with the largest score; ties go to the lowest number.

    Scores exist for one block of rows at a time.

    Args:
        rows: (N, D) floating point features, of any length.
        centroids: (K, D) float32 on the same device.
        rule: as in `scores`.
        unit: compare the features divided by their length.

    Returns:
        (N,) int64 in 0..K-1, without gradients.

    Raises:
        ConfigError: unknown rule.
        DataError: shapes that do not fit.
    """
    if rows.ndim != 2 or centroids.ndim != 2 or rows.shape[1] != centroids.shape[1]:
        raise _mismatch("rows (N, D)", rows, centroids)
    weight, bias = _linear(centroids, rule)
    found = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    ranges = block_ranges(len(rows), rows.device, len(centroids), threads=1)

    def work(number: int) -> None:
        # these settings belong to a thread
        with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
            block = rows[ranges[number]].float()
            if unit and bias is not None:  # only then does the length of a feature matter
                block = normalize(block, dim=1, eps=_TINY)
            products = torch.mm(weight, block.T)
            if bias is not None:
                products += bias[:, None]
            found[ranges[number]] = best_rows(products)[1]

    for_each(work, len(ranges), rows.device)
    return found


def balance_weights(counts: Tensor, rule: Balance) -> Tensor:
    """Weigh clusters in the loss by how many pixels they hold.

    "none": 1 each. "frequency": count / total, as in the authors' code: large clusters count
    more, the weights sum to 1, and cross-entropy's weighted mean makes their scale irrelevant.
    "inverse": total / (K * count), 0 for an empty cluster: each cluster that is not empty has the
    same share of the loss, and the mean weight over pixels is (clusters not empty) / K, 1 when
    none is empty. Without any pixel all weights of the last two rules are 0.

    Args:
        counts: (K,) pixels per cluster, >= 0.
        rule: "none", "frequency" or "inverse".

    Returns:
        (K,) float32 on the device of the counts.

    Raises:
        ConfigError: unknown rule.
        DataError: counts that are not one dimension, or below 0.
    """
    if counts.ndim != 1 or bool((counts < 0).any()):
        raise DataError(
            f"cluster counts must be a (K,) tensor of numbers >= 0, got shape "
            f"{tuple(counts.shape)}. Use bincount(labels, minlength=K)."
        )
    if rule == "none":
        return torch.ones(len(counts), device=counts.device)
    total = counts.sum()
    if rule == "frequency":
        return (counts / total.clamp_min(1)).float()
    if rule == "inverse":
        share = len(counts) * counts / total.clamp_min(1)
        return torch.where(counts > 0, share.reciprocal(), 0.0).float()
    raise ConfigError(f"balance rule {rule!r} is unknown. Use none, frequency or inverse.")


def _linear_scores(features: Tensor, centroids: Tensor, rule: Rule) -> Tensor:
    """(B, K, h, w) scores up to what only depends on the feature: same order over K."""
    if features.ndim != 4 or centroids.ndim != 2 or features.shape[1] != centroids.shape[1]:
        raise _mismatch("features (B, D, h, w)", features, centroids)
    weight, bias = _linear(centroids, rule)
    mapped: Tensor = conv2d(features, weight[:, :, None, None], bias)
    return mapped


def _linear(centroids: Tensor, rule: Rule) -> tuple[Tensor, Tensor | None]:
    """Weights (K, D) and perhaps biases (K,) of the prototype classifier."""
    if rule == "cosine":
        return normalize(centroids, dim=1, eps=_TINY), None
    if rule == "l2":
        return centroids, -centroids.square().sum(1) / 2
    if rule != "dot":
        raise ConfigError(f"scoring rule {rule!r} is unknown. Use cosine, l2 or dot.")
    return centroids, None


def _mismatch(what: str, features: Tensor, centroids: Tensor) -> DataError:
    return DataError(
        f"{what} and centroids (K, D) must share D, got {tuple(features.shape)} and "
        f"{tuple(centroids.shape)}. Use centroids fitted on features of this network."
    )
