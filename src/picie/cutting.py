"""The tree of clusters that a model carries, cut at any number of them."""

from torch import Tensor

from picie.clustering.merging import cut_tree, linkage_tree
from picie.errors import ConfigError
from picie.models.picie import PiCIE

__all__ = ["cut_network", "trees"]


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
    """The (P - 1, 3) tree of each view (`clustering.merging.linkage_tree`).

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
    return [linkage_tree(one) for one in network.centroids]  # a model of 0.1.0
