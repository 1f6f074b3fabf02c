"""The tree of clusters as an SVG element.

Text and lines inherit the surrounding text colour, so the tree is readable in light and dark mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from picie.reporting.content import Cluster, Tree
from picie.reporting.treetop import top_of
from picie.visualization.thumbnails import colour_code, text

__all__ = ["draw_tree"]

_ROW = 14  # height of a leaf
_LEFT, _TREE, _GAP = 34, 330, 40  # widths: before the root, the tree, numbers of leaves
_WIDTH, _TOP, _BOTTOM = 650, 34, 30
_MOST_LEAVES, _LEAVES = 160, 64  # larger trees are drawn from their last 64 leaves on
_LONGEST_NAME = 32  # characters
_MARK = 10  # side of a square
_NUMBER = 5.2, 9  # of the number of a node: width of a character and height, in pixels
# For a pointer: over a hundred links would be in the way of the keyboard, and the cards and the
# rows, which have the same links, read better than a drawing.
_POINTED = 'tabindex="-1"'


@dataclass(frozen=True)
class _Node:
    """A group of leaves: its owners, the distance at which it merged, and its vertical position."""

    owners: frozenset[int]
    height: float
    y: float


_Box = tuple[float, float, float]
"""Right end, baseline and width of a text, in pixels."""


def draw_tree(tree: Tree, clusters: Mapping[int, Cluster]) -> str:
    """An SVG element: the root at the left, centroids at the right beside their clusters' names.

    Screen readers skip it: the page has all of it in words.
    A dashed line marks the cut. Branches within one cluster have its colour. Of more than
    160 centroids, the last 64 nodes to merge are the leaves, or the clusters if they are more.

    Args:
        tree: how the centroids merge.
        clusters: by id; ids of `tree.owners` that are missing here are not named.

    Returns:
        the element, or "" for fewer than 2 or more than 160 leaves.
    """
    count = len(tree.owners)
    top = top_of(tree.merges, count if count <= _MOST_LEAVES else max(tree.cut, _LEAVES))
    merges = top.merges
    owner = dict(zip(top.places, tree.owners, strict=True))
    owners = [owner[leaf] for leaf in range(len(merges) + 1)]
    if not 2 <= len(owners) <= _MOST_LEAVES:
        return ""
    order = _order(merges, len(owners))
    height = _TOP + _ROW * len(order) + _BOTTOM
    most = merges[-1][2] or 1.0
    nodes = [_Node(frozenset([owner]), 0.0, 0.0) for owner in owners]
    for row, leaf in enumerate(order):
        nodes[leaf] = _Node(nodes[leaf].owners, 0.0, _TOP + _ROW * (row + 0.5))
    lines = []
    for left, right, distance in merges:
        pair = nodes[left], nodes[right]
        joined = _Node(pair[0].owners | pair[1].owners, distance, (pair[0].y + pair[1].y) / 2)
        lines += [_branch(node, distance, most, clusters) for node in pair]
        lines.append(_bar(pair, distance, most, joined.owners, clusters))
        nodes.append(joined)
    numbers = _numbers(tree, top.numbers, nodes, most)
    root = nodes[-1]
    stub = f"M{_x(root.height, most):g} {root.y:g}H{_LEFT - 8}"
    return "\n".join(
        [
            f'<svg class="tree" viewBox="0 0 {_WIDTH} {height}" aria-hidden="true">',
            *_cuts(tree, most, height),
            f'<path class="branch" d="{stub}"/>',
            # Some colours, such as black and yellow, need an edge to stand out from the background.
            *(line.replace('class="own"', 'class="edge"') for line in lines if "own" in line),
            *lines,
            *numbers,
            *_names([owners[leaf] for leaf in order], clusters),
            "</svg>",
        ]
    )


def _order(merges: Sequence[tuple[int, int, float]], count: int) -> list[int]:
    """Leaves from top to bottom, such that no lines cross; the branch of leaf 0 is at the top."""
    below = [[leaf] for leaf in range(count)]
    for left, right, _ in merges:
        pair = sorted((below[left], below[right]), key=min)
        below.append([*pair[0], *pair[1]])
    return below[-1]


def _x(height: float, most: float) -> float:
    return round(_LEFT + _TREE * (1 - height / most), 1)


def _stroke(owners: frozenset[int], clusters: Mapping[int, Cluster]) -> str:
    """Attributes of a line: the colour of its cluster if it belongs to only one."""
    alone = next(iter(owners)) if len(owners) == 1 else None
    if alone is None or alone not in clusters:
        return 'class="branch"'
    return f'class="own" stroke="{colour_code(clusters[alone].colour)}"'


def _branch(node: _Node, until: float, most: float, clusters: Mapping[int, Cluster]) -> str:
    path = f"M{_x(node.height, most):g} {node.y:g}H{_x(until, most):g}"
    return f'<path {_stroke(node.owners, clusters)} d="{path}"/>'


def _bar(
    pair: tuple[_Node, _Node],
    height: float,
    most: float,
    owners: frozenset[int],
    clusters: Mapping[int, Cluster],
) -> str:
    path = f"M{_x(height, most):g} {pair[0].y:g}V{pair[1].y:g}"
    return f'<path {_stroke(owners, clusters)} d="{path}"/>'


def _numbers(tree: Tree, numbers: Sequence[int], nodes: Sequence[_Node], most: float) -> list[str]:
    """The number of each node, at its left end or beside a leaf; a link where it has a row."""
    elements: list[str] = []
    taken: list[_Box] = []
    leaves = (len(nodes) + 1) // 2
    for place, (number, node) in enumerate(zip(numbers, nodes, strict=True)):
        at = f'x="{_LEFT + _TREE + 4}" y="{node.y + 3.5:g}"'
        if place >= leaves:
            box = _free(f"n{number}", _x(node.height, most) - 2, node.y - 2, taken)
            taken.append(box)
            at = f'x="{box[0]:g}" y="{box[1]:g}" text-anchor="end"'
        label = f'<text class="node-number" {at}>n{number}</text>'
        linked = f'<a {_POINTED} href="#n{number}">{label}</a>'
        elements.append(linked if number in tree.nodes else label)
    return elements


def _free(label: str, right: float, below: float, taken: Sequence[_Box]) -> _Box:
    """Where a label covers no other: above its line if it can be, else below it or farther left."""
    wide, tall = _NUMBER[0] * len(label), _NUMBER[1]
    tries = [(right - left, below + down) for left in (0, wide) for down in (0, tall + 2)]
    for x, y in tries:
        if all(x - wide >= r or r - w >= x or abs(y - b) >= tall - 1 for r, b, w in taken):
            return x, y, wide
    return *tries[0], wide


def _cuts(tree: Tree, most: float, height: int) -> list[str]:
    """Lines at the cut and at the suggested cut, each between two merges."""
    elements = []
    wanted = {tree.cut: f"cut at {tree.cut}"}
    if tree.suggested == tree.cut:
        wanted = {tree.cut: f"cut at {tree.cut}, the widest gap"}
    else:
        wanted[tree.suggested] = f"widest gap: {tree.suggested}"
    for number, (clusters, label) in enumerate(wanted.items()):
        x = _x(_height(tree, clusters), most)
        kind = "cut" if clusters == tree.cut else "gap"
        y, anchor = (16, "end") if number == 0 else (height - 8, "middle")
        anchor = "start" if x < 90 else "end" if x > 300 else "middle"
        elements.append(
            f'<line class="{kind}" x1="{x:g}" x2="{x:g}" y1="{_TOP - 12}" '
            f'y2="{height - _BOTTOM + 8}"/>'
            f'<text class="{kind}" x="{x:g}" y="{y}" text-anchor="{anchor}">{label}</text>'
        )
    return elements


def _height(tree: Tree, clusters: int) -> float:
    """The midpoint between the last merge that leads to this number of clusters and the next."""
    count = len(tree.owners)
    before = tree.merges[count - clusters - 1][2] if clusters < count else 0.0
    after = tree.merges[count - clusters][2] if clusters > 1 else before
    return (before + after) / 2


def _names(owners: Sequence[int], clusters: Mapping[int, Cluster]) -> list[str]:
    """A coloured bar and a name beside each run of leaves of one cluster."""
    elements, start = [], 0
    left = _LEFT + _TREE + _GAP
    for row in range(1, len(owners) + 1):
        if row < len(owners) and owners[row] == owners[start]:
            continue
        top, tall = _TOP + _ROW * start + 2, _ROW * (row - start) - 4
        cluster = clusters.get(owners[start])
        if cluster is not None:
            name = (
                cluster.name
                if len(cluster.name) <= _LONGEST_NAME
                else cluster.name[: _LONGEST_NAME - 1] + "…"
            )
            elements.append(
                f'<a {_POINTED} href="#cluster-{cluster.id}">'
                f'<rect class="mark" x="{left}" y="{top}" width="{_MARK}" height="{tall}" '
                f'fill="{colour_code(cluster.colour)}"/>'
                f'<text x="{left + _MARK + 8}" y="{top + tall / 2 + 4:g}">{text(name)}</text></a>'
            )
        start = row
    return elements
