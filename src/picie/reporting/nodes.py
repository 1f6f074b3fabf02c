"""Nodes of the tree in HTML: a row for each, with pictures, which opens to the two below it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from picie.reporting.clusters import percent, swatch
from picie.reporting.content import Cluster, Crop, Tree
from picie.visualization.thumbnails import data_uri, text

__all__ = ["Nodes", "crop_styles"]

_MOST_OWNERS = 3  # names beside a node
_MOST_NESTED = 40  # rows inside each other; what is below them stands in one list
_OPEN_MEMBERS = 8  # a class of more parts is closed at first


def crop_styles(crops: Sequence[Crop]) -> str:
    """Style rules for the crops: each file is on the page once, whatever shows it."""
    return "".join(
        f".c{number}{{background-image:url({data_uri('image/webp', crop.image)})}}\n"
        for number, crop in enumerate(crops)
    )


class Nodes:
    """The nodes of a tree as HTML.

    Args:
        tree: what the page shows of it.
        clusters: by id, for names and colours.
        photos: number of photos that were read.
    """

    def __init__(self, tree: Tree, clusters: Mapping[int, Cluster], photos: int) -> None:
        self._tree, self._clusters, self._photos = tree, clusters, photos
        self._count = len(tree.owners)

    def at_the_cut(self) -> str:
        """A row for each cluster of the cut, in the order of the drawing; they hold those below."""
        return _listed(self._rows(node) for node in self._ordered if self._is_cluster(node))

    def above_the_cut(self) -> str:
        """A row for each node of several clusters, the root first; "" if there is none."""
        above = [node for node in self._tree.nodes if self._is_mixed(node)]
        return _listed(self._row(node, "") for node in sorted(above, reverse=True))

    def members(self, cluster: Cluster) -> str:
        """The parts of a class with their pictures, for its card; "" for a single one."""
        parts = [part for part in cluster.parts if part in self._tree.nodes]
        if len(parts) < 2:
            return ""
        items = "".join(
            f'<li><a href="#n{part}">{self._title(part)}</a> '
            f'<span class="number">{percent(self._tree.nodes[part].share)}</span>'
            f"{self._crops(part, 3)}</li>"
            for part in sorted(parts, key=lambda part: (-self._tree.nodes[part].share, part))
        )
        opened = " open" * (len(parts) <= _OPEN_MEMBERS)
        return (
            f'<details class="members"{opened}><summary>Its {len(parts)} parts</summary>'
            f"<ul>{items}</ul></details>"
        )

    def fact(self, cluster: Cluster) -> str:
        """The node of a cluster that is one node, with a link, and those below it; else ""."""
        if len(cluster.parts) != 1 or cluster.parts[0] not in self._tree.nodes:
            return ""
        [node] = cluster.parts
        below = self._below(node)
        if below:
            made_of = f"made of {self._linked(below)}"
        else:
            made_of = "one centroid" if node < self._count else "two nodes that are not shown"
        return f"{_link(node)}, {made_of}"

    # --- rows

    def _rows(self, node: int, depth: int = 0) -> str:
        """The row of a node, with those of the nodes below it inside."""
        below = self._below(node)
        if depth >= _MOST_NESTED and below:
            inside = _listed(self._row(one, "") for one in self._all_below(node))
        else:
            inside = _listed(self._rows(one, depth + 1) for one in below)
        return self._row(node, inside)

    def _row(self, number: int, inside: str) -> str:
        node = self._tree.nodes[number]
        size = f"{node.centroids} centroid{'s' * (node.centroids > 1)}"
        # The name of a control is what it contains; pictures would make it long.
        crops = self._crops(number, len(node.crops), ' aria-hidden="true"')
        return (
            f'<li><details class="node" id="n{number}"><summary>'
            f'<span class="who">{self._title(number)}{self._owners(number)}</span> '
            f'<span class="size"><b class="number">{percent(node.share)}</b> {size}</span> '
            f"{crops}</summary>"
            f'<div class="inside">{self._about(number)}{self._command(number)}{inside}</div>'
            "</details></li>"
        )

    def _about(self, number: int) -> str:
        """What is around a node, in words and links."""
        node = self._tree.nodes[number]
        said = [f"In {node.photos:,} of {self._photos:,} photos."]
        if number >= self._count:
            left, right, distance = self._tree.merges[number - self._count]
            links = self._linked((left, right))
            said.append(f"Made of {links}, which merge at distance {distance:.2f}.")
        if number in self._parents:
            parent = self._parents[number]
            left, right, distance = self._tree.merges[parent - self._count]
            other = right if number == left else left
            said.append(
                f"Merges with {_link(other)} into {_link(parent)} at distance {distance:.2f}."
            )
        return f"<p>{' '.join(said)}</p>"

    def _command(self, number: int) -> str:
        command = text(f"{self._tree.command} --set n{number}=NAME")
        return (
            f'<p class="command"><code>{command}</code> '
            '<button type="button" class="js-only">Copy</button></p>'
        )

    def _crops(self, number: int, most: int, attributes: str = "") -> str:
        shown = "".join(
            f'<img class="c{crop}" src="{data_uri("image/webp", over)}" '
            f'alt="Piece of {(name := text(self._tree.crops[crop].name))}" title="{name}" '
            'width="72" height="72" decoding="async">'
            for crop, over in self._tree.nodes[number].crops[:most]
        )
        return f'<span class="crops"{attributes}>{shown}</span>' if shown else ""

    # --- names

    def _title(self, number: int) -> str:
        """Its number, and that of the cluster that it is."""
        cluster = f" <span>cluster {self._group(number)}</span>" * self._is_cluster(number)
        return f"<b>n{number}</b>{cluster}"

    def _owners(self, number: int) -> str:
        """Colours, and names that its title does not say."""
        found = self._owner_ids(number)
        title = f"cluster {self._group(number)}" if self._is_cluster(number) else ""
        parts = [
            swatch(self._clusters[owner]) + text(self._clusters[owner].name)
            if self._clusters[owner].name != title
            else swatch(self._clusters[owner])
            for owner in found[:_MOST_OWNERS]
            if owner in self._clusters
        ]
        more = len(found) - _MOST_OWNERS
        return "".join(f' <span class="owner">{part}</span>' for part in parts) + (
            f' <span class="quiet">and {more} more</span>' if more > 0 else ""
        )

    def _owner_ids(self, number: int) -> list[int]:
        """The ids of its centroids, the one of most centroids first."""
        owners = [self._tree.owners[leaf] for leaf in self._tree.members[number]]
        return sorted(set(owners), key=lambda owner: (-owners.count(owner), owner))

    def _linked(self, numbers: Sequence[int]) -> str:
        return " and ".join(
            _link(number) if number in self._tree.nodes else f"n{number}" for number in numbers
        )

    # --- the tree

    @cached_property
    def _parents(self) -> dict[int, int]:
        return {
            node: self._count + row
            for row, (left, right, _) in enumerate(self._tree.merges)
            for node in (left, right)
        }

    @cached_property
    def _ordered(self) -> list[int]:
        """The nodes as the drawing has them from top to bottom, each before those below it."""
        first = [min(members) for members in self._tree.members]
        waiting, ordered = [2 * self._count - 2], []
        while waiting:
            node = waiting.pop()
            ordered.append(node)
            waiting += sorted(self._below(node), key=lambda one: -first[one])
        return ordered

    def _below(self, number: int) -> tuple[int, ...]:
        """The two nodes below, if the page shows them."""
        row = number - self._count
        pair = self._tree.merges[row][:2] if row >= 0 else ()
        return pair if all(one in self._tree.nodes for one in pair) else ()

    def _all_below(self, number: int) -> list[int]:
        found, waiting = [], [*self._below(number)]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += self._below(node)
        return found

    def _group(self, number: int) -> int:
        return self._tree.groups[self._tree.members[number][0]]

    def _is_mixed(self, number: int) -> bool:
        """Whether it holds several clusters of the cut."""
        return len({self._tree.groups[leaf] for leaf in self._tree.members[number]}) > 1

    def _is_cluster(self, number: int) -> bool:
        """Whether it is a cluster of the cut: with the node above it, it would hold several."""
        alone = number not in self._parents or self._is_mixed(self._parents[number])
        return alone and not self._is_mixed(number)


def _link(number: int) -> str:
    return f'<a href="#n{number}">n{number}</a>'


def _listed(rows: Iterator[str]) -> str:
    items = "\n".join(rows)
    return f'<ul class="nodes">\n{items}\n</ul>' if items else ""
