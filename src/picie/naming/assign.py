"""Give names to clusters and nodes of the tree, and remove them.

A node that gets a name takes its centroids from the classes that held them. The rest of a cluster
or node that loses only some of its centroids keeps its name, written as the largest nodes that
cover it. Nodes that get the name that they have, and together are a larger node of it, replace that
node: the classes stay the same, and `naming.questions` knows that a person saw them apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from picie.clustering.tree import cluster_groups, node_members, tree_of
from picie.config import suggest
from picie.errors import ConfigError
from picie.models.centroids import CentroidSet
from picie.models.class_names import ClassNames, NamedClass, check_name
from picie.naming.parts import Part, parts_of, with_parts

__all__ = ["ClusterTree", "assign", "paint", "recut", "remove", "take_away"]

_Members = frozenset[int]


class ClusterTree:
    """The centroids of the first view, as clusters of one cut and as nodes of their tree.

    Args:
        centroids: of the first view.
        clusters: K of the cut.
        origin: prefix of error messages.

    Attributes:
        clusters: the centroids of each cluster.
        nodes: the centroids below each node; single centroids only if there is no tree.
        children: for each node from P on, the two nodes that merge and their distance.

    Raises:
        ConfigError: an impossible cut.
    """

    def __init__(self, centroids: CentroidSet, clusters: int, origin: str = "class names") -> None:
        groups = cluster_groups(centroids, clusters, origin).tolist()
        self.clusters = [
            frozenset(c for c, group in enumerate(groups) if group == cluster)
            for cluster in range(clusters)
        ]
        self.count = len(groups)
        self._origin = origin
        self._explain: Callable[[], object] = lambda: node_members(centroids, origin)
        self.nodes: list[_Members] = [frozenset([c]) for c in range(self.count)]
        self.children: list[tuple[int, int, float]] = []
        if centroids.tree is not None or not centroids.learnt:
            self.nodes = [frozenset(members) for members in node_members(centroids)]
            rows = tree_of(centroids).tolist()
            self.children = [(int(left), int(right), height) for left, right, height in rows]
        self._node_of = {members: node for node, members in enumerate(self.nodes)}

    def node_of(self, cluster: int) -> int | None:
        """The node with exactly the centroids of a cluster; None if there is none."""
        return self._node_of.get(self.clusters[cluster])

    def members(self, part: Part, where: str) -> _Members:
        """The centroids of a cluster or node.

        Raises:
            ConfigError: the model has no such cluster or node.
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
            raise ConfigError(f"{where}: {part} has no centroid in this model; remove it")
        return known[part.number]

    def cover(self, members: _Members) -> list[Part]:
        """The largest clusters and nodes that together cover some centroids, by first centroid."""
        parts = [self._called(self.nodes[node], node) for node in self.cover_nodes(members)]
        return sorted(parts, key=lambda part: min(self.members(part, self._origin)))

    def cover_nodes(self, members: _Members) -> list[int]:
        """The largest nodes that together cover some centroids, by first centroid."""
        found: list[int] = []
        waiting = [len(self.nodes) - 1] if self.children else list(range(self.count))
        while waiting:
            node = waiting.pop()
            below = self.nodes[node]
            if below <= members:
                found.append(node)
            elif below & members:
                waiting += self.children[node - self.count][:2]
        return sorted(found, key=lambda node: min(self.nodes[node]))

    def _called(self, members: _Members, node: int) -> Part:
        if members in self.clusters:
            return Part(self.clusters.index(members))
        return Part(node, True)


def assign(
    names: ClassNames, cluster_tree: ClusterTree, orders: Sequence[tuple[Sequence[Part], str]]
) -> tuple[ClassNames, list[str]]:
    """Give names to clusters and nodes; those with other names move to the new class.

    Of parts inside one another, the larger get their names first, so the smallest decides.

    Args:
        names: the current names.
        cluster_tree: at the cut of the names.
        orders: parts and the name they get; "ignore" makes their pixels void.

    Returns:
        the new names, and a sentence for each change.

    Raises:
        ConfigError: an invalid name, an unknown part, or two names for the same centroids.
    """
    filled, said = list(names.classes), list[str]()
    for wanted in _layers(cluster_tree, orders):
        names, more = _assigned(names, cluster_tree, wanted)
        said += more
        filled += names.classes
    return names, said + _emptied(filled, names)


