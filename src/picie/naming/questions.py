"""What to ask a person next: first the names of about 24 nodes of the tree, then which to split.

The next node to split is the one that the tree merged last, so the nodes that have names are those
of finer and finer cuts. No measure of size, spread, contrast or layout, and no use of the names
given so far, found mixed nodes earlier (docs/research/questions.md has the trials).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picie.clustering.tree import cluster_groups, tree_of
from picie.models.centroids import CentroidSet
from picie.models.class_names import ClassNames
from picie.naming.assign import ClusterTree
from picie.naming.parts import parts_of

__all__ = ["START", "Question", "likeness", "next_questions", "questions"]

START = 24
"""Number of nodes to name before any is split."""

_MOST_ALIKE = 3  # names suggested


@dataclass(frozen=True)
class Question:
    """A node of the tree that a person should look at.

    Attributes:
        node: its number.
        name: "" asks for its name; otherwise the node has this name, and the question is whether
            its two children are the same thing.
        members: its centroids.
        share: of the pixels, 0..1; None if unknown.
        children: the two nodes below it; None for a single centroid.
        child_shares: the shares of the children; None if unknown or without children.
        alike: other names whose clusters are most like it, most similar first; three at most.
    """

    node: int
    name: str
    members: tuple[int, ...]
    share: float | None
    children: tuple[int, int] | None
    child_shares: tuple[float, float] | None
    alike: tuple[str, ...]


def next_questions(
    centroids: CentroidSet,
    names: ClassNames,
    *,
    count: int | None = None,
    shares: Sequence[float] | None = None,
    start: int = START,
) -> list[Question]:
    """What to ask next: nodes without a name, the largest first; then nodes that may hold two.

    To answer, name the node or, if it holds two things, its children (`picie.name`). Children that
    are named like their node confirm it: the next questions are about others, then about them.

    Args:
        centroids: of the first view, with a tree.
        names: the names so far.
        count: most questions; None = all.
        shares: (P,) share of the pixels of each centroid, 0..1 (of `Segmenter.cut(P)`); without
            them the size of a node is its number of centroids.
        start: number of nodes to name before any is split.

    Raises:
        ConfigError: the clusters come from a learnt classifier and form no tree, or the names do
            not fit the model.
    """
    tree_of(centroids)  # raises
    cluster_tree = ClusterTree(centroids, names.clusters, names.origin)
    groups = cluster_groups(centroids, max(2, min(start, cluster_tree.count))).tolist()
    cut = [
        frozenset(centroid for centroid, group in enumerate(groups) if group == cluster)
        for cluster in range(max(groups) + 1)
    ]
    return questions(cluster_tree, names, cut, centroids.points, shares)[:count]


def questions(
    cluster_tree: ClusterTree,
    names: ClassNames,
    cut: Iterable[frozenset[int]],
    points: NDArray[np.float32],
    shares: Sequence[float] | None = None,
) -> list[Question]:
    """All questions that are open, in their order.

    Args:
        cluster_tree: at the cut of the names, of a model that has a tree.
        names: the names so far.
        cut: the groups of centroids that are named first.
        points: (P, D), the centroids.
        shares: (P,) share of the pixels of each centroid, or None.
    """
    titles = _named_nodes(cluster_tree, names)
    named = {c for node in titles for c in cluster_tree.nodes[node]}
    unnamed = [
        node for group in cut for node in cluster_tree.cover_nodes(group - named) if group - named
    ]
    inner = [node for node in titles if node >= cluster_tree.count]
    inner.sort(key=lambda node: (-cluster_tree.children[node - cluster_tree.count][2], -node))
    similar = likeness(points)
    title_of = {leaf: title for node, title in titles.items() for leaf in cluster_tree.nodes[node]}

    def size(node: int) -> tuple[float, int]:
        members = cluster_tree.nodes[node]
        share = float(len(members)) if shares is None else sum(shares[c] for c in members)
        return -share, node

    return [
        _question(node, cluster_tree, titles.get(node, ""), title_of, similar, shares)
        for node in [*sorted(unnamed, key=size), *inner]
    ]


def likeness(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """(P, P) hundredths of the cosines of (P, D) centroids: all that a page gets of them."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True).clip(1e-12)
    hundredths: NDArray[np.int64] = (100 * unit @ unit.T).round().astype(np.int64)
    return hundredths


def _named_nodes(cluster_tree: ClusterTree, names: ClassNames) -> dict[int, str]:
    """The nodes that have names, with their names."""
    return {
        node: named_class.name
        for named_class in names.merged
        for part in parts_of(named_class)
        for node in cluster_tree.cover_nodes(cluster_tree.members(part, names.origin))
    }


def _question(
    node: int,
    cluster_tree: ClusterTree,
    name: str,
    title_of: dict[int, str],
    similar: NDArray[np.int64],
    shares: Sequence[float] | None,
) -> Question:
    def share(node: int) -> float:
        return sum(shares[c] for c in cluster_tree.nodes[node]) if shares is not None else 0.0

    children, child_shares = None, None
    if node >= cluster_tree.count:
        left, right, _ = cluster_tree.children[node - cluster_tree.count]
        children = left, right
        child_shares = None if shares is None else (share(left), share(right))
    members = tuple(sorted(cluster_tree.nodes[node]))
    nearest: dict[str, int] = {}
    most = similar[list(members)].max(0).tolist()
    for leaf, title in title_of.items():
        if title != name:
            nearest[title] = max(most[leaf], nearest.get(title, -100))
    alike = sorted(nearest, key=lambda title: -nearest[title])[:_MOST_ALIKE]
    known = None if shares is None else share(node)
    return Question(node, name, members, known, children, child_shares, tuple(alike))
