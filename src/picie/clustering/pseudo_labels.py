"""Pseudo-labels: the index of the centroid nearest to each feature (PiCIE, section 3.2)."""

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

_TINY = 1e-12  # lower bound of the norms that vectors are divided by


def scores(features: Tensor, centroids: Tensor, rule: Rule) -> Tensor:
    """Score every feature against every centroid; larger is nearer.

    The prototype classifier: a 1x1 convolution whose weights are the centroids. With f a feature
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
        DataError: shapes do not match.
    """
    linear = _linear_scores(features, centroids, rule)
    if rule == "cosine":
        length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return linear / length.clamp_min(_TINY)
    if rule == "l2":
        return 2 * linear - features.square().sum(1, keepdim=True)
    return linear


def group_scores(values: Tensor, groups: Tensor) -> Tensor:
    """Score of each cluster: the largest score of its centroids.

    Args:
        values: (B, P, h, w) score of each centroid.
        groups: (P,) int64, the cluster 0..K-1 of each centroid; every cluster occurs.

    Returns:
        (B, K, h, w); gradients reach the score of the best centroid.
    """
    clusters = int(groups.max()) + 1
    if clusters == len(groups) and bool((groups == torch.arange(clusters).to(groups)).all()):
        return values
    if values.device.type != "cpu":  # one operation: on a GPU, starting them takes the time
        best = values.new_full((values.shape[0], clusters, *values.shape[2:]), -torch.inf)
        return best.scatter_reduce(1, groups[None, :, None, None].expand_as(values), values, "amax")
    # Slices of the sorted centroids: on a CPU several times as fast as scatter_reduce.
    parts = values[:, groups.argsort(stable=True)].split(groups.bincount().tolist(), 1)
    return torch.cat([part.amax(1, keepdim=True) for part in parts], 1)


def nearest(rows: Tensor, centroids: Tensor, rule: Rule, *, unit: bool = True) -> Tensor:
    """Return the centroid with the largest score; ties go to the lowest number.

    Scores are computed for one block of rows at a time.

    Args:
        rows: (N, D) floating point features, of any length.
        centroids: (K, D) float32 on the same device.
        rule: as in `scores`.
        unit: normalise the features to unit length first.

    Returns:
        (N,) int64 in 0..K-1, without gradients.

    Raises:
        ConfigError: unknown rule.
        DataError: shapes do not match.
    """
    if rows.ndim != 2 or centroids.ndim != 2 or rows.shape[1] != centroids.shape[1]:
        raise _mismatch("rows (N, D)", rows, centroids)
    weight, bias = _linear(centroids, rule)
    labels = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    ranges = block_ranges(len(rows), rows.device, len(centroids), threads=1)

    def work(number: int) -> None:
        # both settings are per thread
        with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
            block = rows[ranges[number]].float()
            if unit and bias is not None:  # without a bias the norm does not change the argmax
                block = normalize(block, dim=1, eps=_TINY)
            products = torch.mm(weight, block.T)
            if bias is not None:
                products += bias[:, None]
            labels[ranges[number]] = best_rows(products)[1]

    for_each(work, len(ranges), rows.device)
    return labels


def balance_weights(counts: Tensor, rule: Balance) -> Tensor:
    """Weights of the clusters in the loss, from their numbers of pixels.

    "none": 1 each. "frequency": count / total, as in the authors' code; large clusters count more,
    the weights sum to 1, and their scale cancels in the weighted mean of the cross-entropy.
    "inverse": total / (K * count), 0 for an empty cluster; every non-empty cluster has the same
    share of the loss, and the mean weight over pixels is (non-empty clusters) / K. With no pixels
    at all, the last two rules give weights of 0.

    Args:
        counts: (K,) pixels per cluster, >= 0.
        rule: "none", "frequency" or "inverse".

    Returns:
        (K,) float32 on the device of the counts.

    Raises:
        ConfigError: unknown rule.
        DataError: counts that are not one-dimensional, or negative.
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
    """(B, K, h, w) scores without the terms and factors that are constant over K."""
    if features.ndim != 4 or centroids.ndim != 2 or features.shape[1] != centroids.shape[1]:
        raise _mismatch("features (B, D, h, w)", features, centroids)
    weight, bias = _linear(centroids, rule)
    mapped: Tensor = conv2d(features, weight[:, :, None, None], bias)
    return mapped


def _linear(centroids: Tensor, rule: Rule) -> tuple[Tensor, Tensor | None]:
    """Weights (K, D) of the prototype classifier, and biases (K,) for "l2"."""
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
