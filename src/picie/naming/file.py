"""Edit a classes.toml without changing comments, order or formatting, and undo edits."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT

from picie.errors import ConfigError
from picie.models.class_names import HEADER, ClassNames, NamedClass, entry_text
from picie.runs import CLASSES_FILE
from picie.runtime.files import write_atomically, writing

__all__ = ["HISTORY_FOLDER", "edited", "replace_classes", "undo_classes"]

_Key = tuple[str, int]  # a name, and the number of earlier entries of that name

_ENTRY = re.compile(r"[ \t]*\[\[\s*['\"]?classes['\"]?\s*\]\]")


def edited(text: str, names: ClassNames) -> str:
    """The text of a classes.toml after a change.

    Entries are matched by name. New ones are added at the end. Comments after a removed entry stay,
    because they usually belong to the next entry.

    Args:
        text: a valid classes.toml, or "".
        names: the wanted content; entries that stay are in the order of the text.
    """
    if not text.strip():
        text = f"{text}{HEADER}clusters = {names.clusters}\n"
    document = tomlkit.parse(text)
    if document["clusters"] != names.clusters:
        document["clusters"] = names.clusters
    entries: Any = document.get("classes", [])
    wanted = dict(_keyed(names.classes, lambda named_class: named_class.name))
    old = list(_keyed(entries, lambda entry: str(entry["name"])))
    removed = [place for place, (key, _) in enumerate(old) if key not in wanted]
    known = {key for key, _ in old}
    new = [named_class for key, named_class in wanted.items() if key not in known]
    if "classes" in document and not isinstance(entries, AoT):  # classes = [{...}, ...]
        for key, entry in old:
            entry.update(_update(entry, wanted[key]) if key in wanted else {})
        for place in reversed(removed):
            del entries[place]
        for named_class in new:
            entries.append(_inline(named_class))
        return tomlkit.dumps(document)
    more = [_update(entry, wanted[key]) if key in wanted else {} for key, entry in old]
    head, *tables = _tables(tomlkit.dumps(document))
    for place, table in enumerate(tables):
        end = _end(table)
        if place in removed:
            table[:end] = []
            if not any(line.strip() for line in table):
                table.clear()
        elif more[place]:
            table[end - 1] = table[end - 1].rstrip("\n") + "\n"
            table[end:end] = [f"{key} = {_value(value)}\n" for key, value in more[place].items()]
    remaining = "".join(line for lines in (head, *tables) for line in lines)
    added = "".join("\n" + entry_text(named_class) for named_class in new)
    return remaining.rstrip("\n") + "\n" + added if added else remaining


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
    for line in text.splitlines(keepends=True):
        if _ENTRY.match(line):
            parts.append([])
        parts[-1].append(line)
    return parts


def _end(lines: list[str]) -> int:
    """The number of lines up to the last one that is neither a comment nor blank."""
    end = len(lines)
    while lines[end - 1].strip()[:1] in ("", "#"):
        end -= 1
    return end


def _value(value: Any) -> str:
    return str(tomlkit.item(value).as_string())


HISTORY_FOLDER = "classes.history"
"""Name of the folder inside a run folder."""

_UNDONE = "undone.toml"


def replace_classes(folder: Path, text: str) -> bool:
    """Write a classes.toml, and keep the old version in its history.

    Args:
        folder: the run folder.
        text: the new file.

    Returns:
        False if the file had this text already; nothing is written then.

    Raises:
        PicieError: it cannot be written; the old file is unchanged.
    """
    path = folder / CLASSES_FILE
    before = path.read_bytes() if path.exists() else b""
    if before == text.encode():
        return False
    backup = folder / HISTORY_FOLDER / f"{max(_numbers(folder), default=0) + 1:04d}.toml"
    with writing(backup):
        backup.parent.mkdir(exist_ok=True)
    write_atomically(backup, before)
    try:
        write_atomically(path, text.encode())
    except BaseException:
        backup.unlink(missing_ok=True)
        raise
    return True


def undo_classes(folder: Path) -> int:
    """Restore the classes.toml before the last change; the current one becomes undone.toml.

    Args:
        folder: the run folder.

    Returns:
        the number of changes that can still be undone.

    Raises:
        ConfigError: there is no change to undo.
        PicieError: a file cannot be written.
    """
    path, numbers = folder / CLASSES_FILE, _numbers(folder)
    if not numbers:
        raise ConfigError(
            f"{folder}: nothing to undo; changes are recorded from the first picie name on"
        )
    backup = folder / HISTORY_FOLDER / f"{max(numbers):04d}.toml"
    before = backup.read_bytes()
    if path.exists():
        write_atomically(backup.with_name(_UNDONE), path.read_bytes())
    if before:
        write_atomically(path, before)
    with writing(path):
        if not before:
            path.unlink(missing_ok=True)
        backup.unlink()
    return len(numbers) - 1


def _numbers(folder: Path) -> list[int]:
    return [
        int(path.stem)
        for path in (folder / HISTORY_FOLDER).glob("*.toml")
        if path.stem.isdecimal() and path.stem.isascii()
    ]
