"""The tree of merges: which clusters merge first, down to a single group.

K-means cuts large, varied classes into pieces before it finds small ones. Finding more centroids
than wanted and merging similar ones lets a cluster have any shape and size. `build_tree` is the one
entry. How similar two centroids are follows from their distance and, where they were measured, from
the affinities of `clustering.affinities`: the pixels they share, and the contrast where they touch.

With plain average linkage the last groups are the odd ones: a few pixels that look like nothing
else are far from everything, so all large groups merge before they do, and K clusters are one of
nearly everything and K - 1 leftovers. Flexible linkage moves a new group a little away from all
others, so groups that have merged wait for those that have not.
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
_LEAST_SIZE = 0.01  # of a cluster, in multiples of the mean
_BETA = -0.1
_CONTRAST = 0.75  # weight of each contrast, with a mean of 1; that of the distances is 2


def build_tree(
    centroids: Tensor, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """The order in which centroids join, down to a single group.

    Average linkage (UPGMA, Sokal and Michener 1958) on the distance between unit centroids. With
    `shared`, `flexible_linkage` on the sum of that and of `diffusion_distances`, each divided by
    its mean over all pairs, times h^0.15, where h is the harmonic mean of the sizes of the two
    (their pixels, in multiples of the mean): a small cluster joins others before two large ones do.

    Args:
        centroids: (P, D), P >= 1.
        shared: (P, P) from `shared_pixels`; None = look at the centroids alone.
        contacts: (1 + C, P, P) from `count_contacts`, only with `shared`, for `flexible_linkage`;
            None = do not look.

    Returns:
        (P - 1, 3) float64 on the device of the centroids, one row per merger: the two groups, and
        the distance at which they join, which never falls from row to row. Groups 0..P-1 are the
        centroids, row i makes group P + i.
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
    """(P, P) factors of the distances of all pairs, from the sizes of the two."""
    # Memberships of a pixel add up to 1, so the rows add up to the pixels of each cluster.
    pixels = shared.double().cpu().sum(1)
    sizes = (pixels / pixels.mean().clamp_min(1e-12)).clamp_min(_LEAST_SIZE)
    harmonic: Tensor = 2 / (1 / sizes[:, None] + 1 / sizes)
    return harmonic.pow(_SIZE_POWER)


def _of_mean_one(distances: Tensor) -> Tensor:
    """(P, P) distances, 0 on the diagonal, as multiples of the mean of two different ones."""
    count = len(distances)
    mean = float(distances.sum()) / (count * (count - 1))
    return distances / max(mean, 1e-12)


def flexible_linkage(distances: Tensor, contacts: Tensor | None = None) -> Tensor:
    """The order in which clusters join, down to a single group.

    The distance of a group to a new one is (1 - beta) times the mean of those to its two parts,
    weighted by their numbers of clusters, plus beta times that of the parts, beta = -0.1 (flexible
    UPGMA; Belbin, Faith and Milligan, Multivariate Behavioral Research 1992). Of two groups that
    touch, 3/4 of each contrast at all their contacts is added, whatever clusters they are made of.
    The pair with the smallest sum joins.

    Args:
        distances: (P, P) of all pairs of clusters, symmetric.
        contacts: (1 + C, P, P) from `count_contacts`; None = do not look.

    Returns:
        (P - 1, 3) float64 on the CPU, one row per merger: the two groups, and how far apart they
        are, that is the mean distance of their clusters and the contrasts. Where that is less than
        in the row before, it is raised to just above it. Groups 0..P-1 are the clusters, row i
        makes group P + i.
    """
    count = len(distances)
    mean = distances.detach().double().cpu().clone()
    apart = mean.clone()
    touching = torch.zeros(1, count, count, dtype=torch.float64)
    if contacts is not None:
        touching = relative_contacts(contacts).cpu()
    contrast = _CONTRAST * contrast_distances(touching).sum(0)
    cost = (apart + contrast).fill_diagonal_(math.inf)
    names, sizes = list(range(count)), [1] * count
    rows: list[tuple[int, int, float]] = []
    height = 0.0
    for step in range(count - 1):
        kept, gone = sorted(divmod(int(cost.argmin()), count))
        found = float(mean[kept, gone] + contrast[kept, gone])
        # Trees are cut at a distance, so rows that are out of order must not become equal.
        height = found if found >= height else math.nextafter(height, math.inf)
        first, second = sorted((names[kept], names[gone]))
        rows.append((first, second, height))
        share = sizes[kept] / (sizes[kept] + sizes[gone])
        _put(mean, kept, share * mean[kept] + (1 - share) * mean[gone])
        average = share * apart[kept] + (1 - share) * apart[gone]
        _put(apart, kept, (1 - _BETA) * average + _BETA * apart[kept, gone])
        _put(touching, kept, touching[:, kept] + touching[:, gone])
        _put(contrast, kept, _CONTRAST * contrast_distances(touching[:, kept]).sum(0))
        left = cost[kept].isfinite()  # neither the group itself nor those that have joined
        _put(cost, kept, (apart[kept] + contrast[kept]).where(left, math.inf))
        _put(cost, gone, torch.full((count,), math.inf, dtype=torch.float64))
        names[kept], sizes[kept] = count + step, sizes[kept] + sizes[gone]
    return torch.tensor(rows, dtype=torch.float64).view(-1, 3)


def _put(pairs: Tensor, group: int, values: Tensor) -> None:
    """Set what a group is to all others, in symmetric (..., P, P)."""
    pairs[..., group, :] = values
    pairs[..., group] = values
