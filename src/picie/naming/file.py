"""Changes in a classes.toml that leave what people wrote there as it is: comments, order, form."""

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

_Key = tuple[str, int]  # a name, and how many entries of it came before

_ENTRY = re.compile(r"[ \t]*\[\[\s*['\"]?classes['\"]?\s*\]\]")


def edited(text: str, names: ClassNames) -> str:
    """The text of a classes.toml after a change.

    Entries are found by their names. Those that are new are added at the end; of those that are
    gone the comments after them stay, since they tend to be about the next entry.

    Args:
        text: a valid classes.toml, or "".
        names: what it shall say; entries that stay are in the order of the text.
    """
    if not text.strip():
        text = f"{text}{HEADER}clusters = {names.clusters}\n"
    document = tomlkit.parse(text)
    if document["clusters"] != names.clusters:
        document["clusters"] = names.clusters
    entries: Any = document.get("classes", [])
    wanted = dict(_keyed(names.classes, lambda one: one.name))
    old = list(_keyed(entries, lambda entry: str(entry["name"])))
    gone = [place for place, (key, _) in enumerate(old) if key not in wanted]
    known = {key for key, _ in old}
    new = [one for key, one in wanted.items() if key not in known]
    if "classes" in document and not isinstance(entries, AoT):  # classes = [{...}, ...]
        for key, entry in old:
            entry.update(_update(entry, wanted[key]) if key in wanted else {})
        for place in reversed(gone):
            del entries[place]
        for one in new:
            entries.append(_inline(one))
        return tomlkit.dumps(document)
    more = [_update(entry, wanted[key]) if key in wanted else {} for key, entry in old]
    head, *tables = _tables(tomlkit.dumps(document))
    for place, table in enumerate(tables):
        end = _end(table)
        if place in gone:
            table[:end] = []
            if not any(line.strip() for line in table):
                table.clear()
        elif more[place]:
            table[end - 1] = table[end - 1].rstrip("\n") + "\n"
            table[end:end] = [f"{key} = {_value(value)}\n" for key, value in more[place].items()]
    kept = "".join(line for lines in (head, *tables) for line in lines)
    added = "".join("\n" + entry_text(one) for one in new)
    return kept.rstrip("\n") + "\n" + added if added else kept


def _keyed(items: Iterable[Any], name: Any) -> Iterable[tuple[_Key, Any]]:
    seen: Counter[str] = Counter()
    for item in items:
        own = name(item)
        yield (own, seen[own]), item
        seen[own] += 1


def _update(entry: Any, one: NamedClass) -> dict[str, Any]:
    """Change the keys that are there; what is returned is still to be added."""
    wanted = {
        "colour": one.colour,
        "clusters": list(one.clusters),
        "nodes": list(one.nodes),
        "ignore": one.ignore,
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
    if set(numbers) & set(array):  # else nothing of it stays
        for place in reversed(range(len(array))):
            if array[place] not in numbers:
                del array[place]
        for number in numbers:
            if number not in array:
                array.append(number)
    if list(array) != numbers:
        entry[key] = numbers


def _inline(one: NamedClass) -> Any:
    table = tomlkit.inline_table()
    values = {"name": one.name, "colour": one.colour, "clusters": list(one.clusters)}
    for key, value in (values | {"nodes": list(one.nodes), "ignore": one.ignore}).items():
        if value or key == "clusters":
            table[key] = value
    return table


def _tables(text: str) -> list[list[str]]:
    """The lines before the first [[classes]], and those from each on."""
    parts: list[list[str]] = [[]]
    for line in text.splitlines(keepends=True):
        if _ENTRY.match(line):
            parts.append([])
        parts[-1].append(line)
    return parts


def _end(lines: list[str]) -> int:
    """Where a table ends, and only comments and blank lines follow."""
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
    """Write a classes.toml, and keep what was there.

    Args:
        folder: the run folder.
        text: the new file.

    Returns:
        False if it says that already, and nothing was written.

    Raises:
        PicieError: it cannot be written; the old file is still there.
    """
    path = folder / CLASSES_FILE
    before = path.read_bytes() if path.exists() else b""
    if before == text.encode():
        return False
    kept = folder / HISTORY_FOLDER / f"{max(_numbers(folder), default=0) + 1:04d}.toml"
    with writing(kept):
        kept.parent.mkdir(exist_ok=True)
    write_atomically(kept, before)
    try:
        write_atomically(path, text.encode())
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    return True


def undo_classes(folder: Path) -> int:
    """Bring back the classes.toml before the last change; what is there now becomes undone.toml.

    Args:
        folder: the run folder.

    Returns:
        how many more changes can be undone.

    Raises:
        ConfigError: there is no change to undo.
        PicieError: a file cannot be written.
    """
    path, numbers = folder / CLASSES_FILE, _numbers(folder)
    if not numbers:
        raise ConfigError(
            f"{folder}: no change of names to undo; they are kept from the first picie name on"
        )
    kept = folder / HISTORY_FOLDER / f"{max(numbers):04d}.toml"
    before = kept.read_bytes()
    if path.exists():
        write_atomically(kept.with_name(_UNDONE), path.read_bytes())
    if before:
        write_atomically(path, before)
    with writing(path):
        if not before:
            path.unlink(missing_ok=True)
        kept.unlink()
    return len(numbers) - 1


def _numbers(folder: Path) -> list[int]:
    return [
        int(path.stem)
        for path in (folder / HISTORY_FOLDER).glob("*.toml")
        if path.stem.isdecimal() and path.stem.isascii()
    ]
