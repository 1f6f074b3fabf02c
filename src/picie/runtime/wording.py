"""What values a setting takes, in plain words, for messages about those that it does not take."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

__all__ = ["in_words", "plain_problem", "suggest_value"]

_WORDS = {
    "finite_number": "give a finite number",
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give {ge} or more",
    "less_than": "give less than {lt}",
    "less_than_equal": "give {le} or less",
    "literal_error": "give {expected}",
    "missing": "is missing; add it",
    "multiple_of": "give a multiple of {multiple_of}",
    "string_too_long": "give at most {max_length} characters",
    "string_too_short": "give a text that is not empty",
    "too_long": "give at most {max_length} entries",
    "too_short": "give at least {min_length}",
}
_KINDS = {
    "bool": "true or false",
    "dataclass": "a table",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a table",
    "string": "text in quotes",
    "tuple": "a list",
}


def in_words(kind: Any, limits: Mapping[str, Any]) -> str:
    """What values a type takes within limits.

    Args:
        kind: bool, str, int, float, a Literal, or a tuple of numbers.
        limits: those of pydantic: ge or gt and le or lt of a number, and perhaps multiple_of;
            max_length of others.

    Example:
        >>> in_words(int, {"ge": 2, "le": 4096})
        'a whole number from 2 to 4096'
        >>> in_words(float, {"gt": 0, "le": 1})
        'a number above 0 to 1'
    """
    most = limits.get("max_length")
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if kind is str:
        return f"text of at most {most} characters"
    if kind in (int, float):
        return _number(kind, limits)
    return f"a list of at most {most} {'whole ' * (int in get_args(kind))}numbers"


def _number(kind: type, limits: Mapping[str, Any]) -> str:
    words = "a whole number" if kind is int else "a number"
    if "multiple_of" in limits:
        words = f"a multiple of {limits['multiple_of']}"
    limits = dict(limits)
    if kind is int and "lt" in limits:
        limits["le"] = limits["lt"] - 1
    low = f"from {_plain(limits['ge'])}" if "ge" in limits else f"above {_plain(limits['gt'])}"
    high = f"to {_plain(limits['le'])}" if "le" in limits else f"to below {_plain(limits['lt'])}"
    return f"{words} {low} {high}"


def _plain(limit: float) -> str:
    return str(int(limit) if limit == int(limit) else limit)


def plain_problem(item: Any) -> str:
    """What a value should be instead, of a problem that pydantic found.

    Args:
        item: one of `ValidationError.errors()`.
    """
    kind = str(item["type"])
    if kind in _WORDS:
        return _WORDS[kind].format(**item.get("ctx", {}))
    first = kind.partition("_")[0]
    if first in _KINDS:
        return f"give {_KINDS[first]}"
    return str(item["msg"]).removeprefix("Value error, ")


def suggest_value(given: Any, known: Sequence[str]) -> str:
    """A hint for an unknown value: the nearest known one, and all of them.

    Example:
        >>> suggest_value("bset", ("default", "best"))
        "did you mean 'best'? Known: default, best"
    """
    text = given[:100].lower() if isinstance(given, str) else ""
    near = difflib.get_close_matches(text, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {near[0]!r}? Known: {listed}" if near else f"known: {listed}"
