"""Hierarchical merging of centroids (agglomerative clustering), down to a single group.

K-means splits large, varied classes before it separates small ones. Fitting more centroids than
clusters and merging similar ones allows clusters of any shape and size. `build_tree` is the entry
point. Its dissimilarity of two centroids combines their distance and, if measured, the affinities
of `clustering.affinities`: the pixels they share and the contrast at their contacts.

Plain average linkage isolates outliers: a few unusual pixels are far from everything, so all large
groups merge first, and the K clusters become one that holds nearly everything and K - 1 small ones.
Flexible linkage increases the distances of a merged group to all others a little, so groups that
have not merged yet come first.
"""

import math

import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import contrast_distances, diffusion_distances, relative_contacts

__all__ = ["build_tree", "flexible_linkage"]

_SIZE_POWER = 0.15
_LEAST_SIZE = 0.01  # of a cluster, relative to the mean size
_BETA = -0.1
_CONTRAST = 0.75  # weight of each contrast, whose mean is 1; the two distances sum to a mean of 2


def build_tree(
    centroids: Tensor, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """Merge the closest pair of groups until a single one is left, starting from the centroids.

    Without `shared`: average linkage (UPGMA, Sokal and Michener 1958) on the Euclidean distance of
    unit centroids. With `shared`: `flexible_linkage` on the sum of that distance and of
    `diffusion_distances`, each divided by its mean over all pairs, times h^0.15. h is the harmonic
    mean of the two cluster sizes (pixels relative to the mean size), so small clusters merge before
    large ones.

    Args:
        centroids: (P, D), P >= 1.
        shared: (P, P) from `shared_pixels`; None = use the centroids alone.
        contacts: (1 + C, P, P) from `count_contacts`, used only with `shared`; None = no contrasts.

    Returns:
        (P - 1, 3) float64 on the device of the centroids, one row per merge: the two groups and
        the distance at which they merge, which never decreases from row to row. Groups 0..P-1 are
        the centroids; row i creates group P + i.
    """
    if len(centroids) == 1:
        return torch.zeros(0, 3, dtype=torch.float64, device=centroids.device)
    pairs = pdist(F.normalize(centroids.detach().double(), dim=1).cpu().numpy())
    if shared is None:
        tree = torch.from_numpy(linkage(pairs, "average")[:, :3].copy())
    else:
        near = torch.from_numpy(squareform(pairs))
        along = diffusion_distances(shared.cpu())
        distances = (_of_mean_one(near) + _of_mean_one(along)) * _size_factors(shared)
        tree = flexible_linkage(distances, contacts)
    return tree.to(centroids.device)


def _size_factors(shared: Tensor) -> Tensor:
    """(P, P) factors by which the distances of all pairs are multiplied, from their sizes."""
    # The memberships of a pixel sum to 1, so a row sum is the number of pixels of that cluster.
    pixels = shared.double().cpu().sum(1)
    sizes = (pixels / pixels.mean().clamp_min(1e-12)).clamp_min(_LEAST_SIZE)
    harmonic: Tensor = 2 / (1 / sizes[:, None] + 1 / sizes)
    return harmonic.pow(_SIZE_POWER)


def _of_mean_one(distances: Tensor) -> Tensor:
    """(P, P) distances, 0 on the diagonal, divided by their mean off the diagonal."""
    count = len(distances)
    mean = float(distances.sum()) / (count * (count - 1))
    return distances / max(mean, 1e-12)


def flexible_linkage(distances: Tensor, contacts: Tensor | None = None) -> Tensor:
    """Merge the pair of groups with the smallest dissimilarity until a single group is left.

    The distance from a group to a merged one is (1 - beta) times the mean of its distances to the
    two parts, weighted by their numbers of clusters, plus beta times the distance between the
    parts, beta = -0.1 (flexible UPGMA; Belbin, Faith and Milligan, Multivariate Behavioral Research
    1992). The dissimilarity of two groups is this distance plus 3/4 of each of their
    `contrast_distances`, computed from all contacts between the groups.

    Args:
        distances: (P, P) of all pairs of clusters, symmetric.
        contacts: (1 + C, P, P) from `count_contacts`; None = no contrasts.

    Returns:
        (P - 1, 3) float64 on the CPU, one row per merge: the two groups, and their height: the mean
        distance between their clusters plus the contrasts. A height below that of the row before
        is raised to just above it. Groups 0..P-1 are the clusters; row i creates group P + i.
    """
    count = len(distances)
    mean = distances.detach().double().cpu().clone()
    flexible = mean.clone()
    contact = torch.zeros(1, count, count, dtype=torch.float64)
    if contacts is not None:
        contact = relative_contacts(contacts).cpu()
    contrast = _CONTRAST * contrast_distances(contact).sum(0)
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
        _put(flexible, merged, (1 - _BETA) * average + _BETA * flexible[merged, absorbed])
        _put(contact, merged, contact[:, merged] + contact[:, absorbed])
        _put(contrast, merged, _CONTRAST * contrast_distances(contact[:, merged]).sum(0))
        active = cost[merged].isfinite()  # neither the group itself nor groups merged before
        _put(cost, merged, (flexible[merged] + contrast[merged]).where(active, math.inf))
        _put(cost, absorbed, torch.full((count,), math.inf, dtype=torch.float64))
        names[merged], sizes[merged] = count + step, sizes[merged] + sizes[absorbed]
    return torch.tensor(rows, dtype=torch.float64).view(-1, 3)


def _put(pairs: Tensor, group: int, values: Tensor) -> None:
    """Set the row and the column of a group in symmetric (..., P, P)."""
    pairs[..., group, :] = values
    pairs[..., group] = values
