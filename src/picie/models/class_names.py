"""Clusters that got names: the records, and the file classes.toml that holds them.

    clusters = 27              # the cut that cluster numbers refer to

    [[classes]]
    name = "road"
    colour = "#804080"         # optional
    clusters = [7, 12]         # cluster numbers of that cut
    nodes = [70]               # nodes of the tree, with everything below them
    ignore = false             # true: its pixels are void in masks

Entries of one name are one class. The order of the classes is that of their ids in masks; a class
that has no clusters yet keeps its id.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from picie.errors import ConfigError
from picie.runtime.files import write_atomically
from picie.types import IGNORED

__all__ = [
    "HEADER",
    "IGNORED",
    "ClassNames",
    "NamedClass",
    "check_colour",
    "check_name",
    "entry_text",
    "parse_classes",
    "read_classes",
    "write_classes",
]

_RESERVED = re.compile(r"cluster \d+")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


def check_name(name: str, where: str, *, ignore: bool = False) -> None:
    """Refuse a name that masks, lists and command lines could not carry.

    Args:
        name: of a class.
        where: start of the message.
        ignore: whether its pixels are void.

    Raises:
        ConfigError: it is empty, has more than one line, or is reserved.
    """
    if not name.strip():
        raise ConfigError(f"{where}: the name is empty; give it a name, or remove the entry")
    if name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"{where}: the name {name!r} begins or ends with a space, or holds a line break or a "
            "control character; correct it"
        )
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} is what clusters without a name are called; choose another name"
        )
    if name == "ignore" and not ignore:
        raise ConfigError(
            f"{where}: the name 'ignore' is for pixels that are void; add ignore = true, or choose "
            "another name"
        )


def check_colour(colour: str, where: str) -> None:
    """Refuse what is no colour.

    Raises:
        ConfigError: not of the form "#rrggbb".
    """
    if not _COLOUR.fullmatch(colour):
        raise ConfigError(
            f'{where}: {colour!r} is no colour; give red, green and blue like "#804080"'
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
        name: what people call it; one line.
        clusters: cluster numbers of the cut.
        nodes: nodes of the tree of P centroids, as scipy numbers them: 0..P-1 are single centroids,
            P + i is what row i of the linkage joins.
        colour: "#rrggbb" in masks; "" = one of the palette.
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
        origin: where they were read, for messages.

    Raises:
        ConfigError: an empty or reserved name, a colour that is none, a number below 0 or beyond
            the cut, entries of one name that contradict each other, or a cluster or node that is
            named twice.

    Example:
        >>> names = ClassNames.of(27, {"road": [7, 12], "building": [3]})
        >>> [one.name for one in names.merged]
        ['road', 'building']
    """

    clusters: int
    classes: tuple[NamedClass, ...] = ()
    origin: str = field(default="class names", compare=False)

    def __post_init__(self) -> None:
        if self.clusters < 2:
            raise ConfigError(f"{self.origin}: clusters = {self.clusters}; give 2 or more")
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
            names: cluster numbers of each class, in the order of the ids in masks.
        """
        return cls(clusters, tuple(NamedClass(name, tuple(ids)) for name, ids in names.items()))

    @property
    def merged(self) -> tuple[NamedClass, ...]:
        """The classes, entries of one name joined at the place of the first."""
        found: dict[str, NamedClass] = {}
        for one in self.classes:
            old = found.get(one.name, NamedClass(one.name))
            found[one.name] = NamedClass(
                one.name,
                old.clusters + one.clusters,
                old.nodes + one.nodes,
                old.colour or one.colour,
                one.ignore,
            )
        return tuple(found.values())


def read_classes(path: Path) -> ClassNames:
    """Read a classes.toml.

    Raises:
        ConfigError: it cannot be read, is no TOML, has unknown keys or wrong types, or says what
            `ClassNames` refuses; the message names the file and the entry.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    return parse_classes(text, path)


def parse_classes(text: str, path: Path) -> ClassNames:
    """What the text of a classes.toml says.

    Args:
        text: TOML.
        path: the file it is of, for messages.

    Raises:
        ConfigError: as `read_classes`.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    _check_keys(values, ("clusters", "classes"), str(path))
    if "clusters" not in values:
        raise ConfigError(
            f"{path}: says not which cut the cluster numbers refer to; add clusters = 27 (or "
            "whatever number of clusters it is) at the top"
        )
    clusters = _typed(values["clusters"], int, "clusters", "a whole number", str(path))
    entries = _typed(values.get("classes", []), list, "classes", "[[classes]] entries", str(path))
    classes = [_entry(entry, number, path) for number, entry in enumerate(entries, 1)]
    return ClassNames(clusters, tuple(classes), str(path))


def write_classes(path: Path, names: ClassNames) -> None:
    """Write a classes.toml that reads back the same; an existing one is replaced whole.

    Raises:
        PicieError: it cannot be written.
    """
    entries = "".join("\n" + entry_text(one) for one in names.classes)
    write_atomically(path, f"{HEADER}clusters = {names.clusters}\n{entries}".encode())


def entry_text(one: NamedClass) -> str:
    """The lines of one [[classes]] entry."""
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
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(known)}")


def _typed(value: Any, kind: type, key: str, wanted: str, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: {key} = {value!r} cannot be used; give {wanted}")
    return value


def _numbers(values: Any, key: str, where: str) -> tuple[int, ...]:
    wanted = "whole numbers like [7, 12]"
    _typed(values, list, key, wanted, where)
    return tuple(_typed(value, int, key, wanted, where) for value in values)


def _check_numbers(one: NamedClass, clusters: int, where: str, taken: dict[str, str]) -> None:
    """Numbers that cannot be, or that another entry (or this one) has already."""
    for kind, numbers in (("cluster", one.clusters), ("node", one.nodes)):
        for number in numbers:
            if number < 0 or (kind == "cluster" and number >= clusters):
                known = f"0 to {clusters - 1}" if kind == "cluster" else "0 or more"
                raise ConfigError(f"{where}: there is no {kind} {number}; give {known}")
            claim = f"{kind} {number}"
            if claim in taken:
                raise ConfigError(
                    f"{where}: {claim} is named twice, {taken[claim]!r} and {one.name!r}; leave "
                    "it to one of them"
                )
            taken[claim] = one.name


def _check_agreement(names: ClassNames) -> None:
    """Entries of one name are one class, so they must say the same."""
    colours: dict[str, str] = {}
    ignored: dict[str, bool] = {}
    for one in names.classes:
        if ignored.setdefault(one.name, one.ignore) != one.ignore:
            raise ConfigError(
                f"{names.origin}: entries of class {one.name!r} say both ignore = true and not; "
                "make them agree, or join them"
            )
        colour = one.colour.lower()
        if colour and colours.setdefault(one.name, colour) != colour:
            raise ConfigError(
                f"{names.origin}: class {one.name!r} has two colours, {colours[one.name]} and "
                f"{colour}; keep one"
            )


def _quoted(text: str) -> str:
    """A TOML basic string; names hold no control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
