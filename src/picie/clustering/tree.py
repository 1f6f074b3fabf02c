"""Cut the tree of a model's centroids into any number of clusters; torch is not needed for it."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from picie.errors import ConfigError, DataError
from picie.models.centroids import CentroidSet

if TYPE_CHECKING:
    from torch import Tensor

    from picie.models.picie import PiCIE

__all__ = [
    "cluster_groups",
    "cut_network",
    "cut_rows",
    "cut_tree",
    "node_members",
    "suggest_clusters",
    "tree_of",
]


def cut_rows(tree: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Stop merging when K groups are left.

    Args:
        tree: (P - 1, 3) from `build_tree`.
        k: number of clusters K.

    Returns:
        (P,) the cluster 0..K-1 of each centroid, numbered by first occurrence. Fewer than K
        distinct values if centroids coincide.

    Raises:
        DataError: fewer centroids than clusters.
    """
    count = len(tree) + 1
    if k > count:
        raise DataError(f"{count} centroids cannot be merged to {k} clusters; fit more centroids")
    children = tree[:, :2].astype(np.int64).tolist()
    heights = tree[:, 2].tolist()
    for row, pair in enumerate(children):  # a merge needs those below it
        below = [heights[node - count] for node in pair if node >= count]
        heights[row] = max(heights[row], *below) if below else heights[row]
    # Merges at equal heights happen together.
    last = sorted(heights)[count - k - 1] if k < count else -np.inf
    group = list(range(2 * count - 1))
    for row in range(count - 2, -1, -1):
        if heights[row] <= last:
            for node in children[row]:
                group[node] = group[count + row]
    first: dict[int, int] = {}
    return np.array([first.setdefault(one, len(first)) for one in group[:count]], dtype=np.int64)


def cut_tree(tree: "Tensor", k: int) -> "Tensor":
    """`cut_rows` of tensors.

    Args:
        tree: (P - 1, 3) from `build_tree`.
        k: number of clusters K.

    Returns:
        (P,) int64 on the device of the tree.

    Raises:
        DataError: fewer centroids than clusters.
    """
    return tree.new_tensor(cut_rows(tree.cpu().numpy(), k)).long()


def suggest_clusters(tree: NDArray[np.float64]) -> int:
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
    heights = tree[:, 2].clip(1e-12)
    gaps = {k: float(heights[count - k] / heights[count - k - 1]) for k in range(3, count // 2 + 1)}
    return max(gaps, key=lambda k: gaps[k])


def cut_network(network: "PiCIE", clusters: int) -> "PiCIE":
    """The same network, with shared weights, cut into another number of clusters.

    Centroids merge in the order of the tree until `clusters` are left.

    Args:
        network: with P centroids.
        clusters: K, 2..P.

    Raises:
        ConfigError: K out of range, or the clusters come from a learnt classifier.
        NotFittedError: the network has no centroids.
    """
    views = max(1, len(network.centroids))
    trees = [tree_of(network.centroid_set(view)) for view in range(views)]
    count = network.groups.shape[1]
    if not 2 <= clusters <= count:
        raise ConfigError(
            f"{clusters} clusters: the model has {count} centroids and can be cut into 2 to "
            f"{count} clusters; for more, train with larger --overclusters"
        )
    groups = [cut_rows(tree, clusters) for tree in trees]
    return network.regrouped([network.groups.new_tensor(one) for one in groups])


def tree_of(centroids: CentroidSet) -> NDArray[np.float64]:
    """The (P - 1, 3) tree of a view (`clustering.linkage.build_tree`).

    Raises:
        ConfigError: the clusters come from a learnt classifier.
    """
    if centroids.tree is not None:
        return centroids.tree
    if centroids.learnt:
        raise ConfigError(
            "the clusters of this model come from a learnt classifier and form no tree; train a "
            "model with the number of clusters that you want"
        )
    import torch  # late: only models of 0.1.0 have no tree

    from picie.clustering.linkage import build_tree

    rows: NDArray[np.float64] = build_tree(torch.from_numpy(centroids.points)).numpy()
    return rows


def cluster_groups(
    centroids: CentroidSet, clusters: int, origin: str = "class names"
) -> NDArray[np.int64]:
    """The cluster 0..K-1 of each centroid at another cut, (P,).

    Args:
        centroids: of the first view.
        clusters: K, 2..P.
        origin: prefix of error messages.

    Raises:
        ConfigError: the model cannot be cut into K clusters.
    """
    groups = centroids.groups
    if clusters == centroids.clusters:
        return groups
    if centroids.learnt and centroids.tree is None:
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but this model has {centroids.clusters} clusters "
            "from a learnt classifier and cannot be cut; set clusters to that number"
        )
    if not 2 <= clusters <= len(groups):
        raise ConfigError(
            f"{origin}: clusters = {clusters}, but the model has {len(groups)} centroids and can "
            f"be cut into 2 to {len(groups)} clusters; set clusters in that range"
        )
    return cut_rows(tree_of(centroids), clusters)


def node_members(centroids: CentroidSet, origin: str = "class names") -> list[tuple[int, ...]]:
    """The centroids below each of the 2P - 1 nodes of the tree.

    Args:
        centroids: of the first view.
        origin: prefix of error messages.

    Raises:
        ConfigError: the clusters come from a learnt classifier and form no tree.
    """
    try:
        tree = tree_of(centroids)
    except ConfigError as error:
        raise ConfigError(f"{origin}: nodes cannot be used: {error}") from None
    members: list[tuple[int, ...]] = [(number,) for number in range(len(tree) + 1)]
    for left, right, _ in tree.tolist():
        members.append(members[int(left)] + members[int(right)])
    return members
