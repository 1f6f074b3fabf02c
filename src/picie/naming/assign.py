"""Names given to clusters and nodes and taken away again, where they overlap as a tree does.

A node that is given a name takes it from whatever held its centroids. What is left of a cluster or
node that was only partly taken keeps its name: it is written as the largest nodes that make it up.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from picie.clustering.tree import cluster_groups, node_members, trees
from picie.config import suggest
from picie.errors import ConfigError
from picie.models.class_names import ClassNames, NamedClass, check_name
from picie.models.picie import PiCIE
from picie.naming.parts import Part, parts_of, with_parts

__all__ = ["ClusterTree", "assign", "paint", "remove", "take_away"]

_Members = frozenset[int]


class ClusterTree:
    """The centroids of the first view, as clusters of one cut and as nodes of their tree.

    Args:
        network: with centroids.
        clusters: K of the cut.
        origin: start of the message of an error.

    Attributes:
        clusters: the centroids of each cluster.
        nodes: the centroids below each node; of single centroids only where there is no tree.
        children: the two nodes and the distance that each node from P on joins.

    Raises:
        ConfigError: a cut that cannot be.
        NotFittedError: nothing was learnt.
    """

    def __init__(self, network: PiCIE, clusters: int, origin: str = "class names") -> None:
        groups = cluster_groups(network, clusters, origin).tolist()
        self.clusters = [
            frozenset(c for c, own in enumerate(groups) if own == cluster)
            for cluster in range(clusters)
        ]
        self.count = len(groups)
        self._origin = origin
        self._explain: Callable[[], object] = lambda: node_members(network, origin)
        self.nodes: list[_Members] = [frozenset([c]) for c in range(self.count)]
        self.children: list[tuple[int, int, float]] = []
        if not network.offsets.any():
            self.nodes = [frozenset(one) for one in node_members(network)]
            rows = trees(network)[0].tolist()
            self.children = [(int(left), int(right), height) for left, right, height in rows]
        self._node_of = {members: node for node, members in enumerate(self.nodes)}

    def node_of(self, cluster: int) -> int | None:
        """The node that is a cluster."""
        return self._node_of.get(self.clusters[cluster])

    def members(self, part: Part, where: str) -> _Members:
        """The centroids of a cluster or node.

        Raises:
            ConfigError: the model has none such.
        """
        if part.is_node and not self.children and self.count > 1:
            self._explain()  # raises: there is no tree
        known = self.nodes if part.is_node else self.clusters
        if part.number >= len(known):
            raise ConfigError(
                f"{where}: there is no {part}; "
                + (
                    f"the tree of {self.count} centroids has nodes n0 to n{len(known) - 1}"
                    if part.is_node
                    else f"clusters run from 0 to {len(known) - 1}"
                )
            )
        if not known[part.number]:
            raise ConfigError(f"{where}: {part} holds no centroid of this model; leave it out")
        return known[part.number]

    def cover(self, members: _Members) -> list[Part]:
        """The largest clusters and nodes that make up some centroids, by their first centroid."""
        found: list[Part] = []
        waiting = [len(self.nodes) - 1] if self.children else list(range(self.count))
        while waiting:
            node = waiting.pop()
            own = self.nodes[node]
            if own <= members:
                found.append(self._called(own, node))
            elif own & members:
                waiting += self.children[node - self.count][:2]
        return sorted(found, key=lambda part: min(self.members(part, self._origin)))

    def _called(self, members: _Members, node: int) -> Part:
        if members in self.clusters:
            return Part(self.clusters.index(members))
        return Part(node, True)


def assign(
    names: ClassNames, cluster_tree: ClusterTree, orders: Sequence[tuple[Sequence[Part], str]]
) -> tuple[ClassNames, list[str]]:
    """Give names to clusters and nodes; those that had other names move.

    Args:
        names: what there is.
        cluster_tree: at the cut of the names.
        orders: parts and the name they get; "ignore" makes their pixels void.

    Returns:
        the new names, and what has happened, in sentences.

    Raises:
        ConfigError: a name that cannot be, an unknown part, or orders that overlap.
    """
    _check_orders(cluster_tree, orders)
    before, said = names, list[str]()
    for parts, name in orders:
        check_name(name, "--set", ignore=name == "ignore")
        own = _held(names, cluster_tree, name)
        fresh = []
        for part in parts:
            if cluster_tree.members(part, "--set") <= own:
                said.append(f"{part}: {name} (as before)")
            else:
                fresh.append(part)
        names, moved, split = _freed(names, cluster_tree, fresh, name)
        for part in fresh:
            origin = f" (was {', '.join(moved[part])})" if moved[part] else ""
            said.append(f"{part}: {name}{origin}")
        said += split
        names = replace(names, classes=_added(names.classes, name, fresh))
    return names, said + _emptied(before, names)


def take_away(
    names: ClassNames, cluster_tree: ClusterTree, parts: Sequence[Part]
) -> tuple[ClassNames, list[str]]:
    """Clusters and nodes have no name any more.

    Args:
        names: what there is.
        cluster_tree: at the cut of the names.
        parts: what is to have no name.

    Returns:
        the new names, and what has happened, in sentences.

    Raises:
        ConfigError: an unknown part, or one without a name.
    """
    for part in parts:
        cluster_tree.members(part, "--unset")
    freed, moved, split = _freed(names, cluster_tree, parts, "")
    for part in parts:
        if not moved[part]:
            raise ConfigError(f"--unset {part.short}: {part} has no name; leave it out")
    said = [f"{part}: no name (was {', '.join(moved[part])})" for part in parts]
    return freed, said + split + _emptied(names, freed)


def remove(names: ClassNames, gone: Sequence[str]) -> tuple[ClassNames, list[str]]:
    """Take classes out whole; their clusters have no name then.

    Args:
        names: what there is.
        gone: names of classes.

    Raises:
        ConfigError: no such class.
    """
    for name in gone:
        _check_known(names, name, "--clear")
    kept = tuple(one for one in names.classes if one.name not in gone)
    return replace(names, classes=kept), [f"class {name!r} is taken out" for name in gone]


def paint(names: ClassNames, colours: Sequence[tuple[str, str]]) -> tuple[ClassNames, list[str]]:
    """Give classes a colour.

    Args:
        names: what there is.
        colours: a class, and "#rrggbb" or "" for one of the palette.

    Raises:
        ConfigError: no such class.
    """
    said = []
    for name, colour in colours:
        _check_known(names, name, "--colour")
        first = next(place for place, one in enumerate(names.classes) if one.name == name)
        painted = tuple(
            replace(one, colour=colour if place == first else "") if one.name == name else one
            for place, one in enumerate(names.classes)
        )
        names = replace(names, classes=painted)
        said.append(f"class {name!r}: {colour or 'a colour of the palette'}")
    return names, said


def _check_orders(cluster_tree: ClusterTree, orders: Sequence[tuple[Sequence[Part], str]]) -> None:
    taken: dict[int, tuple[Part, str]] = {}
    for parts, name in orders:
        for part in parts:
            for centroid in cluster_tree.members(part, "--set"):
                if centroid in taken:
                    other, its = taken[centroid]
                    what = (
                        f"{part} twice" if part == other else f"{other} and {part}, which overlap"
                    )
                    raise ConfigError(
                        f"--set names {what} ({its!r} and {name!r}); leave it to one of them"
                    )
            taken |= dict.fromkeys(cluster_tree.members(part, "--set"), (part, name))


def _held(names: ClassNames, cluster_tree: ClusterTree, name: str) -> _Members:
    """All centroids of a class."""
    parts = [part for one in names.classes if one.name == name for part in parts_of(one)]
    return frozenset[int]().union(*(cluster_tree.members(part, names.origin) for part in parts))


def _freed(
    names: ClassNames, cluster_tree: ClusterTree, parts: Sequence[Part], new: str
) -> tuple[ClassNames, dict[Part, list[str]], list[str]]:
    """The names without the centroids of some parts, which names each of these had, what is split.

    Of the class `new`, which they will belong to, nothing is said.
    """
    members = {part: cluster_tree.members(part, "--set") for part in parts}
    taken = frozenset[int]().union(*members.values())
    moved: dict[Part, list[str]] = {part: [] for part in parts}
    classes, split = [], []
    for one in names.classes:
        kept: list[Part] = []
        rest: list[Part] = []
        for held in parts_of(one):
            own = cluster_tree.members(held, names.origin)
            for part, wanted in members.items():
                if own & wanted and one.name != new and one.name not in moved[part]:
                    moved[part].append(one.name)
            if not own & taken:
                kept.append(held)
            elif not own <= taken:
                left = cluster_tree.cover(own - taken)
                rest += left
                if one.name != new:
                    split.append(f"{held} is split: {one.name} keeps {', '.join(map(str, left))}")
        classes.append(with_parts(one, [*kept, *rest]))
    return replace(names, classes=tuple(classes)), moved, split


def _added(
    classes: Sequence[NamedClass], name: str, parts: Sequence[Part]
) -> tuple[NamedClass, ...]:
    for place, one in enumerate(classes):
        if one.name == name:
            whole = with_parts(one, [*parts_of(one), *parts])
            return (*classes[:place], whole, *classes[place + 1 :])
    return (*classes, with_parts(NamedClass(name, ignore=name == "ignore"), parts))


def _emptied(before: ClassNames, after: ClassNames) -> list[str]:
    """What is said about classes that have lost all they had; they keep their ids."""
    filled = {one.name for one in after.classes if parts_of(one)}
    lost = dict.fromkeys(one.name for one in before.classes if parts_of(one))
    return [
        f"class {name!r} has no clusters left but keeps its id; --clear takes it out"
        for name in lost
        if name not in filled
    ]


def _check_known(names: ClassNames, name: str, flag: str) -> None:
    known = list(dict.fromkeys(one.name for one in names.classes))
    if name not in known:
        hint = suggest(name, known) if known else "there are no classes yet"
        raise ConfigError(f"{flag} {name}: no such class; {hint}")
