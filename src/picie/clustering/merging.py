"""Many centroids merged to K clusters, and the tree of all such mergers.

K-means cuts large, varied classes into pieces before it finds small ones. Finding more centroids
than wanted and joining the similar ones lets a cluster have any shape and size. Which ones are
similar is told by the centroids themselves and, where it is known, by the pixels between them and
by what is to be seen where they touch (`clustering.linkage`).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.linkage import flexible_linkage
from picie.clustering.overlap import diffusion_distances
from picie.errors import DataError

__all__ = ["cut_tree", "linkage_tree", "merge_centroids", "suggest_clusters"]

_SIZE_POWER = 0.15
_LEAST_SIZE = 0.01  # of a cluster, in multiples of the mean


def merge_centroids(
    centroids: Tensor, k: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Tensor:
    """Join the most similar groups of centroids until K are left.

    Args:
        centroids: (P, D) with P >= K.
        k: K, the clusters wanted.
        shared: as for `linkage_tree`.
        contacts: as for `linkage_tree`.

    Returns:
        (P,) int64, the cluster 0..K-1 of each centroid, numbered in the order in which they first
        occur. Fewer than K values where centroids coincide.

    Raises:
        DataError: fewer centroids than clusters.
    """
    if len(centroids) == k:
        return torch.arange(k, device=centroids.device)
    return cut_tree(linkage_tree(centroids, shared, contacts), k)


def linkage_tree(
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


def cut_tree(tree: Tensor, k: int) -> Tensor:
    """The groups of centroids when K are left.

    Args:
        tree: (P - 1, 3) from `linkage_tree`.
        k: K, the clusters wanted.

    Returns:
        (P,) int64 as `merge_centroids`.

    Raises:
        DataError: fewer centroids than clusters.
    """
    count = len(tree) + 1
    if k > count:
        raise DataError(f"{count} centroids cannot be merged to {k} clusters; find more")
    if k == count:
        return torch.arange(k, device=tree.device)
    flat = fcluster(_with_sizes(tree), k, "maxclust")
    _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return torch.from_numpy(rank[inverse].astype(np.int64)).to(tree.device)


def suggest_clusters(tree: Tensor) -> int:
    """The K at which the tree has its widest gap: the next merger joins much less similar groups.

    The gap is the ratio of the distance of the next merger to that of the last one. It is looked
    for between 3 clusters and half of the centroids: above that, ratios are those of near twins.

    Args:
        tree: (P - 1, 3) from `linkage_tree`.

    Returns:
        K; P itself for fewer than 6 centroids, where there is nothing to choose.
    """
    count = len(tree) + 1
    if count < 6:
        return count
    heights = tree[:, 2].cpu().clamp_min(1e-12)
    gaps = {k: float(heights[count - k] / heights[count - k - 1]) for k in range(3, count // 2 + 1)}
    return max(gaps, key=lambda k: gaps[k])


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


def _with_sizes(tree: Tensor) -> NDArray[np.float64]:
    """The tree in scipy's form, which also holds the size of each new group."""
    rows = tree.double().cpu().numpy()
    sizes = [1] * (len(rows) + 1)
    for left, right, _ in rows:
        sizes.append(sizes[int(left)] + sizes[int(right)])
    return np.column_stack([rows, np.array(sizes[len(rows) + 1 :], dtype=np.float64)])
