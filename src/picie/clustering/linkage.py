"""Hierarchical merging of centroids (agglomerative clustering), down to a single group.

K-means splits large, varied classes before it separates small ones. Fitting more centroids than
clusters and merging similar ones allows clusters of any shape and size. `build_tree` knows the
centroids alone; `clustering.vote` also uses the affinities of `clustering.affinities`: the pixels
that centroids share and the contrast at their contacts.

Plain average linkage isolates outliers: a few unusual pixels are far from everything, so all large
groups merge first, and the K clusters become one that holds nearly everything and K - 1 small ones.
Flexible linkage increases the distances of a merged group to all others a little, so groups that
have not merged yet come first.
"""

import math
from collections.abc import Sequence

import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import contrast_distances, relative_contacts

__all__ = ["build_tree", "flexible_linkage"]


def build_tree(centroids: Tensor) -> Tensor:
    """Merge the closest pair of groups until a single one is left, starting from the centroids.

    Average linkage (UPGMA, Sokal and Michener 1958) on the Euclidean distance of unit centroids.
    `clustering.vote` uses more than the centroids.

    Args:
        centroids: (P, D), P >= 1.

    Returns:
        (P - 1, 3) float64 on the device of the centroids, one row per merge: the two groups and
        the distance at which they merge, which never decreases from row to row. Groups 0..P-1 are
        the centroids; row i creates group P + i.
    """
    if len(centroids) == 1:
        return torch.zeros(0, 3, dtype=torch.float64, device=centroids.device)
    pairs = pdist(F.normalize(centroids.detach().double(), dim=1).cpu().numpy())
    tree = torch.from_numpy(linkage(pairs, "average")[:, :3].copy())
    return tree.to(centroids.device)


def flexible_linkage(
    distances: Tensor,
    contacts: Tensor | None = None,
    weights: Sequence[float] = (),
    beta: float = 0.0,
) -> Tensor:
    """Merge the pair of groups with the smallest dissimilarity until a single group is left.

    The distance from a group to a merged one is (1 - beta) times the mean of its distances to the
    two parts, weighted by their numbers of clusters, plus beta times the distance between the
    parts (flexible UPGMA; Belbin, Faith and Milligan, Multivariate Behavioral Research 1992). The
    dissimilarity of two groups is this distance plus the weighted sum of their
    `contrast_distances`, computed from all contacts between the groups.

    Args:
        distances: (P, P) of all pairs of clusters, symmetric.
        contacts: (1 + C, P, P) from `count_contacts`; None = no contrasts.
        weights: (C,) of the contrasts, whose means are 1.
        beta: 0 = average linkage; with smaller ones, groups that have not merged yet come first.

    Returns:
        (P - 1, 3) float64 on the CPU, one row per merge: the two groups, and their height: the mean
        distance between their clusters plus the contrasts. A height below that of the row before
        is raised to just above it. Groups 0..P-1 are the clusters; row i creates group P + i.
    """
    count = len(distances)
    mean = distances.detach().double().cpu().clone()
    flexible = mean.clone()
    contact = torch.zeros(1 + len(weights), count, count, dtype=torch.float64)
    if contacts is not None:
        contact = relative_contacts(contacts).cpu()
    scales = distances.new_tensor(weights, dtype=torch.float64, device="cpu")
    contrast = torch.einsum("c,cij->ij", scales, contrast_distances(contact))
    cost = (flexible + contrast).fill_diagonal_(math.inf)
    names, sizes = list(range(count)), [1] * count
    rows: list[tuple[int, int, float]] = []
    height = 0.0
    for step in range(count - 1):
        merged, absorbed = sorted(divmod(int(cost.argmin()), count))
        distance = float(mean[merged, absorbed] + contrast[merged, absorbed])
        # Trees are cut at a height, so rows that are out of order must not become equal.
        height = distance if distance >= height else math.nextafter(height, math.inf)
        first, second = sorted((names[merged], names[absorbed]))
        rows.append((first, second, height))
        share = sizes[merged] / (sizes[merged] + sizes[absorbed])
        _put(mean, merged, share * mean[merged] + (1 - share) * mean[absorbed])
        average = share * flexible[merged] + (1 - share) * flexible[absorbed]
        _put(flexible, merged, (1 - beta) * average + beta * flexible[merged, absorbed])
        _put(contact, merged, contact[:, merged] + contact[:, absorbed])
        _put(contrast, merged, scales @ contrast_distances(contact[:, merged]))
        active = cost[merged].isfinite()  # neither the group itself nor groups merged before
        _put(cost, merged, (flexible[merged] + contrast[merged]).where(active, math.inf))
        _put(cost, absorbed, torch.full((count,), math.inf, dtype=torch.float64))
        names[merged], sizes[merged] = count + step, sizes[merged] + sizes[absorbed]
    return torch.tensor(rows, dtype=torch.float64).view(-1, 3)


def _put(pairs: Tensor, group: int, values: Tensor) -> None:
    """Set the row and the column of a group in symmetric (..., P, P)."""
    pairs[..., group, :] = values
    pairs[..., group] = values
