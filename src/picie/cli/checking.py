"""What the arguments of a verb lack, and which of them it does not know: one line for each."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from picie.cli.flags import Flag
from picie.config import Config, allowed, check_setting
from picie.errors import ConfigError
from picie.runtime.printable import shown
from picie.runtime.wording import suggest_value

__all__ = ["check_arguments"]

_NUMBERS = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers")}
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"
"""The hyphen, and what programs for texts make of it or of two of them."""
_NONE = "None"  # leaves out what has no other default
_SETTINGS = {name: name for name in Config.model_fields if name != "data"}
_SHARED = {"refine": "refine", "scales": "predict_scales", "seed": "seed", "size": "size"}
_SHARED |= {"reading": "reading", "workers": "workers"}
"""Fields of other verbs that take what a setting takes."""


def check_arguments(verb: str, args: Sequence[str], flags: Sequence[Flag]) -> None:
    """Refuse arguments that a verb cannot take, before they are parsed.

    Args:
        verb: its name.
        args: what follows it.
        flags: its flags and positional arguments.

    Raises:
        ConfigError: an unknown flag or value (with a suggestion), one that is no number where a
            number is wanted, too few or too many of them.
    """
    by_name = {name: flag for flag in flags for name in flag.names}
    places = [flag for flag in flags if flag.positional]
    free: list[str] = []
    given = set[str]()
    for name, values in _split(args, by_name):
        if not name:
            free += values
            continue
        flag = by_name.get(name)
        if flag is None:
            raise ConfigError(_unknown(verb, name, by_name))
        given.add(flag.name)
        _check_values(verb, flag, name, values)
    for place, word in zip(places, free, strict=False):
        _check_values(verb, place, place.name, [word])
    if len(free) > len(places):
        dashed = [word for word in free if word.startswith(tuple(_DASHES[1:]))]
        if dashed:
            raise ConfigError(_unknown(verb, dashed[0], by_name))
        raise ConfigError(_unexpected(verb, free[len(places)], places))
    given |= {flag.name for flag in places[: len(free)]}
    missing = [flag for flag in flags if flag.required and flag.name not in given]
    if missing:
        raise ConfigError(_missing(verb, missing, places))


def _split(args: Sequence[str], by_name: dict[str, Flag]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with its values, and "" with each word that belongs to none."""
    place = 0
    while place < len(args):
        word = args[place]
        place += 1
        if not _is_flag(word):
            yield "", [word]
            continue
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        values = [value] if equals else []
        flag = by_name.get(name)
        most = flag.most if flag is not None else 0
        while place < len(args) and not _is_flag(args[place]):
            if most is not None and len(values) >= most:
                break
            values.append(args[place])
            place += 1
        yield name, values


def _is_flag(word: str) -> bool:
    """Whether it is no value: -1 and - are."""
    return word.startswith("-") and len(word) > 1 and not _is_number(word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_values(verb: str, flag: Flag, name: str, values: Sequence[str]) -> None:
    if flag.kind is bool:
        if values:
            raise ConfigError(f"{name} takes no value; remove {shown(values[0])}")
        return
    known = _SETTINGS if verb == "train" else _SHARED
    setting = known.get(flag.field.split(".")[0], "")
    setting = flag.field if setting == "reading" else setting
    if list(values) == [_NONE] and flag.default is None and not flag.required:
        return
    if len(values) < max(1, flag.least):
        given = f", not {len(values)}" if values else ""
        raise ConfigError(f"{name} needs {_wanted(flag, setting)}{given}")
    for value in values:
        given = value if value.strip() else shown(value)
        if flag.choices and value not in flag.choices:
            raise ConfigError(f"{name} {given}: {suggest_value(value, flag.choices)}")
        if not _fits(flag.kind, value):
            raise ConfigError(f"{name} {given}: give {_wanted(flag, setting)}")
    if setting:
        found = tuple(flag.kind(value) for value in values)
        try:
            check_setting(setting, found[0] if flag.most == 1 else found)
        except ConfigError as error:
            raise ConfigError(f"{name} {' '.join(values)}: {error}") from None


def _fits(kind: Any, value: str) -> bool:
    """Whether a text can be a value; an empty path would be the working directory."""
    try:
        return kind(value) is not None if kind in _NUMBERS else kind is not Path or bool(value)
    except ValueError:
        return False


def _wanted(flag: Flag, setting: str) -> str:
    """What a flag takes, in words."""
    if setting and flag.kind is not str:
        return allowed(setting)
    if flag.choices:
        return f"one of {', '.join(flag.choices)}"
    what = "a path" if flag.kind is Path else "a value"
    one, several = _NUMBERS.get(flag.kind, (f"{what} ({flag.metavar})", "values"))
    return one if flag.most == 1 else f"{flag.most or 'one or more'} {several}"


def _unknown(verb: str, name: str, known: Iterable[str]) -> str:
    every = "--help-all" if verb == "train" else "--help"
    plain = f"--{name.lstrip(_DASHES)}".lower()
    near = difflib.get_close_matches(plain, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown option {name}; {hint}picie {verb} {every} shows all options"


def _unexpected(verb: str, word: str, places: Sequence[Flag]) -> str:
    taken = " and ".join(flag.name for flag in places)
    return (
        f"unexpected {shown(word)}: picie {verb} takes {taken}; put a path with spaces in quotes, "
        f"and see picie {verb} --help"
    )


def _missing(verb: str, missing: Sequence[Flag], places: Sequence[Flag]) -> str:
    parts = []
    for flag in missing:
        if not flag.positional:
            parts.append(f"{flag.name} {flag.metavar}".strip())
        else:  # of [RUN] PHOTOS the photos will do
            parts.append(places[-1].name if flag.name.startswith("[") else flag.name)
    pronoun = "it" if len(parts) == 1 else "them"
    return f"picie {verb} needs {' and '.join(parts)}; picie {verb} --help describes {pronoun}"
