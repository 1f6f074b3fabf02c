"""Edit a classes.toml without changing comments, order or formatting."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT

from picie.errors import ConfigError
from picie.models.class_names import (
    HEADER,
    ClassNames,
    NamedClass,
    classes_text,
    entry_text,
    parse_classes,
)
from picie.runs import CLASSES_FILE

__all__ = ["edited", "retitled"]

_Key = tuple[str, int]  # a name, and the number of earlier entries of that name

_ENTRY = re.compile(r"[ \t]*\[\[\s*['\"]?classes['\"]?\s*\]\]")


def edited(text: str, names: ClassNames) -> str:
    """The text of a classes.toml after a change.

    Entries are matched by name, and keep the comments above them when their order changes. Comments
    above a removed entry stay, because they usually belong to the next entry too.

    Args:
        text: a valid classes.toml, or "".
        names: the wanted content.
    """
    if not text.strip():
        text = f"{text}{HEADER}clusters = {names.clusters}\n"
    if _reads_as(text, names):
        return text
    document = tomlkit.parse(text)
    if document["clusters"] != names.clusters:
        document["clusters"] = names.clusters
    entries: Any = document.get("classes", [])
    wanted = dict(_keyed(names.classes, lambda named_class: named_class.name))
    old = dict(_keyed(entries, lambda entry: str(entry["name"])))
    more = {key: _update(entry, wanted[key]) for key, entry in old.items() if key in wanted}
    if "classes" in document and not isinstance(entries, AoT):  # classes = [{...}, ...]
        for key, missing in more.items():
            old[key].update(missing)
        _arrange(entries, list(old), wanted)
        found = tomlkit.dumps(document)
    else:
        found = _joined(_tables(tomlkit.dumps(document)), list(old), wanted, more)
    # Of a file whose form cannot be kept, the history has the old one.
    return found if _reads_as(found, names) else classes_text(names)


def retitled(text: str, old: str, new: str) -> str:
    """The text of a classes.toml in which the entries of one name have another.

    Args:
        text: a valid classes.toml, or "".
        old: the name; there may be no such entry.
        new: what takes its place.
    """
    document = tomlkit.parse(text)
    entries: Any = document.get("classes", [])
    for entry in entries:
        if entry["name"] == old:
            entry["name"] = new
    return tomlkit.dumps(document)


def _joined(
    parts: list[list[str]],
    old: list[_Key],
    wanted: Mapping[_Key, NamedClass],
    more: Mapping[_Key, Mapping[str, Any]],
) -> str:
    """The text of the wanted entries in their order.

    Args:
        parts: from `_tables`.
        old: the keys of its entries.
        wanted: the entries by key.
        more: for each entry that stays, the keys and values to add.
    """
    head, *tables = parts
    above, bodies = [head[_end(head) :]], list[list[str]]()
    for table in tables:
        end = _end(table)
        bodies.append(table[:end])
        above.append(table[end:])
    kept: dict[_Key, str] = {}
    lines: list[str] = []
    for key, body, comments in zip(old, bodies, above[:-1], strict=False):
        lines = _above(lines, comments)
        if key in wanted:
            added = [f"{name} = {_value(value)}\n" for name, value in more[key].items()]
            kept[key] = "".join([*lines, *_ended(body), *added])
            lines = []
    last = ([None, *(key for key in wanted if key in kept)])[-1]
    tail = "".join(_above(lines, above[-1]))
    text = "".join(_ended(head[: _end(head)])) + ("" if kept else tail)
    for key, named_class in wanted.items():
        if key in kept:
            text += kept[key] + (tail if key == last else "")
        else:
            text = text.rstrip("\n") + "\n\n" + entry_text(named_class)
    return text


def _above(left: list[str], comments: list[str]) -> list[str]:
    """What is above an entry: what removed entries left, and its own comments."""
    blank = not any(line.strip() for line in comments)
    return left if left and blank else left + comments


def _ended(lines: list[str]) -> list[str]:
    """The same lines, the last with a line break."""
    return [*lines[:-1], lines[-1].rstrip("\n") + "\n"] if lines else []


def _arrange(entries: Any, old: list[_Key], wanted: Mapping[_Key, NamedClass]) -> None:
    """Give a list of inline tables the wanted entries in their order."""
    for place in reversed(range(len(old))):
        if old[place] not in wanted:
            del entries[place], old[place]
    for place, (key, named_class) in enumerate(wanted.items()):
        if place < len(old) and old[place] == key:
            continue
        entry = _inline(named_class)
        if key in old:
            earlier = old.index(key)
            entry = entries[earlier]
            del entries[earlier], old[earlier]
        entries.insert(place, entry)
        old.insert(place, key)


def _reads_as(text: str, names: ClassNames) -> bool:
    try:
        return parse_classes(text, Path(CLASSES_FILE)) == names
    except ConfigError:
        return False


def _keyed(items: Iterable[Any], name: Any) -> Iterable[tuple[_Key, Any]]:
    counts: Counter[str] = Counter()
    for item in items:
        key = name(item)
        yield (key, counts[key]), item
        counts[key] += 1


def _update(entry: Any, named_class: NamedClass) -> dict[str, Any]:
    """Update the existing keys; return the missing ones, which the caller adds."""
    wanted = {
        "colour": named_class.colour,
        "clusters": list(named_class.clusters),
        "nodes": list(named_class.nodes),
        "ignore": named_class.ignore,
    }
    missing = {}
    for key, value in wanted.items():
        if key not in entry:
            if value:
                missing[key] = value
        elif isinstance(value, list):
            _update_numbers(entry, key, value)
        elif not value:
            del entry[key]
        elif entry[key] != value:
            entry[key] = value
    return missing


def _update_numbers(entry: Any, key: str, numbers: list[int]) -> None:
    array = entry[key]
    if set(numbers) & set(array):  # otherwise the whole array is replaced
        for place in reversed(range(len(array))):
            if array[place] not in numbers:
                del array[place]
        for number in numbers:
            if number not in array:
                array.append(number)
    if list(array) != numbers:
        entry[key] = numbers


def _inline(named_class: NamedClass) -> Any:
    table = tomlkit.inline_table()
    values = {
        "name": named_class.name,
        "colour": named_class.colour,
        "clusters": list(named_class.clusters),
    }
    for key, value in (
        values | {"nodes": list(named_class.nodes), "ignore": named_class.ignore}
    ).items():
        if value or key == "clusters":
            table[key] = value
    return table


def _tables(text: str) -> list[list[str]]:
    """The lines before the first [[classes]], then the lines of each entry."""
    parts: list[list[str]] = [[]]
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if _ENTRY.match(line):
            parts.append([])
        parts[-1].append(line)
    return parts


def _end(lines: list[str]) -> int:
    """The number of lines up to the last one that is neither a comment nor blank."""
    end = len(lines)
    while end and lines[end - 1].strip()[:1] in ("", "#"):
        end -= 1
    return end


def _value(value: Any) -> str:
    return str(tomlkit.item(value).as_string())
