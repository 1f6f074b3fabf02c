"""The centroids of a model as plain arrays, without the network: what names and cuts need.

Nothing here loads torch, so that names can be shown and changed at once. The network gives a
`CentroidSet` (`PiCIE.centroid_set`), and so does its file (`models.stored`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.config import MOST_CENTROIDS
from picie.errors import NotFittedError

__all__ = [
    "LEARNT",
    "CentroidSet",
    "centroid_set",
    "check_groups",
    "check_shapes",
    "check_tree",
    "check_view",
]

LEARNT = {"centroids": "float32", "groups": "int64", "offsets": "float32", "trees": "float64"}
"""The buffers of the network whose sizes are learnt, not configured, and their types."""

_MOST_VIEWS = 2


@dataclass(frozen=True, eq=False)
class CentroidSet:
    """The centroids of one view, their clusters, and the tree in which they merge.

    Attributes:
        points: (P, D) float32.
        groups: (P,) int64, the cluster 0..K-1 of each centroid.
        tree: (P - 1, 3) float64 of `clustering.linkage.build_tree`; None if none is stored.
        learnt: whether they are the rows of a learnt classifier, which may form no tree.
        clusters: K of the model.
    """

    points: NDArray[np.float32]
    groups: NDArray[np.int64]
    tree: NDArray[np.float64] | None
    learnt: bool
    clusters: int


def centroid_set(buffers: Mapping[str, NDArray[Any]], view: int = 0) -> CentroidSet:
    """The centroids of one view.

    Args:
        buffers: of `LEARNT`: centroids (V, P, D), groups and offsets (V, P), and trees
            (V, P - 1, 3), or (V, 0, 3) without.
        view: which of V sets, from 0.

    Raises:
        NotFittedError: the view has no centroids.
    """
    centroids, groups, offsets, trees = (buffers[name] for name in LEARNT)
    check_view(view, len(centroids))
    tree = trees[view] if trees.shape[1] == groups.shape[1] - 1 else None
    count = int(groups.max()) + 1 if groups.size else 0
    return CentroidSet(centroids[view], groups[view], tree, bool(offsets.any()), count)


def check_view(view: int, count: int) -> None:
    """Raise unless a model has this set of centroids.

    Args:
        view: from 0.
        count: number of sets V.

    Raises:
        NotFittedError: it has not.
    """
    if view >= count:
        raise NotFittedError(
            f"the model has no centroids for view {view + 1} (it has {count} "
            "sets); train it first (picie train)"
        )


def check_shapes(shapes: Mapping[str, tuple[int, ...]], feature_size: int) -> None:
    """Check that the shapes of the learnt buffers fit each other.

    Args:
        shapes: of those of `LEARNT` that a file holds.
        feature_size: D.

    Raises:
        RuntimeError: the message names the tensor.
    """
    groups = shapes.get("groups", (0, 0))
    views, count = (*groups, 0, 0)[:2]
    if views > _MOST_VIEWS or count > MOST_CENTROIDS:
        raise RuntimeError(
            f"groups is {_sides(groups)}; a model has at most {_MOST_VIEWS} sets of "
            f"{MOST_CENTROIDS} centroids"
        )
    expected: dict[str, list[tuple[int, ...]]] = {
        "centroids": [(views, count, feature_size)],
        "groups": [(views, count)],
        "offsets": [(views, count)],
        "trees": [(views, count - 1, 3), (views, 0, 3)],
    }
    for name, shape in shapes.items():
        if shape not in expected[name]:
            wanted = _sides(expected[name][0])
            raise RuntimeError(f"{name} is {_sides(shape)} where {wanted} is expected")


def check_groups(groups: NDArray[np.int64]) -> None:
    """Raise RuntimeError unless (V, P) numbers are those of clusters of P centroids."""
    if groups.size and not ((groups >= 0) & (groups < groups.shape[1])).all():
        raise RuntimeError(f"groups holds numbers outside 0 to {groups.shape[1] - 1}")


def check_tree(tree: NDArray[np.float64]) -> None:
    """Raise RuntimeError unless each row merges two nodes that exist and were not merged before.

    Args:
        tree: (P - 1, 3).
    """
    nodes = tree[:, :2]
    row_nodes = len(tree) + 1 + np.arange(len(tree))  # made by each row
    whole = (nodes == nodes.round()).all() and (nodes >= 0).all()
    if not whole or (nodes >= row_nodes[:, None]).any():
        raise RuntimeError("trees holds a merge of nodes that do not exist")
    if len(np.unique(nodes)) < nodes.size:
        raise RuntimeError("trees merges a node twice")


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"
