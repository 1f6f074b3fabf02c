"""What the ids in masks mean: clusters, some of which have names.

A class is made of centroids: those of its clusters, and those below its nodes of the tree. Names
belong to the first set of centroids, which prediction uses; a model of the reference preset has a
second one, whose clusters have other numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from picie.clustering.pseudo_labels import group_scores
from picie.clustering.tree import cluster_groups, node_members
from picie.errors import ConfigError
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.visualization.palette import Colours, palette

__all__ = ["Outputs", "cluster_name", "outputs_of"]


@dataclass(frozen=True, eq=False)
class Outputs:
    """The ids 0..N-1 in masks, and which centroids they are made of.

    Attributes:
        names: N names: of the classes in their order, then "cluster 5" for each cluster, or part
            of one, that has none.
        colours: (N, 3) uint8 sRGB.
        ids: (P,) int64, the id of each centroid of the first view; N where it is ignored.
    """

    names: tuple[str, ...]
    colours: Colours
    ids: Tensor

    def scores(self, values: Tensor) -> Tensor:
        """Score of each id: that of the best of its centroids.

        Args:
            values: (B, P, h, w) float, score of each centroid.

        Returns:
            (B, N, h, w), or (B, N + 1, h, w) where some centroids are ignored: their best score
            comes last. An id without centroids scores less than everything else.
        """
        ids = self.ids.to(values.device)
        used, rows = ids.unique(return_inverse=True)
        best = group_scores(values, rows)
        count = max(len(self.names), int(used[-1]) + 1)
        if len(used) == count:
            return best
        # Finite, unlike -inf: scores are interpolated and averaged later.
        lowest = values.amin(1, keepdim=True) - 1
        return lowest.repeat(1, count, 1, 1).index_copy_(1, used, best)


def cluster_name(cluster: int) -> str:
    """What a cluster without a name is called."""
    return f"cluster {cluster}"


def outputs_of(network: PiCIE, names: ClassNames) -> Outputs:
    """Give each centroid its id.

    Args:
        network: with centroids.
        names: of its clusters.

    Raises:
        ConfigError: a cut, cluster or node that the model does not have, centroids that belong to
            two classes, or nothing left that is not ignored.
        NotFittedError: nothing was learnt.
    """
    groups = cluster_groups(network, names.clusters, names.origin)
    classes = names.merged
    owners = _owners(network, names, classes, groups)
    seen = [number for number, one in enumerate(classes) if not one.ignore]
    unnamed = groups[owners < 0].unique().tolist()
    count = len(seen) + len(unnamed)
    if not count:
        raise ConfigError(
            f"{names.origin}: every cluster is ignored and masks would be void; leave one out"
        )
    ids = torch.full_like(groups, count)
    for place, number in enumerate(seen):
        ids[owners == number] = place
    for place, cluster in enumerate(unnamed, len(seen)):
        ids[(owners < 0) & (groups == cluster)] = place
    shown = [classes[number] for number in seen]
    labels = [one.name for one in shown] + [cluster_name(cluster) for cluster in unnamed]
    return Outputs(tuple(labels), _colours([one.colour for one in shown], count), ids)


def _owners(
    network: PiCIE, names: ClassNames, classes: tuple[NamedClass, ...], groups: Tensor
) -> Tensor:
    """(P,) int64 position of the class of each centroid; -1 where it has none."""
    owners = torch.full_like(groups, -1)
    claims = [""] * len(groups)
    members = node_members(network, names.origin) if any(one.nodes for one in classes) else []
    for position, one in enumerate(classes):
        parts = [(f"cluster {number}", groups == number) for number in one.clusters]
        for number in one.nodes:
            if number >= len(members):
                raise ConfigError(
                    f"{names.origin}: class {one.name!r}: there is no node {number}; the tree of "
                    f"{len(groups)} centroids has nodes 0 to {len(members) - 1}"
                )
            inside = torch.zeros_like(groups, dtype=torch.bool)
            inside[list(members[number])] = True
            parts.append((f"node {number}", inside))
        for part, inside in parts:
            _check_free(names, classes, owners, claims, one.name, part, inside)
            owners[inside] = position
            for centroid in inside.nonzero()[:, 0].tolist():
                claims[centroid] = part
    return owners


def _check_free(
    names: ClassNames,
    classes: tuple[NamedClass, ...],
    owners: Tensor,
    claims: list[str],
    name: str,
    part: str,
    inside: Tensor,
) -> None:
    """Refuse a cluster or node that the model lacks, or whose centroids are named already."""
    if not inside.any():
        raise ConfigError(
            f"{names.origin}: class {name!r}: {part} holds no centroid of this model; leave it out"
        )
    taken = (inside & (owners >= 0)).nonzero()[:, 0].tolist()
    if taken:
        other = classes[int(owners[taken[0]])].name
        raise ConfigError(
            f"{names.origin}: {part} ({name!r}) and {claims[taken[0]]} ({other!r}) share "
            "centroids; a centroid can have one name only, so leave out one of the two, or name "
            "the nodes below the larger one"
        )


def _colours(chosen: list[str], count: int) -> Colours:
    """(count, 3): those that were chosen, and for the others colours that look different."""
    own = {number: _rgb(colour) for number, colour in enumerate(chosen) if colour}
    free = palette(count + len(own)).astype(np.int64)
    for colour in own.values():
        free = np.delete(free, np.square(free - colour).sum(1).argmin(), 0)
    rest = iter(free)
    rows = [own[number] if number in own else next(rest) for number in range(count)]
    return np.array(rows, dtype=np.uint8)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
