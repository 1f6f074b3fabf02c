"""The ids in masks: named classes, then unnamed clusters.

A class consists of the centroids of its clusters and of those below its nodes of the tree. Names
belong to the first set of centroids, which prediction uses; a model of the reference preset has a
second set, whose clusters are numbered differently.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from picie.clustering.tree import cluster_groups, node_members
from picie.errors import ConfigError
from picie.models.centroids import CentroidSet
from picie.models.class_names import ClassNames, NamedClass
from picie.visualization.arrangement import arranged
from picie.visualization.palette import Colours, blended_distances, palette

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Outputs", "cluster_colours", "cluster_name", "outputs_of"]

_ALIKE = 15.0  # distance of blended colours below which they are easily confused
_LEAST_CHOICE = 32  # colours of the palette that are looked at


@dataclass(frozen=True, eq=False)
class Outputs:
    """The ids 0..N-1 in masks, and their centroids.

    Attributes:
        names: N names: the classes in their order, then "cluster 5" for each cluster, or rest of
            one, without a name.
        colours: (N, 3) uint8 sRGB.
        ids: (P,) int64, the id of each centroid of the first view; N = ignored.
    """

    names: tuple[str, ...]
    colours: Colours
    ids: NDArray[np.int64]

    def scores(self, values: "Tensor") -> "Tensor":
        """Score of each id: the maximum over its centroids.

        Args:
            values: (B, P, h, w) float, score of each centroid.

        Returns:
            (B, N, h, w), or (B, N + 1, h, w) if some centroids are ignored: their maximum is the
            last channel. An id without centroids scores below every other.
        """
        import torch  # late: names are shown and changed without it

        from picie.clustering.pseudo_labels import group_scores

        ids = torch.from_numpy(self.ids).to(values.device)
        used, rows = ids.unique(return_inverse=True)
        best = group_scores(values, rows)
        count = max(len(self.names), int(used[-1]) + 1)
        if len(used) == count:
            return best
        # Finite instead of -inf, because scores are interpolated and averaged later.
        lowest = values.amin(1, keepdim=True) - 1
        return lowest.repeat(1, count, 1, 1).index_copy_(1, used, best)


def cluster_name(cluster: int) -> str:
    """The name of an unnamed cluster."""
    return f"cluster {cluster}"


def outputs_of(centroids: CentroidSet, names: ClassNames) -> Outputs:
    """Assign an id to each centroid.

    Args:
        centroids: of the first view.
        names: of its clusters.

    Raises:
        ConfigError: a cut, cluster or node that the model lacks, centroids in two classes, or
            every cluster ignored.
    """
    groups = cluster_groups(centroids, names.clusters, names.origin)
    classes = names.merged
    owners = _owners(centroids, names, classes, groups)
    visible = [number for number, named_class in enumerate(classes) if not named_class.ignore]
    unnamed = np.unique(groups[owners < 0]).tolist()
    count = len(visible) + len(unnamed)
    if not count:
        raise ConfigError(
            f"{names.origin}: every cluster is ignored, so masks would be void; keep at least one"
        )
    ids = np.full_like(groups, count)
    for place, number in enumerate(visible):
        ids[owners == number] = place
    for place, cluster in enumerate(unnamed, len(visible)):
        ids[(owners < 0) & (groups == cluster)] = place
    shown = [classes[number] for number in visible]
    labels = [named_class.name for named_class in shown] + [
        cluster_name(cluster) for cluster in unnamed
    ]
    colours = _colours([named_class.colour for named_class in shown], count)
    # Classes have the first colours, in their order, so that they keep them as others are named.
    colours = _apart(colours, ids, centroids, fixed=len(visible))
    return Outputs(tuple(labels), colours, ids)


def cluster_colours(centroids: CentroidSet) -> Colours:
    """(K, 3) uint8 sRGB of the clusters of a model without names.

    Args:
        centroids: of the first view.
    """
    return _apart(palette(centroids.clusters), centroids.groups, centroids)


def _apart(
    colours: Colours, ids: NDArray[np.int64], centroids: CentroidSet, fixed: int = 0
) -> Colours:
    """`arranged` in the tree of a model, if it is stored."""
    tree = centroids.tree
    return colours if tree is None else arranged(colours, ids, tree[:, :2].astype(int), fixed)


def _owners(
    centroids: CentroidSet,
    names: ClassNames,
    classes: tuple[NamedClass, ...],
    groups: NDArray[np.int64],
) -> NDArray[np.int64]:
    """(P,) int64 position of the class of each centroid; -1 = none."""
    owners = np.full_like(groups, -1)
    claims = [""] * len(groups)
    members = (
        node_members(centroids, names.origin)
        if any(named_class.nodes for named_class in classes)
        else []
    )
    for position, named_class in enumerate(classes):
        parts = [(f"cluster {number}", groups == number) for number in named_class.clusters]
        for number in named_class.nodes:
            if number >= len(members):
                raise ConfigError(
                    f"{names.origin}: class {named_class.name!r}: there is no node {number}; the "
                    f"tree of {len(groups)} centroids has nodes 0 to {len(members) - 1}"
                )
            inside = np.zeros(len(groups), dtype=np.bool_)
            inside[list(members[number])] = True
            parts.append((f"node {number}", inside))
        for part, inside in parts:
            _check_free(names, classes, owners, claims, named_class.name, part, inside)
            owners[inside] = position
            for centroid in inside.nonzero()[0].tolist():
                claims[centroid] = part
    return owners


def _check_free(
    names: ClassNames,
    classes: tuple[NamedClass, ...],
    owners: NDArray[np.int64],
    claims: list[str],
    name: str,
    part: str,
    inside: NDArray[np.bool_],
) -> None:
    """Refuse a cluster or node without centroids, or whose centroids already have a name."""
    if not inside.any():
        raise ConfigError(
            f"{names.origin}: class {name!r}: {part} has no centroid in this model; remove it"
        )
    taken = (inside & (owners >= 0)).nonzero()[0].tolist()
    if taken:
        other = classes[int(owners[taken[0]])].name
        raise ConfigError(
            f"{names.origin}: {part} ({name!r}) and {claims[taken[0]]} ({other!r}) share "
            "centroids; a centroid can have only one name, so remove one of the two, or name the "
            "nodes below the larger one"
        )


def _colours(chosen: list[str], count: int) -> Colours:
    """(count, 3) uint8: the chosen colours, and palette colours unlike them for the others."""
    fixed = {number: _rgb(colour) for number, colour in enumerate(chosen) if colour}
    free = palette(max(count + len(fixed), _LEAST_CHOICE))
    if fixed:  # what looks like a chosen colour comes last
        apart = blended_distances(np.array(list(fixed.values()), dtype=np.uint8), free).min(0)
        free = free[np.argsort(apart < _ALIKE, kind="stable")]
    rest = iter(free)
    rows = [fixed[number] if number in fixed else next(rest) for number in range(count)]
    return np.array(rows, dtype=np.uint8)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
