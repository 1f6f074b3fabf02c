"""What a page shows of names and history, as plain values."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from picie.annotation.events import MARKS, Event
from picie.annotation.log import Annotations
from picie.clustering.tree import cluster_groups
from picie.inference.outputs import outputs_of
from picie.models.centroids import CentroidSet
from picie.models.class_names import ClassNames
from picie.naming.assign import ClusterTree
from picie.naming.parts import parts_of
from picie.naming.questions import START, Question, questions
from picie.studio.colours import free_colours, unlike
from picie.visualization.thumbnails import colour_code

__all__ = [
    "VOID_COLOUR",
    "active_seconds",
    "class_colours",
    "class_list",
    "class_nodes",
    "described",
    "named_colours",
    "question_list",
    "renames",
]

VOID_COLOUR = "#808080"
"""Of ignored classes."""

_MOST_QUESTIONS = 100
_LONGEST_GAP = 300.0  # seconds; a person who did nothing for longer was away


def named_colours(centroids: CentroidSet, names: ClassNames) -> dict[str, str]:
    """The colour of each class that has an entry, as in masks.

    Raises:
        ConfigError: names that do not fit the model.
    """
    visible = [one for one in names.merged if not one.ignore]
    rows = outputs_of(centroids, names).colours
    own = {one.name: colour_code(row) for one, row in zip(visible, rows, strict=False)}
    return {one.name: one.colour or own.get(one.name, VOID_COLOUR) for one in names.merged}


def class_colours(named: dict[str, str], known: Annotations) -> dict[str, str]:
    """The colour of each class, also of those that only marks have, in the order of the page.

    Args:
        named: from `named_colours`.
        known: the history; a class that only marks have keeps its colour when others are undone.
    """
    found = dict(named)
    here = {event.id: event.title for event in known.marks}  # by their present names
    every = [here.get(event.id, event.title) for event in known.events if event.act in MARKS]
    taken = list(found.values())
    for title in dict.fromkeys(every):
        if title not in found:
            colour = VOID_COLOUR if title == "ignore" else unlike(free_colours(), taken)
            taken.append(colour)
            if title in here.values():
                found[title] = colour
    return found


def class_list(
    tree: ClusterTree, names: ClassNames, colours: dict[str, str]
) -> list[dict[str, Any]]:
    """The classes of a state.

    Args:
        tree: at the cut of the names.
        names: of the clusters.
        colours: from `class_colours`.
    """
    ignored = {one.name: one.ignore for one in names.merged}
    classes = []
    for title, colour in colours.items():
        nodes = class_nodes(tree, names, title)
        classes.append({
            "name": title,
            "colour": colour,
            "ignore": ignored.get(title, title == "ignore"),
            "nodes": nodes,
            "leaves": sorted(leaf for node in nodes for leaf in tree.nodes[node]),
        })  # fmt: skip
    return classes


def class_nodes(tree: ClusterTree, names: ClassNames, title: str) -> list[int]:
    """The nodes of a class; without a tree, its centroids."""
    found: list[int] = []
    for one in names.classes:
        if one.name == title:
            for part in parts_of(one):
                members = tree.members(part, names.origin)
                found += [part.number] if part.is_node else tree.cover_nodes(members)
    return found


def question_list(
    centroids: CentroidSet,
    tree: ClusterTree,
    names: ClassNames,
    shares: Sequence[float] | None,
) -> list[dict[str, Any]]:
    """The first questions that are open; none without a tree.

    Args:
        centroids: of the first view.
        tree: at the cut of the names.
        names: of the clusters.
        shares: (P,) share of the pixels of each centroid, or None.
    """
    if not tree.children:
        return []
    groups = cluster_groups(centroids, max(2, min(START, tree.count))).tolist()
    cut = [
        frozenset(centroid for centroid, group in enumerate(groups) if group == cluster)
        for cluster in range(max(groups) + 1)
    ]
    asked = questions(tree, names, cut, centroids.points, shares)
    return [_plain(one) for one in asked[:_MOST_QUESTIONS]]


def described(events: Sequence[Event], number: str) -> str:
    """What the event of an id is."""
    return next(event.description for event in events if event.id == number)


def renames(before: Annotations, after: Annotations) -> list[tuple[str, str]]:
    """The old and the new name of each class that was renamed, or got its old name back."""
    one, two = ({e.id: e.renamed for e in known.valid if e.renamed} for known in (before, after))
    undone = [(new, old) for number, (old, new) in one.items() if number not in two]
    return undone[::-1] + [(old, new) for number, (old, new) in two.items() if number not in one]


def active_seconds(events: Sequence[Event]) -> float:
    """How long somebody worked: the times between events, without long gaps."""
    times: list[float] = []
    for event in events:
        try:
            times.append(datetime.fromisoformat(event.time).timestamp())
        except ValueError:  # written by hand
            continue
    times.sort()
    return sum(gap for one, two in pairwise(times) if (gap := two - one) <= _LONGEST_GAP)


def _plain(question: Question) -> dict[str, Any]:
    return {
        "node": question.node,
        "name": question.name,
        "members": list(question.members),
        "children": question.children,
        "share": question.share,
        "child_shares": question.child_shares,
        "alike": list(question.alike),
    }
