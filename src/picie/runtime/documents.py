"""Small TOML and JSON files from anywhere: read within limits, and errors that name the file."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from picie.errors import ConfigError, PicieError
from picie.runtime.files import open_regular
from picie.runtime.printable import printable, shown

__all__ = [
    "MOST_BYTES",
    "MOST_DEPTH",
    "parse_object",
    "parse_toml",
    "read_json",
    "read_text",
    "read_toml",
]

MOST_BYTES = 2_000_000
"""Largest file that is read, in bytes; the largest that picie writes have some 100,000."""

MOST_DEPTH = 16
"""Deepest nesting of tables and lists; picie writes at most 4."""

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
# The parser takes hours for long chains of keys such as a.a.a.a.
_CHAIN = re.compile(rf"(?<![\w.-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_DEPTH}}}")


def read_text(path: Path, error: type[PicieError] = ConfigError, *, most: int = MOST_BYTES) -> str:
    """The text of a file; a byte order mark at its beginning is left out.

    Args:
        path: a regular file, UTF-8.
        error: the kind of error to raise.
        most: largest file, in bytes.

    Raises:
        PicieError: of the given kind; the message names the file.
    """
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as problem:  # ValueError: a path with a null byte
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read ({reason}); check the path") from None
    if len(data) > most:
        raise error(
            f"{path}: is larger than {most / 1e6:g} MB, which no such file needs; check "
            "that it is the right file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: is not valid UTF-8 text ({problem}); correct it") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML; the message names it.
    """
    return parse_toml(read_text(path), path)


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The content of TOML text.

    Args:
        text: TOML.
        path: its file, for messages.

    Raises:
        ConfigError: it is not TOML, or nested too deeply.
    """
    try:
        if _CHAIN.search(text):
            raise RecursionError
        values = tomllib.loads(text.removeprefix("\ufeff"))
        _check_depth(values)
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply; flatten it") from None
    except ValueError as problem:  # also numbers of thousands of digits
        reason = printable(str(problem))
        raise ConfigError(f"{path}: is not valid TOML ({reason}); correct it") from None
    return values


def read_json(
    path: Path, error: type[PicieError] = ConfigError, *, most: int = MOST_BYTES
) -> dict[str, Any]:
    """The content of a JSON file that holds one object.

    Args:
        path: the file.
        error: the kind of error to raise.
        most: largest file, in bytes.

    Raises:
        PicieError: of the given kind: the file cannot be read, is not JSON, is nested too deeply,
            holds another value, or one key twice.
    """
    text = read_text(path, error, most=most)
    try:
        values = json.loads(text, object_pairs_hook=_unique)
        _check_depth(values)
    except RecursionError:
        raise error(f"{path}: is nested too deeply; flatten it") from None
    except ValueError as problem:
        reason = printable(str(problem))
        raise error(f"{path}: is not valid JSON ({reason}); correct it") from None
    if not isinstance(values, dict):
        raise error(f"{path}: holds {_KINDS[type(values)]} instead of a JSON object; correct it")
    return values


def parse_object(text: bytes) -> dict[str, Any] | None:
    """The content of a JSON object; None for anything else, such as half a line."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


_KINDS: dict[type, str] = {
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {shown(name)} occurs twice")
        values[name] = value
    return values


def _check_depth(values: Any, depth: int = 0) -> None:
    """Raise RecursionError for values nested too deeply."""
    if depth > MOST_DEPTH:
        raise RecursionError
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            _check_depth(value, depth + 1)
