"""The tables of `picie name`, and the classes.toml that it gives to be filled in."""

from rich.table import Table
from rich.text import Text

from picie.inference.outputs import cluster_name
from picie.inference.segmenter import Segmenter
from picie.models.class_names import HEADER
from picie.naming.assign import Anatomy
from picie.naming.parts import parts_of
from picie.naming.votes import Vote

__all__ = ["class_table", "cluster_table", "template", "vote_table"]

_SWATCH = "███"
_MOST = 4  # neighbours that are listed


def cluster_table(model: Segmenter, anatomy: Anatomy) -> Table:
    """A line for each cluster: its node, colours and names, and what it joins next in the tree.

    Args:
        model: with names, or with none in a `ClassNames`.
        anatomy: at the cut that is shown.
    """
    tree = bool(anatomy.children)
    table = Table("cluster", "colour", "name")
    table.columns[0].justify = "right"
    if tree:
        for heading in ("node", "made of", "joins", "as", "distance"):
            table.add_column(heading)
        table.columns[-1].justify = "right"
    ids = model.centroid_ids.tolist()
    for cluster, members in enumerate(anatomy.clusters):
        if not members:
            continue
        own = sorted({ids[centroid] for centroid in members})
        row: list[Text | str] = [str(cluster), _swatches(model, own), _names(model, own)]
        if tree:
            row += [_node(anatomy, cluster), _children(anatomy, cluster)]
            row += _nearest(anatomy, cluster)
        table.add_row(*row)
    return table


def class_table(model: Segmenter) -> Table:
    """A line for each id in masks: its name and colour, and what it is made of.

    Args:
        model: with names.
    """
    table = Table("id", "colour", "#rrggbb", "name", "clusters and nodes")
    table.columns[0].justify = "right"
    classes = model.class_names.merged if model.class_names is not None else ()
    made_of = {one.name: ", ".join(part.short for part in parts_of(one)) for one in classes}
    for number, name in enumerate(model.names):
        colour = "#{:02x}{:02x}{:02x}".format(*model.colours[number].tolist())
        parts = made_of.get(name, name.removeprefix("cluster "))
        table.add_row(str(number), Text(_SWATCH, colour), colour, Text(name), parts)
    for one in classes:
        if one.ignore:
            table.add_row("void", "", "", Text(one.name), made_of[one.name])
    return table


def vote_table(decided: list[Vote], model: Segmenter) -> Table:
    """A line for each cluster: the class of most of its labelled pixels, and how clear that is.

    Args:
        decided: one for each cluster.
        model: with the names that they gave.
    """
    table = Table("cluster", "colour", "class", "share %", "pixels", "then")
    for column in (table.columns[0], *table.columns[3:5]):
        column.justify = "right"
    colours = dict(zip(model.names, model.colours.tolist(), strict=True))
    for vote in decided:
        own = colours.get(vote.name or cluster_name(vote.cluster), [255, 255, 255])
        then = f"{vote.second} {vote.second_share:.0%}" if vote.second else ""
        table.add_row(
            str(vote.cluster),
            Text(_SWATCH, "#{:02x}{:02x}{:02x}".format(*own)),
            Text(vote.name or "- (no name)"),
            f"{100 * vote.share:.1f}" if vote.pixels else "-",
            f"{vote.pixels:,}".replace(",", " "),
            Text(then),
        )
    return table


def template(anatomy: Anatomy) -> str:
    """A classes.toml without classes, that says how to add some and which clusters there are.

    Args:
        anatomy: at the cut that numbers refer to.
    """
    lines = [HEADER, f"clusters = {len(anatomy.clusters)}\n"]
    lines.append(
        "\n# Take the # away and put in what you see in the overlays (picie predict --overlay).\n"
        "# [[classes]]\n"
        '# name = "road"\n'
        '# colour = "#804080"\n'
        "# clusters = [0, 1]\n"
        "\n# [[classes]]\n"
        '# name = "ignore"\n'
        "# clusters = [2]\n"
        "# ignore = true\n"
    )
    if anatomy.children:
        lines.append("\n# The clusters, and which others are most like each:\n")
        for cluster, members in enumerate(anatomy.clusters):
            if members:
                others, node, distance = _nearest(anatomy, cluster)
                lines.append(
                    f"# {cluster:>4}: joins {others} as node {node[1:]} at distance {distance}\n"
                )
    return "".join(lines)


def _swatches(model: Segmenter, ids: list[int]) -> Text:
    text = Text()
    for number in ids[:_MOST]:
        if number < model.clusters:
            text.append(_SWATCH, "#{:02x}{:02x}{:02x}".format(*model.colours[number].tolist()))
        else:
            text.append("void", "dim")
    return text


def _names(model: Segmenter, ids: list[int]) -> Text:
    """The names of a cluster; several where nodes below it have one."""
    names = [model.names[number] if number < model.clusters else "ignored" for number in ids]
    if len(names) == 1 and names[0].startswith("cluster "):
        return Text("-", "dim")
    return Text(", ".join("rest" if name.startswith("cluster ") else name for name in names))


def _node(anatomy: Anatomy, cluster: int) -> str:
    node = anatomy.node_of(cluster)
    return "" if node is None else f"n{node}"


def _children(anatomy: Anatomy, cluster: int) -> str:
    """The two nodes below it, which can be named apart."""
    node = anatomy.node_of(cluster)
    if node is None or node < anatomy.count:
        return "one centroid"
    left, right, _ = anatomy.children[node - anatomy.count]
    return f"n{left} + n{right}"


def _nearest(anatomy: Anatomy, cluster: int) -> tuple[str, str, str]:
    """The clusters of the branch that it joins next, the node that they make, and how far."""
    node = anatomy.node_of(cluster)
    for row, (left, right, distance) in enumerate(anatomy.children):
        if node in (left, right):
            beside = anatomy.nodes[right if node == left else left]
            others = [str(k) for k, own in enumerate(anatomy.clusters) if own and own <= beside]
            shown = ", ".join(others[:_MOST]) + (", ..." if len(others) > _MOST else "")
            return shown, f"n{anatomy.count + row}", f"{distance:.2f}"
    return "", "", ""