def _assigned(
    names: ClassNames, cluster_tree: ClusterTree, wanted: Mapping[str, Sequence[Part]]
) -> tuple[ClassNames, list[str]]:
    """The names after parts apart from one another got theirs, and a sentence for each change."""
    said = list[str]()
    for name, parts in wanted.items():
        check_name(name, "--set", ignore=name == "ignore")
        held = _held(names, cluster_tree, name)
        every = frozenset[int]().union(*held)
        members = {part: cluster_tree.members(part, "--set") for part in parts}
        fresh = [part for part in parts if not members[part] <= every]
        said += [f"{part}: {name} (unchanged)" for part in parts if members[part] <= every]
        kept = _confirmed({part: members[part] for part in parts if part not in fresh}, held)
        names, moved, split = _freed(names, cluster_tree, [*kept, *fresh], name)
        for part in fresh:
            origin = f" (was {', '.join(moved[part])})" if moved[part] else ""
            said.append(f"{part}: {name}{origin}")
        said += split
        names = replace(names, classes=_added(names.classes, name, [*kept, *fresh]))
    return names, said


def take_away(
    names: ClassNames, cluster_tree: ClusterTree, parts: Sequence[Part]
) -> tuple[ClassNames, list[str]]:
    """Remove the names of clusters and nodes.

    Args:
        names: the current names.
        cluster_tree: at the cut of the names.
        parts: what loses its name.

    Returns:
        the new names, and a sentence for each change.

    Raises:
        ConfigError: an unknown part, or one without a name.
    """
    for part in parts:
        cluster_tree.members(part, "--unset")
    freed, moved, split = _freed(names, cluster_tree, parts, "")
    for part in parts:
        if not moved[part]:
            raise ConfigError(f"--unset {part.short}: {part} has no name; remove it")
    said = [f"{part}: no name (was {', '.join(moved[part])})" for part in parts]
    return freed, said + split + _emptied(names.classes, freed)


def remove(names: ClassNames, titles: Sequence[str]) -> tuple[ClassNames, list[str]]:
    """Remove classes; their clusters lose their names.

    Args:
        names: the current names.
        titles: names of the classes.

    Raises:
        ConfigError: no such class.
    """
    for name in titles:
        _check_known(names, name, "--clear")
    classes = tuple(named_class for named_class in names.classes if named_class.name not in titles)
    return replace(names, classes=classes), [f"removed class {name!r}" for name in titles]


def paint(names: ClassNames, colours: Sequence[tuple[str, str]]) -> tuple[ClassNames, list[str]]:
    """Give classes a colour.

    Args:
        names: the current names.
        colours: a class, and "#rrggbb" or "" for a colour of the palette.

    Raises:
        ConfigError: no such class.
    """
    said = []
    for name, colour in colours:
        _check_known(names, name, "--colour")
        first = next(
            place for place, named_class in enumerate(names.classes) if named_class.name == name
        )
        painted = tuple(
            replace(named_class, colour=colour if place == first else "")
            if named_class.name == name
            else named_class
            for place, named_class in enumerate(names.classes)
        )
        names = replace(names, classes=painted)
        said.append(f"class {name!r}: {colour or 'a colour of the palette'}")
    return names, said


def recut(
    names: ClassNames, before: ClusterTree, after: ClusterTree
) -> tuple[ClassNames, list[str]]:
    """Carry names to another cut of the same tree; the class of no centroid changes.

    A finer cluster has the name of the coarser one that holds it. A coarser cluster may hold
    several names: they stay, on nodes below it. Parts become clusters of the new cut where it has
    them, and nodes elsewhere.

    Args:
        names: the current names.
        before: at their cut.
        after: at the wanted cut.

    Returns:
        the names at the wanted cut, and a sentence for each thing to know.
    """
    classes, owners = [], dict[int, str]()
    for one in names.classes:
        parts: list[Part] = []
        for part in parts_of(one):
            members = before.members(part, names.origin)
            parts += after.cover(members)
            owners |= dict.fromkeys(members, one.name)
        parts.sort(key=lambda part: part.number)
        classes.append(with_parts(one, list(dict.fromkeys(parts))))
    count = len(after.clusters)
    said = [f"{names.clusters} clusters are now {count}"]
    if owners:
        said[0] += "; every name stays where it was"
        said += _shared(after, owners)
    return replace(names, clusters=count, classes=tuple(classes)), said


def _shared(cluster_tree: ClusterTree, owners: Mapping[int, str]) -> list[str]:
    """A sentence on the clusters that hold several names, if there are any."""
    shared = []
    for number, members in enumerate(cluster_tree.clusters):
        held = dict.fromkeys(owners.get(centroid, "no name") for centroid in sorted(members))
        if len(held) > 1:
            shared.append(f"{number} ({', '.join(held)})")
    if not shared:
        return []
    several = "cluster holds" if len(shared) == 1 else "clusters hold"
    return [
        f"{len(shared)} {several} several names, which stay on nodes below: {', '.join(shared)}; "
        f"to merge one, name it: --set {shared[0].partition(' ')[0]}=NAME"
    ]


