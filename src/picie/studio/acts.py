"""Acts of a page, as JSON values: what they change in the names, and the events of marks.

    {"act": "name", "node": 70, "title": "road"}
    {"act": "stroke", "photo": 3, "title": "road", "points": [[10, 20.5], [40, 21]], "radius": 4}

Everything here is pure: values in, names or events out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from picie.annotation.events import MARKS, Event, new_event
from picie.errors import ConfigError
from picie.models.class_names import ClassNames, NamedClass, check_colour, check_name
from picie.naming.assign import ClusterTree, assign, paint, recut, remove, take_away
from picie.naming.parts import Part
from picie.runtime.printable import shown

__all__ = [
    "BY",
    "NAMING",
    "ON_PHOTOS",
    "TREELESS",
    "mark",
    "naming",
    "text",
    "whole",
    "with_class",
]

NAMING = ("name", "unname", "rename", "colour", "clear", "cut")
"""Acts that change names."""

ON_PHOTOS = (*MARKS, "erase", "accept")
"""Acts on one photo."""

TREELESS = "the clusters of this model come from a learnt classifier and form no tree"

BY = "studio"

Step = Callable[[ClassNames], tuple[ClassNames, list[str]]]
_MOST_NODES = 10_000


def naming(
    values: Mapping[str, Any], tree: Callable[[int], ClusterTree], shown_titles: Sequence[str]
) -> tuple[Step, tuple[str, str] | None]:
    """What an act does to the names.

    Args:
        values: of an act of `NAMING`.
        tree: the clusters at a cut K.
        shown_titles: of all classes, also those that only marks have.

    Returns:
        a function from the names before to those after and a sentence for each change; and the old
        and the new name of a class that is renamed.

    Raises:
        ConfigError: values that are missing, or of another kind.
    """
    match values["act"]:
        case "name":
            nodes, title = _nodes(values), text(values, "title")
            return lambda names: _named(names, tree(names.clusters), nodes, title), None
        case "unname":
            node = whole(values, "node")
            return lambda names: _unnamed(names, tree(names.clusters), node), None
        case "rename":
            old, new = text(values, "title"), text(values, "to")
            _check_rename(old, new, shown_titles)
            return lambda names: _renamed(names, old, new), (old, new)
        case "colour":
            title, colour = text(values, "title"), text(values, "colour")
            check_colour(colour, "colour")
            _check_known(title, shown_titles)
            return lambda names: paint(with_class(names, title), [(title, colour)]), None
        case "clear":
            title = text(values, "title")
            return lambda names: remove(names, [title]), None
    clusters = whole(values, "clusters")
    return lambda names: _cut(names, tree, clusters), None


def mark(values: Mapping[str, Any], image: str, size: tuple[int, int], digest: str) -> Event:
    """The event of an act on a photo; what is outside of the photo is moved to its edge.

    Args:
        values: of an act of `ON_PHOTOS`.
        image: name of the photo.
        size: (W, H) of the upright photo in pixels.
        digest: of the file.

    Raises:
        ConfigError: values that are missing, or of another kind.
    """
    act = values["act"]
    record: dict[str, Any] = {"act": act, "image": image, "size": list(size), "digest": digest}
    if act in MARKS:
        record["title"] = text(values, "title")
    if act in ("stroke", "polygon", "erase"):
        record["points"] = _inside(values.get("points"), size)
    if act in ("stroke", "erase"):
        record["radius"] = values.get("radius", 0)
    if act == "box":
        record["box"] = values.get("box")
        if isinstance(record["box"], list) and len(record["box"]) == 4:
            corners = _inside([record["box"][:2], record["box"][2:]], size)
            record["box"] = [number for corner in corners for number in corner]
    if act == "segment":
        rings: Any = values.get("rings")
        record["rings"] = [_inside(one, size) for one in rings] if _is_list(rings) else rings
    return new_event(BY, **record)


def with_class(names: ClassNames, title: str) -> ClassNames:
    """The names with an entry for a class that only marks have."""
    if any(one.name == title for one in names.classes):
        return names
    check_name(title, "title", ignore=title == "ignore")
    return replace(names, classes=(*names.classes, NamedClass(title, ignore=title == "ignore")))


def text(values: Mapping[str, Any], key: str) -> str:
    """A text.

    Raises:
        ConfigError: it is missing, empty, or something else.
    """
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{values.get('act')}: {key} = {shown(value)}; give text")
    return value.strip()


def whole(values: Mapping[str, Any], key: str) -> int:
    """A whole number from 0.

    Raises:
        ConfigError: it is missing, or something else.
    """
    value = values.get(key)
    if type(value) is not int or not 0 <= value < 2**31:
        raise ConfigError(f"{values.get('act')}: {key} = {shown(value)}; give a number from 0")
    return value


# --- names


def _nodes(values: Mapping[str, Any]) -> list[int]:
    if "nodes" not in values:
        return [whole(values, "node")]
    nodes = values["nodes"]
    if not (_is_list(nodes) and 0 < len(nodes) <= _MOST_NODES):
        raise ConfigError(f"name: nodes = {shown(nodes)}; give one or more nodes")
    return list(dict.fromkeys(whole({"act": "name", "node": node}, "node") for node in nodes))


def _parts(tree: ClusterTree, nodes: Sequence[int]) -> list[Part]:
    """Nodes as parts; without a tree, the clusters of single centroids."""
    if tree.children or tree.count == 1:
        return [Part(node, True) for node in nodes]
    if any(node >= tree.count for node in nodes):
        raise ConfigError(f"{TREELESS}; name its clusters, 0 to {len(tree.clusters) - 1}")
    clusters = (
        next(number for number, members in enumerate(tree.clusters) if node in members)
        for node in nodes
    )
    return [Part(number) for number in dict.fromkeys(clusters)]


def _named(
    names: ClassNames, tree: ClusterTree, nodes: Sequence[int], title: str
) -> tuple[ClassNames, list[str]]:
    return assign(names, tree, [(_parts(tree, nodes), title)])


def _unnamed(names: ClassNames, tree: ClusterTree, node: int) -> tuple[ClassNames, list[str]]:
    return take_away(names, tree, _parts(tree, [node]))


def _renamed(names: ClassNames, old: str, new: str) -> tuple[ClassNames, list[str]]:
    said = [f"class {old!r} is now {new!r}"]
    if any(one.name == new for one in names.classes):  # both become one
        moved = [replace(one, name=new, colour="") for one in names.classes if one.name == old]
        kept = tuple(one for one in names.classes if one.name != old)
        return replace(names, classes=(*kept, *moved)), said
    names = with_class(names, old)
    classes = tuple(replace(one, name=new) if one.name == old else one for one in names.classes)
    return replace(names, classes=classes), said


def _check_rename(old: str, new: str, known: Sequence[str]) -> None:
    _check_known(old, known)
    check_name(new, "the new name")
    if "ignore" in (old, new):
        raise ConfigError(
            "'ignore' is not a class but what has none; name its clusters instead of renaming it"
        )
    if old == new:
        raise ConfigError(f"{old!r} has this name already; give another one")


def _check_known(title: str, known: Sequence[str]) -> None:
    if title not in known:
        raise ConfigError(f"there is no class {shown(title)}; it may have another name now")


def _cut(
    names: ClassNames, tree: Callable[[int], ClusterTree], clusters: int
) -> tuple[ClassNames, list[str]]:
    later = tree(clusters)  # raises for an impossible cut
    return (names, []) if clusters == names.clusters else recut(names, tree(names.clusters), later)


# --- marks


def _inside(points: Any, size: tuple[int, int]) -> Any:
    """Points, moved into the photo; anything else as it is, to be refused later."""
    if not _is_list(points):
        return points
    return [
        [min(max(value, 0), side) for value, side in zip(point, size, strict=True)]
        if _is_list(point) and len(point) == 2 and all(type(v) in (int, float) for v in point)
        else point
        for point in points
    ]


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
