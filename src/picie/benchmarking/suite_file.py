"""Reading a suite, and checking all of it but the pictures before anything runs."""

import inspect
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from picie.benchmarking.suite import (
    ELSEWHERE,
    Data,
    Grid,
    Part,
    Published,
    Suite,
    Synthetic,
    System,
    check_settings,
)
from picie.config import Config, suggest
from picie.data.images import check_size
from picie.errors import ConfigError
from picie.evaluation.scoring import evaluate

__all__ = ["read_suite"]

_NOT_PROTOCOL = {"model", "data", "split", "dataset", "reporter"}
"""Parameters of `evaluate` that the benchmark itself gives."""

_MOST_TOLD = 3  # problems in one message


def read_suite(path: Path) -> Suite:
    """Read a suite and check all of it but the pictures.

    Raises:
        ConfigError: no such file, broken TOML, an unknown key (the nearest one is proposed), a
            name that occurs twice, or a value that is impossible.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    if "path" in values:
        raise ConfigError(f"{path}: unknown key 'path'; {suggest('path', _keys(Suite))}")
    try:
        suite = Suite(path=path, **values)
        check_settings(set(suite.defaults))
    except ValidationError as error:
        raise ConfigError(f"{path}: {_problems(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: [defaults]: {error}") from None
    _check_names(suite)
    _check_protocol(suite)
    for data in suite.data:
        for system in suite.systems:
            for seed in {*suite.grid.seeds, *system.seeds}:
                suite.config(system, data, seed=seed, backbone=suite.grid.backbones[0])
    return suite


def _check_names(suite: Suite) -> None:
    known = [data.name for data in suite.data]
    for kind, names in (("data", known), ("systems", [one.name for one in suite.systems])):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigError(
                f"{suite.path}: [[{kind}]] name {repeated[0]!r} occurs twice; make names unique"
            )
    for one in suite.published:
        if one.data not in known:
            raise ConfigError(
                f"{suite.path}: [[published]] data {one.data!r} is not in [[data]]; "
                f"{suggest(one.data, known)}"
            )


def _check_protocol(suite: Suite) -> None:
    """Refuse before training what `evaluate` would refuse after it."""
    parameters = inspect.signature(evaluate).parameters
    known = [name for name in parameters if name not in _NOT_PROTOCOL]
    hints = get_type_hints(evaluate)
    for name, value in suite.evaluate.items():
        where = f"{suite.path}: [evaluate] {name}"
        if name not in known:
            raise ConfigError(f"{where}: unknown key; {suggest(name, known)}")
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"]
            raise ConfigError(f"{where} = {value!r}: {message}") from None
        if isinstance(value, int) and value < 0:
            raise ConfigError(f"{where} = {value}: give 0 or more")
    if "size" in suite.evaluate:
        try:
            check_size(suite.evaluate["size"])
        except ConfigError as error:
            raise ConfigError(f"{suite.path}: [evaluate] {error}") from None


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    # A list whose only entry is wrong counts as too short as well.
    told = [_problem(one) for one in found if one["type"] != "too_short" or not one["input"]]
    more = f"; and {len(told) - _MOST_TOLD} more" * (len(told) > _MOST_TOLD)
    return "; ".join(told[:_MOST_TOLD]) + more


def _problem(item: Any) -> str:
    """What pydantic found, in one clause that names the table."""
    place, last = _place(item["loc"]), item["loc"][-1] if item["loc"] else ""
    if item["type"] == "missing":
        return f"{place}: {last!r} is missing; add it"
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key {last!r}; {_nearest(str(last), item['loc'][:-1])}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{place}: {message}"
    name = ".".join(str(part) for part in item["loc"][place.count("[") :])
    return f"{place}: {name} = {item['input']!r}: {message}"


def _place(location: tuple[str | int, ...]) -> str:
    match location:
        case (str(table), int(number), *_):
            return f"[[{table}]] {number + 1}"
        case (str(table), _, *_):
            return f"[{table}]"
        case _:
            return "top level"


def _nearest(name: str, location: tuple[str | int, ...]) -> str:
    """What to say about an unknown key of the table at this place."""
    parts: dict[str, type[Part]] = {
        "data": Data,
        "systems": System,
        "grid": Grid,
        "published": Published,
        "synthetic": Synthetic,
    }
    names = [part for part in location if isinstance(part, str)]
    part = parts[names[-1]] if names else Suite
    settings = [*Config.model_fields] if "settings" in part.model_fields else []
    found = suggest(name, _keys(part) + [one for one in settings if one not in ELSEWHERE])
    if settings and found.startswith("known"):  # sixty names help nobody
        return f"known: {', '.join(_keys(part))}, and the settings in picie train --help"
    return found


def _keys(part: type[Part]) -> list[str]:
    hidden = "path" if part is Suite else "settings"  # not from the file
    return [name for name in part.model_fields if name != hidden]