def _layers(
    cluster_tree: ClusterTree, orders: Sequence[tuple[Sequence[Part], str]]
) -> list[dict[str, list[Part]]]:
    """The parts of each name: first those inside no other part, then those inside one of them."""
    found: dict[_Members, tuple[Part, str]] = {}
    for parts, name in orders:
        for part in parts:
            members = cluster_tree.members(part, "--set")
            other, its = found.setdefault(members, (part, name))
            if its != name:
                what = f"{part} twice" if part == other else f"{other} and {part}, which are equal,"
                raise ConfigError(f"--set names {what} ({its!r} and {name!r}); keep one of the two")
    layers: list[dict[str, list[Part]]] = []
    for members, (part, name) in found.items():
        depth = sum(members < other for other in found)
        layers += [{} for _ in range(depth + 1 - len(layers))]
        layers[depth].setdefault(name, []).append(part)
    return [layer for layer in layers if layer]


def _held(names: ClassNames, cluster_tree: ClusterTree, name: str) -> list[_Members]:
    """The centroids of each part of a class."""
    return [
        cluster_tree.members(part, names.origin)
        for named_class in names.classes
        if named_class.name == name
        for part in parts_of(named_class)
    ]


def _confirmed(members: Mapping[Part, _Members], held: Sequence[_Members]) -> list[Part]:
    """The parts that together are a larger part of their own class: they replace it.

    So it is on record that a person saw them apart, and gave them one name.
    """
    wholes = [
        whole
        for whole in held
        if whole == frozenset[int]().union(*(one for one in members.values() if one < whole))
    ]
    return [part for part, one in members.items() if any(one < whole for whole in wholes)]


def _freed(
    names: ClassNames, cluster_tree: ClusterTree, parts: Sequence[Part], new: str
) -> tuple[ClassNames, dict[Part, list[str]], list[str]]:
    """Remove the centroids of some parts from all classes.

    Returns:
        the remaining names; for each part, the names it had; and a sentence for each split cluster
        or node. The class `new`, which the parts move to, is not mentioned.
    """
    members = {part: cluster_tree.members(part, "--set") for part in parts}
    taken = frozenset[int]().union(*members.values())
    moved: dict[Part, list[str]] = {part: [] for part in parts}
    classes, split = [], []
    for named_class in names.classes:
        untouched: list[Part] = []
        rest: list[Part] = []
        for held in parts_of(named_class):
            held_members = cluster_tree.members(held, names.origin)
            for part, wanted in members.items():
                if (
                    held_members & wanted
                    and named_class.name != new
                    and named_class.name not in moved[part]
                ):
                    moved[part].append(named_class.name)
            if not held_members & taken:
                untouched.append(held)
            elif not held_members <= taken:
                left = cluster_tree.cover(held_members - taken)
                rest += left
                if named_class.name != new:
                    split.append(
                        f"{held} is split: {named_class.name} keeps {', '.join(map(str, left))}"
                    )
        classes.append(with_parts(named_class, [*untouched, *rest]))
    return replace(names, classes=tuple(classes)), moved, split


def _added(
    classes: Sequence[NamedClass], name: str, parts: Sequence[Part]
) -> tuple[NamedClass, ...]:
    for place, named_class in enumerate(classes):
        if named_class.name == name:
            whole = with_parts(named_class, [*parts_of(named_class), *parts])
            return (*classes[:place], whole, *classes[place + 1 :])
    return (*classes, with_parts(NamedClass(name, ignore=name == "ignore"), parts))


def _emptied(before: Sequence[NamedClass], after: ClassNames) -> list[str]:
    """A sentence for each class that lost all its clusters; it keeps its id."""
    filled = {named_class.name for named_class in after.classes if parts_of(named_class)}
    lost = dict.fromkeys(named_class.name for named_class in before if parts_of(named_class))
    return [
        f"class {name!r} has no clusters left but keeps its id; --clear removes it"
        for name in lost
        if name not in filled
    ]


def _check_known(names: ClassNames, name: str, flag: str) -> None:
    known = list(dict.fromkeys(named_class.name for named_class in names.classes))
    if name not in known:
        hint = suggest(name, known) if known else "there are no classes yet"
        raise ConfigError(f"{flag} {name}: no such class; {hint}")
