"""Names of clusters: the records, and the file classes.toml that stores them.

    clusters = 27              # the cut that cluster numbers refer to

    [[classes]]
    name = "road"
    colour = "#804080"         # optional
    clusters = [7, 12]         # cluster numbers of that cut
    nodes = [70]               # nodes of the tree, each with all of its descendants
    ignore = false             # true: its pixels are void in masks

Entries with equal names form one class. The order of the classes is the order of their ids in
masks; a class without clusters keeps its id.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from picie.config import MOST_CENTROIDS
from picie.errors import ConfigError
from picie.runtime.documents import parse_toml, read_text
from picie.runtime.files import write_atomically
from picie.runtime.printable import shown
from picie.types import IGNORED

__all__ = [
    "HEADER",
    "IGNORED",
    "ClassNames",
    "NamedClass",
    "check_colour",
    "check_name",
    "classes_text",
    "entry_text",
    "parse_classes",
    "read_classes",
    "write_classes",
]

_RESERVED = re.compile(r"cluster \d+")
_LONGEST = 250  # characters of a name: more than masks, lists and tables can show
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


def check_name(name: str, where: str, *, ignore: bool = False) -> None:
    """Raise unless a class name can be used in masks, lists and command lines.

    Args:
        name: name of a class.
        where: prefix of the error message.
        ignore: whether its pixels are void.

    Raises:
        ConfigError: the name is empty or too long, has surrounding spaces or control characters,
            or is reserved.
    """
    if len(name) > _LONGEST:
        raise ConfigError(
            f"{where}: the name {shown(name)} has {len(name)} characters; give at most {_LONGEST}"
        )
    if not name.strip():
        raise ConfigError(f"{where}: the name is empty; give it a name, or remove the entry")
    if name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"{where}: the name {shown(name)} begins or ends with a space, or holds a line break "
            "or a control character; correct it"
        )
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} is reserved for clusters without a name; choose another name"
        )
    if name == "ignore" and not ignore:
        raise ConfigError(
            f"{where}: the name 'ignore' is reserved for void pixels; add ignore = true, or choose "
            "another name"
        )


def check_colour(colour: str, where: str) -> None:
    """Raise unless a colour has the form "#rrggbb".

    Raises:
        ConfigError: invalid colour.
    """
    if not _COLOUR.fullmatch(colour):
        raise ConfigError(
            f'{where}: {shown(colour)} is not a colour; give red, green and blue like "#804080"'
        )


HEADER = """\
# Names of the clusters of this model; `picie name` shows and changes them, and keeps comments.
# clusters: the cut that cluster numbers refer to.
# Each [[classes]]: name, clusters = [numbers], nodes = [nodes of the tree], and if wanted
# colour = "#rrggbb" and ignore = true (its pixels are void). Their order is that of ids in masks.
"""
"""Comment at the top of a new classes.toml."""

_KEYS = ("name", "colour", "clusters", "nodes", "ignore")


@dataclass(frozen=True)
class NamedClass:
    """One entry of classes.toml.

    Attributes:
        name: name of the class; one line.
        clusters: cluster numbers of the cut.
        nodes: nodes of the tree of P centroids, numbered as in scipy: 0..P-1 are single centroids,
            P + i is the group that row i of the linkage merges.
        colour: "#rrggbb" in masks; "" = a colour of the palette.
        ignore: its pixels are void in masks, and it has no id.
    """

    name: str
    clusters: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    colour: str = ""
    ignore: bool = False


@dataclass(frozen=True)
class ClassNames:
    """Names for the clusters of one cut.

    Attributes:
        clusters: K of the cut that cluster numbers refer to.
        classes: in the order of their ids.
        origin: source of the names, for messages.

    Raises:
        ConfigError: an invalid or reserved name, an invalid colour, a number out of range, entries
            of one name that contradict each other, or a cluster or node that is named twice.

    Example:
        >>> names = ClassNames.of(27, {"road": [7, 12], "building": [3]})
        >>> [one.name for one in names.merged]
        ['road', 'building']
    """

    clusters: int
    classes: tuple[NamedClass, ...] = ()
    origin: str = field(default="class names", compare=False)

    def __post_init__(self) -> None:
        if not 2 <= self.clusters <= MOST_CENTROIDS:
            raise ConfigError(
                f"{self.origin}: clusters = {shown(self.clusters)}; give 2 to {MOST_CENTROIDS}"
            )
        if len(self.classes) > MOST_CENTROIDS:
            raise ConfigError(
                f"{self.origin}: has {len(self.classes)} entries of [[classes]]; give at most "
                f"{MOST_CENTROIDS}"
            )
        taken: dict[str, str] = {}
        for number, one in enumerate(self.classes, 1):
            where = f"{self.origin}: entry {number} of [[classes]]"
            check_name(one.name, where, ignore=one.ignore)
            where = f"{where} ({one.name!r})"
            if one.colour:
                check_colour(one.colour, where)
            _check_numbers(one, self.clusters, where, taken)
        _check_agreement(self)

    @classmethod
    def of(cls, clusters: int, names: Mapping[str, Iterable[int]]) -> "ClassNames":
        """Names from cluster numbers by name.

        Args:
            clusters: K of the cut that the numbers refer to.
            names: cluster numbers of each class, in the order of their ids in masks.
        """
        return cls(clusters, tuple(NamedClass(name, tuple(ids)) for name, ids in names.items()))

    @property
    def merged(self) -> tuple[NamedClass, ...]:
        """The classes; entries of one name are merged at the position of the first one."""
        classes: dict[str, NamedClass] = {}
        for entry in self.classes:
            before = classes.get(entry.name, NamedClass(entry.name))
            classes[entry.name] = NamedClass(
                entry.name,
                before.clusters + entry.clusters,
                before.nodes + entry.nodes,
                before.colour or entry.colour,
                entry.ignore,
            )
        return tuple(classes.values())


def read_classes(path: Path) -> ClassNames:
    """Read a classes.toml.

    Raises:
        ConfigError: the file cannot be read, is not TOML, has unknown keys or wrong types, or is
            rejected by `ClassNames`; the message names the file and the entry.
    """
    return parse_classes(read_text(path), path)


def parse_classes(text: str, path: Path) -> ClassNames:
    """Parse the text of a classes.toml.

    Args:
        text: TOML.
        path: its file, for messages.

    Raises:
        ConfigError: as `read_classes`.
    """
    values = parse_toml(text, path)
    _check_keys(values, ("clusters", "classes"), str(path))
    if "clusters" not in values:
        raise ConfigError(
            f"{path}: does not say which cut the cluster numbers refer to; add the number of "
            "clusters of the cut at the top, for example clusters = 27"
        )
    clusters = _typed(values["clusters"], int, "clusters", "a whole number", str(path))
    entries = _typed(values.get("classes", []), list, "classes", "[[classes]] entries", str(path))
    classes = [_entry(entry, number, path) for number, entry in enumerate(entries, 1)]
    return ClassNames(clusters, tuple(classes), str(path))


def write_classes(path: Path, names: ClassNames) -> None:
    """Write a classes.toml atomically; reading it gives the same names.

    Raises:
        PicieError: the file cannot be written.
    """
    write_atomically(path, classes_text(names).encode())


def classes_text(names: ClassNames) -> str:
    """The text of a new classes.toml."""
    entries = "".join("\n" + entry_text(one) for one in names.classes)
    return f"{HEADER}clusters = {names.clusters}\n{entries}"


def entry_text(one: NamedClass) -> str:
    """The text of one [[classes]] entry."""
    lines = ["[[classes]]", f"name = {_quoted(one.name)}"]
    if one.colour:
        lines.append(f"colour = {_quoted(one.colour)}")
    lines.append(f"clusters = {list(one.clusters)}")
    if one.nodes:
        lines.append(f"nodes = {list(one.nodes)}")
    if one.ignore:
        lines.append("ignore = true")
    return "\n".join(lines) + "\n"


def _entry(entry: Any, number: int, path: Path) -> NamedClass:
    where = f"{path}: entry {number} of [[classes]]"
    _typed(entry, dict, f"entry {number}", "a table", str(path))
    _check_keys(entry, _KEYS, where)
    if "name" not in entry:
        raise ConfigError(f'{where}: has no name; add name = "..."')
    return NamedClass(
        _typed(entry["name"], str, "name", "text in quotes", where),
        _numbers(entry.get("clusters", []), "clusters", where),
        _numbers(entry.get("nodes", []), "nodes", where),
        _typed(entry.get("colour", ""), str, "colour", 'text like "#804080"', where),
        _typed(entry.get("ignore", False), bool, "ignore", "true or false", where),
    )


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {shown(key)}; known: {', '.join(known)}")


def _typed(value: Any, kind: type, key: str, wanted: str, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: {key} = {shown(value)} is invalid; give {wanted}")
    return value


def _numbers(values: Any, key: str, where: str) -> tuple[int, ...]:
    wanted = "whole numbers like [7, 12]"
    _typed(values, list, key, wanted, where)
    return tuple(_typed(value, int, key, wanted, where) for value in values)


def _check_numbers(entry: NamedClass, clusters: int, where: str, taken: dict[str, str]) -> None:
    """Raise for numbers that are out of range, or named before by this or another entry."""
    for kind, numbers in (("cluster", entry.clusters), ("node", entry.nodes)):
        for number in numbers:
            end = clusters if kind == "cluster" else 2 * MOST_CENTROIDS
            if not 0 <= number < end:
                known = f"0 to {end - 1}" if kind == "cluster" else "0 or more"
                raise ConfigError(f"{where}: there is no {kind} {shown(number)}; give {known}")
            claim = f"{kind} {number}"
            if claim in taken:
                raise ConfigError(
                    f"{where}: {claim} is named twice, {taken[claim]!r} and {entry.name!r}; remove "
                    "it from one of them"
                )
            taken[claim] = entry.name


def _check_agreement(names: ClassNames) -> None:
    """Raise if entries of one name, which form one class, contradict each other."""
    colours: dict[str, str] = {}
    ignored: dict[str, bool] = {}
    for entry in names.classes:
        if ignored.setdefault(entry.name, entry.ignore) != entry.ignore:
            raise ConfigError(
                f"{names.origin}: only some entries of class {entry.name!r} have ignore = true; "
                "make them agree, or merge them"
            )
        colour = entry.colour.lower()
        if colour and colours.setdefault(entry.name, colour) != colour:
            raise ConfigError(
                f"{names.origin}: class {entry.name!r} has two colours, {colours[entry.name]} and "
                f"{colour}; keep one"
            )


def _quoted(text: str) -> str:
    """A TOML basic string; names contain no control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
