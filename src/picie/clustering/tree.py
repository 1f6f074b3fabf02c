"""The tree of clusters that a model carries, cut at any number of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster
from torch import Tensor

from picie.clustering.linkage import build_tree
from picie.errors import ConfigError, DataError
from picie.models.picie import PiCIE

__all__ = ["cluster_groups", "cut_network", "cut_tree", "node_members", "suggest_clusters", "trees"]


def cut_tree(tree: Tensor, k: int) -> Tensor:
    """The groups of centroids when K are left.

    Args:
        tree: (P - 1, 3) from `build_tree`.
        k: K, the clusters wanted.

    Returns:
        (P,) int64, the cluster 0..K-1 of each centroid, numbered in the order in which they first
        occur. Fewer than K values where centroids coincide.

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
        tree: (P - 1, 3) from `build_tree`.

    Returns:
        K; P itself for fewer than 6 centroids, where there is nothing to choose.
    """
    count = len(tree) + 1
    if count < 6:
        return count
    heights = tree[:, 2].cpu().clamp_min(1e-12)
    gaps = {k: float(heights[count - k] / heights[count - k - 1]) for k in range(3, count // 2 + 1)}
    return max(gaps, key=lambda k: gaps[k])


def cut_network(network: PiCIE, clusters: int) -> PiCIE:
    """The same network, weights shared, with another number of clusters.

    The most similar centroids are joined until `clusters` are left, in the order of the tree.

    Args:
        network: with P centroids.
        clusters: K, 2..P.

    Raises:
        ConfigError: a number that cannot be, or clusters that a learnt classifier separates.
        NotFittedError: nothing was learnt.
    """
    grown = trees(network)
    most = network.groups.shape[1]
    if not 2 <= clusters <= most:
        raise ConfigError(
            f"{clusters} clusters: the model has {most} centroids and can be cut into 2 to {most} "
            "clusters; for more, train with larger --overclusters"
        )
    return network.regrouped([cut_tree(tree, clusters) for tree in grown])


def trees(network: PiCIE) -> list[Tensor]:
    """The (P - 1, 3) tree of each view (`clustering.linkage.build_tree`).

    Raises:
        ConfigError: the clusters were learnt by a classifier.
        NotFittedError: nothing was learnt.
    """
    network.view_centroids(0)  # raises
    if network.offsets.any():
        raise ConfigError(
            "the clusters of this model were learnt by a classifier and form no tree; train with "
            "the number of clusters that is wanted"
        )
    if network.trees.shape[1] == network.groups.shape[1] - 1:
        return list(network.trees)
    return [build_tree(one) for one in network.centroids]  # a model of 0.1.0


def cluster_groups(network: PiCIE, clusters: int, origin: str = "class names") -> Tensor:
    """The cluster 0..K-1 of each centroid of the first view, (P,) int64, at another cut.

    Args:
        network: with centroids.
        clusters: K, 2..P.
        origin: start of the message of an error.

    Raises:
        ConfigError: a cut that cannot be.
        NotFittedError: nothing was learnt.
    """
    groups = network.view_centroids(0)[1].cpu()
    if clusters == int(groups.max()) + 1:
        return groups
    if network.offsets.any():
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but this model has {int(groups.max()) + 1} clusters "
            "that a classifier learnt, and no other cut; set clusters to that number"
        )
    if not 2 <= clusters <= len(groups):
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but the model has {len(groups)} centroids and can "
            f"be cut into 2 to {len(groups)} clusters; correct it"
        )
    return cut_tree(trees(network)[0].cpu(), clusters)


def node_members(network: PiCIE, origin: str = "class names") -> list[tuple[int, ...]]:
    """The centroids below each of the 2P - 1 nodes of the first view's tree.

    Args:
        network: with centroids.
        origin: start of the message of an error.

    Raises:
        ConfigError: the clusters were learnt by a classifier and form no tree.
        NotFittedError: nothing was learnt.
    """
    try:
        tree = trees(network)[0].cpu()
    except ConfigError as error:
        raise ConfigError(f"{origin}: nodes cannot be used: {error}") from None
    members: list[tuple[int, ...]] = [(number,) for number in range(len(tree) + 1)]
    for left, right, _ in tree.tolist():
        members.append(members[int(left)] + members[int(right)])
    return members


def _with_sizes(tree: Tensor) -> NDArray[np.float64]:
    """The tree in scipy's form, which also holds the size of each new group."""
    rows = tree.double().cpu().numpy()
    sizes = [1] * (len(rows) + 1)
    for left, right, _ in rows:
        sizes.append(sizes[int(left)] + sizes[int(right)])
    return np.column_stack([rows, np.array(sizes[len(rows) + 1 :], dtype=np.float64)])
