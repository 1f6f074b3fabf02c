"""Cut the tree of a model's centroids into any number of clusters."""

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
    """Stop merging when K groups are left.

    Args:
        tree: (P - 1, 3) from `build_tree`.
        k: number of clusters K.

    Returns:
        (P,) int64, the cluster 0..K-1 of each centroid, numbered by first occurrence. Fewer than K
        distinct values if centroids coincide.

    Raises:
        DataError: fewer centroids than clusters.
    """
    count = len(tree) + 1
    if k > count:
        raise DataError(f"{count} centroids cannot be merged to {k} clusters; fit more centroids")
    if k == count:
        return torch.arange(k, device=tree.device)
    flat = fcluster(_with_sizes(tree), k, "maxclust")
    _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return torch.from_numpy(rank[inverse].astype(np.int64)).to(tree.device)


def suggest_clusters(tree: Tensor) -> int:
    """Suggest the K with the widest gap in the tree.

    The gap is the ratio of the next merge distance to the last one: beyond it, much less similar
    groups would merge. K ranges from 3 to P / 2; above that the ratios compare near-duplicates.

    Args:
        tree: (P - 1, 3) from `build_tree`.

    Returns:
        K; P itself for fewer than 6 centroids.
    """
    count = len(tree) + 1
    if count < 6:
        return count
    heights = tree[:, 2].cpu().clamp_min(1e-12)
    gaps = {k: float(heights[count - k] / heights[count - k - 1]) for k in range(3, count // 2 + 1)}
    return max(gaps, key=lambda k: gaps[k])


def cut_network(network: PiCIE, clusters: int) -> PiCIE:
    """The same network, with shared weights, cut into another number of clusters.

    Centroids merge in the order of the tree until `clusters` are left.

    Args:
        network: with P centroids.
        clusters: K, 2..P.

    Raises:
        ConfigError: K out of range, or the clusters come from a learnt classifier.
        NotFittedError: the network has no centroids.
    """
    cut_trees = trees(network)
    count = network.groups.shape[1]
    if not 2 <= clusters <= count:
        raise ConfigError(
            f"{clusters} clusters: the model has {count} centroids and can be cut into 2 to "
            f"{count} clusters; for more, train with larger --overclusters"
        )
    return network.regrouped([cut_tree(tree, clusters) for tree in cut_trees])


def trees(network: PiCIE) -> list[Tensor]:
    """The (P - 1, 3) tree of each view (`clustering.linkage.build_tree`).

    Raises:
        ConfigError: the clusters come from a learnt classifier.
        NotFittedError: the network has no centroids.
    """
    network.view_centroids(0)  # raises
    stored = network.trees.shape[1] == network.groups.shape[1] - 1
    if network.offsets.any() and not stored:
        raise ConfigError(
            "the clusters of this model come from a learnt classifier and form no tree; train a "
            "model with the number of clusters that you want"
        )
    if stored:
        return list(network.trees)
    return [build_tree(one) for one in network.centroids]  # a model of 0.1.0


def cluster_groups(network: PiCIE, clusters: int, origin: str = "class names") -> Tensor:
    """The cluster 0..K-1 of each centroid of the first view at another cut, (P,) int64.

    Args:
        network: with centroids.
        clusters: K, 2..P.
        origin: prefix of error messages.

    Raises:
        ConfigError: the model cannot be cut into K clusters.
        NotFittedError: the network has no centroids.
    """
    groups = network.view_centroids(0)[1].cpu()
    if clusters == int(groups.max()) + 1:
        return groups
    if network.offsets.any() and not network.trees.shape[1]:
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but this model has {int(groups.max()) + 1} clusters "
            "from a learnt classifier and cannot be cut; set clusters to that number"
        )
    if not 2 <= clusters <= len(groups):
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but the model has {len(groups)} centroids and can "
            f"be cut into 2 to {len(groups)} clusters; set clusters in that range"
        )
    return cut_tree(trees(network)[0].cpu(), clusters)


def node_members(network: PiCIE, origin: str = "class names") -> list[tuple[int, ...]]:
    """The centroids below each of the 2P - 1 nodes of the first view's tree.

    Args:
        network: with centroids.
        origin: prefix of error messages.

    Raises:
        ConfigError: the clusters come from a learnt classifier and form no tree.
        NotFittedError: the network has no centroids.
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
    """The tree as a scipy linkage matrix, with the size of each new group in a fourth column."""
    rows = tree.double().cpu().numpy()
    sizes = [1] * (len(rows) + 1)
    for left, right, _ in rows:
        sizes.append(sizes[int(left)] + sizes[int(right)])
    return np.column_stack([rows, np.array(sizes[len(rows) + 1 :], dtype=np.float64)])
