r"""Read the lists of a user: class names, splits, and lists of data sets. One reader for all.

A list is a text file with one entry per line: UTF-8, or UTF-16 or UTF-32 with a byte order mark;
lines end with LF, CR LF or CR. Blank lines, and lines that begin with # are no entries. A backslash
at the start of a line makes the rest of it an entry, whatever it looks like: `\#road`.

The position of a class name is the id in masks, so a line that is misread would move all names
below it. Whatever looks like a column, a header or a comment of another kind is therefore refused,
except for a first column that counts the ids 0, 1, ...: `0: sky`, `0,sky` and `0 sky` mean `sky`.
"""

import codecs
import re
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from picie.errors import DataError
from picie.runtime.files import open_regular
from picie.runtime.storage import local_copy
from picie.types import VOID

__all__ = ["class_lines", "read_class_names", "read_entries"]

_BOMS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"#(?!\w)")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]")
_INDEX = re.compile(r"[\[(]?(-?\d+)[\])]?(?:\s*([:,;=|\t])|[-.)]?\s)\s*(\S.*)")
_IDS = "ids?|idx|index|no|nr|number|value|(?:class|category|label|train|pixel)[ _-]?(?:id|value)"
_NAMES = "names?|class(?:es)?|labels?|categor(?:y|ies)|(?:class|category|label)[ _-]?names?"
_HEADER = re.compile(
    rf"(?:{_NAMES}):?|(?:{_IDS}|{_NAMES})(?:\s*[,;|\t].*|(?::|\s)\s*(?:{_IDS}|{_NAMES})\b.*)", re.I
)
_FOREIGN = re.compile(r"//|;|%|<!--|--|[-*]\s|[\[{]\s*[\"'{]|#\w")
_TRAILING = re.compile(r".*(?:[,;:=|\t]\s*\d+|(?:\s+\d+){3})")


def read_entries(path: Path | str, known: Container[str] = ()) -> list[str]:
    """The entries of a list, without the spaces around them.

    Args:
        path: a list file, or its address.
        known: entries that exist. A line that is one of them, as it stands, is an entry even if it
            has spaces around it or begins with # or with a backslash.

    Raises:
        DataError: the file cannot be read or is not text, or a line is a comment as well as an
            entry.
    """
    entries = []
    for number, line in enumerate(_lines(path), 1):
        if line in known and line.strip():
            if line.startswith("#") and line[1:].strip() in known:
                raise DataError(
                    f"{path}: line {number} {line!r} is an entry or a comment; write \\{line} for "
                    f"the entry, or '# {line[1:].strip()}' for a comment"
                )
            entries.append(line)
        elif (entry := line.strip()) and not entry.startswith("#"):
            entries.append(entry.removeprefix("\\"))
    return entries


def read_class_names(path: Path | str) -> tuple[str, ...]:
    """The class names of a list, in the order of their ids.

    Raises:
        DataError: the file cannot be read or is not text, lists no class, one twice or more than
            masks can hold, or holds a line that may not be a class name.
    """
    names = _class_names(_lines(path), str(path))
    if len(names) > VOID:
        raise DataError(f"{path}: lists {len(names)} classes; masks can hold at most {VOID}")
    return names


def class_lines(names: Sequence[str]) -> str:
    """The text of a list that is read as these names; with backslashes only if it needs them.

    Args:
        names: of classes, each in one line.
    """
    plain = "".join(f"{name}\n" for name in names)
    try:
        if _class_names(plain.split("\n"), "") == tuple(names):
            return plain
    except DataError:
        pass
    return "".join(f"\\{name}\n" for name in names)


def _lines(path: Path | str) -> list[str]:
    """The lines of a text file."""
    try:
        with local_copy(path) as copy, open_regular(copy) as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); correct it") from None
    found = (encoding for mark, encoding in _BOMS.items() if content.startswith(mark))
    try:
        text = content.decode(next(found, "utf-8"))
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise DataError(f"{path}: cannot be read (it is not UTF-8 text); save it as UTF-8")
    return _LINE_END.split(text)


def _class_names(lines: Sequence[str], where: str) -> tuple[str, ...]:
    stripped = [line.strip() for line in lines]
    places = [n for n, line in enumerate(stripped) if line and not _COMMENT.match(line)]
    if not places:
        raise DataError(f"{where}: lists no class; write one class name per line")
    blank = [n for n in range(places[0], places[-1]) if not stripped[n]]
    if blank:
        raise DataError(
            f"{where}: line {blank[0] + 1} is empty; write one class name per line, or remove it"
        )
    entries = {n + 1: stripped[n] for n in places}
    plain = {n: line for n, line in entries.items() if not line.startswith("\\")}
    _refuse_foreign(plain, where)
    indexed = {n: found for n, line in plain.items() if (found := _INDEX.fullmatch(line))}
    if len(indexed) == len(entries):
        entries = _without_index(indexed, where)
    else:
        for n, found in indexed.items():
            if found[2]:
                _refuse(n, plain[n], where, "has a number before the name and other lines do not")
    names = {n: line.removeprefix("\\") for n, line in entries.items()}
    _check_names(names, where)
    return tuple(names.values())


def _refuse_foreign(lines: dict[int, str], where: str) -> None:
    """Refuse what belongs to another kind of file."""
    for n, line in lines.items():
        if _FOREIGN.match(line):
            hint = "; a comment begins with # and a space" if line[0] not in "[{" else ""
            _refuse(n, line, where, f"may be a comment or markup{hint}")
        if re.search(r"\s#(\s|$)", line):
            _refuse(n, line, where, "has a comment behind the name; give it a line of its own")
    first = next(iter(lines.items()), None)
    if first is not None and _HEADER.fullmatch(first[1]):
        _refuse(*first, where, "looks like a header; remove it")
    if lines and all(_TRAILING.fullmatch(line) for line in lines.values()):
        _refuse(*next(iter(lines.items())), where, "ends with numbers; write the names alone")
    if len(lines) == 1 and first is not None and len(re.split(r"[,;|]", first[1])) > 2:
        _refuse(*first, where, "lists several names; write one class name per line")


def _without_index(indexed: dict[int, re.Match[str]], where: str) -> dict[int, str]:
    numbers = [int(found[1]) for found in indexed.values()]
    for n, (place, found) in enumerate(indexed.items()):
        if numbers[n] != n:
            _refuse(
                place,
                found[0],
                where,
                f"begins with the number {numbers[n]}, but is the name of id {n}; write the names "
                "of the ids 0, 1, ... alone",
            )
    return {n: found[3] for n, found in indexed.items()}


def _check_names(names: dict[int, str], where: str) -> None:
    for n, name in names.items():
        if not name:
            raise DataError(f"{where}: line {n} holds no name; write one class name per line")
        if found := _INVISIBLE.search(name):
            raise DataError(
                f"{where}: line {n} {name!r} holds {found[0]!r}; write one class name per line, "
                "without tabs and invisible characters"
            )
    repeated = [name for name, times in Counter(names.values()).items() if times > 1]
    if repeated:
        name = repeated[0]
        first, second = [n for n, other in names.items() if other == name][:2]
        raise DataError(f"{where}: lines {first} and {second} are both {name!r}; make names unique")


def _refuse(number: int, line: str, where: str, problem: str) -> None:
    raise DataError(
        f"{where}: line {number} {line!r} {problem} (or write \\{line} if that is the name of a "
        "class)"
    )
