"""Many centroids merged to K clusters by average linkage.

K-means cuts large, varied classes into pieces before it finds small ones. Finding more centroids
than wanted and joining the similar ones lets a cluster have any shape and size.
"""

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from torch import Tensor
from torch.nn import functional as F

from picie.errors import DataError

__all__ = ["merge_centroids"]


def merge_centroids(centroids: Tensor, k: int) -> Tensor:
    """Join the most similar groups of centroids until K are left.

    Average linkage (UPGMA, Sokal and Michener 1958) on the distance between unit centroids.

    Args:
        centroids: (P, D) with P >= K.
        k: K, the clusters wanted.

    Returns:
        (P,) int64, the cluster 0..K-1 of each centroid, numbered in the order in which they first
        occur. Fewer than K values where centroids coincide.

    Raises:
        DataError: fewer centroids than clusters.
    """
    if len(centroids) < k:
        raise DataError(f"{len(centroids)} centroids cannot be merged to {k} clusters; find more")
    if len(centroids) == k:
        return torch.arange(k, device=centroids.device)
    unit = F.normalize(centroids.detach().double(), dim=1).cpu().numpy()
    tree = linkage(pdist(unit), "average")
    flat = fcluster(tree, k, "maxclust")
    _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return torch.from_numpy(rank[inverse].astype(np.int64)).to(centroids.device)
