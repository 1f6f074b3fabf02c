"""Suites: what a benchmark compares, described in one TOML file.

    title = "CamVid, 11 classes"
    [defaults]      settings of every run
    [[data]]        a labelled folder, or scenes to generate; optionally with its own settings
    [[systems]]     one row of the table: a preset and settings
    [grid]          seeds, backbones
    [evaluate]      protocol: arguments of `evaluate`
    [[published]]   published numbers to compare with

Settings are fields of `Config`. If several tables set one, the later in this order wins: preset,
defaults, data, system.
"""

import inspect
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from picie.config import DEFAULT_BACKBONE, Config, make_config, suggest
from picie.data.images import check_size
from picie.errors import ConfigError
from picie.evaluation.scoring import evaluate

__all__ = [
    "ELSEWHERE",
    "Data",
    "Grid",
    "Part",
    "Published",
    "Suite",
    "Synthetic",
    "System",
    "check_settings",
    "read_suite",
]

ELSEWHERE = {
    "data": "[[data]] path",
    "dataset": "[[data]] dataset",
    "split": "[[data]] train",
    "seed": "[grid] seeds",
    "backbone": "[grid] backbones",
}
"""Fields of `Config` that are set per run, and the suite's keys for them."""

_Side = Annotated[int, Field(ge=32)]


class Part(BaseModel, frozen=True, extra="forbid"):
    """A table of the suite. Other keys are settings if `Config` has such a field."""

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "settings" not in cls.model_fields:
            return values
        if "settings" in values:
            raise ValueError("write settings as keys of the table itself, not in 'settings'")
        settings = [  # in file order
            key for key in values if key in Config.model_fields and key not in cls.model_fields
        ]
        check_settings(set(settings))
        others = {key: value for key, value in values.items() if key not in settings}
        return others | {"settings": {key: values[key] for key in settings}}


class Synthetic(Part):
    """Generated scenes: their numbers, and their (H, W) in pixels."""

    train: int = Field(48, ge=1)
    val: int = Field(16, ge=1)
    size: tuple[_Side, _Side] = (240, 320)
    seed: int = Field(0, ge=0)


class Data(Part):
    """One data set.

    Attributes:
        name: in tables and file names.
        path: relative to the data root, or absolute; the name if empty.
        dataset: name of a known data set; "" = picie's own layout.
        synthetic: scenes to generate, instead of a path.
        train: split to train on; "" = all images.
        eval: split to score.
        settings: fields of `Config` for this data set.
    """

    name: str = Field(min_length=1)
    path: str = ""
    dataset: str = ""
    synthetic: Synthetic | None = None
    train: str = "train"
    eval: str = "val"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if self.synthetic is not None and (self.path or self.dataset):
            raise ValueError("give synthetic, or path and dataset, not both")
        return self


class System(Part):
    """One row of the table: a preset, settings, and optionally its own seeds or backbones."""

    name: str = Field(min_length=1)
    preset: str = "default"
    seeds: tuple[int, ...] = ()
    backbones: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)


class Grid(Part):
    """Seeds and backbones of systems without their own."""

    seeds: tuple[int, ...] = Field((0,), min_length=1)
    backbones: tuple[str, ...] = Field((DEFAULT_BACKBONE,), min_length=1)


class Published(Part):
    """A result measured by others.

    Attributes:
        system: label of its row, which follows the suite's system of the same name, if any.
        data: name of a data set of the suite.
        accuracy: per cent.
        miou: per cent.
        source: where it was published.
        verified: whether it was checked there, not quoted from others.
    """

    system: str = Field(min_length=1)
    data: str
    accuracy: float | None = Field(None, ge=0, le=100)
    miou: float | None = Field(None, ge=0, le=100)
    source: str = Field(min_length=1)
    verified: bool = False


class Suite(Part):
    """A whole suite; `path` is its file."""

    path: Path
    title: str
    defaults: dict[str, Any] = Field(default_factory=dict)
    data: tuple[Data, ...] = Field(min_length=1)
    systems: tuple[System, ...] = Field(min_length=1)
    grid: Grid = Grid()
    evaluate: dict[str, Any] = Field(default_factory=dict)
    published: tuple[Published, ...] = ()

    def config(self, system: System, data: Data, *, seed: int, backbone: str) -> Config:
        """Settings of one run, without the folder of its images.

        Raises:
            ConfigError: an unknown preset, or an impossible setting.
        """
        settings = self.defaults | data.settings | system.settings
        try:
            return make_config(
                system.preset,
                **settings,
                dataset=data.dataset,
                seed=seed,
                backbone=backbone,
                split=data.train,
            )
        except ConfigError as error:
            raise ConfigError(
                f"{self.path}: system {system.name!r} on {data.name!r}: {error}"
            ) from None


def check_settings(names: set[str]) -> None:
    """Refuse names that are not settings of a suite.

    Raises:
        ValueError: collected by pydantic with other problems.
    """
    for name in sorted(names):
        if name in ELSEWHERE:
            raise ValueError(f"{name!r} is set for each run; give it as {ELSEWHERE[name]}")
        if name not in Config.model_fields:
            near = suggest(name, [field for field in Config.model_fields if field not in ELSEWHERE])
            raise ValueError(f"unknown setting {name!r}; {near}")


_NOT_PROTOCOL = {"model", "data", "split", "dataset", "reporter"}
"""Parameters of `evaluate` that the benchmark sets itself."""

_MOST_SHOWN = 3  # problems in one message


def read_suite(path: Path) -> Suite:
    """Read a suite and check everything except the images.

    Raises:
        ConfigError: no such file, broken TOML, an unknown key (with a suggestion), a duplicate
            name, or an impossible value.
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
    for kind, names in (("data", known), ("systems", [system.name for system in suite.systems])):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigError(
                f"{suite.path}: [[{kind}]] name {repeated[0]!r} occurs twice; make names unique"
            )
    for published in suite.published:
        if published.data not in known:
            raise ConfigError(
                f"{suite.path}: [[published]] data {published.data!r} is not in [[data]]; "
                f"{suggest(published.data, known)}"
            )


def _check_protocol(suite: Suite) -> None:
    """Refuse, before training, what `evaluate` would refuse afterwards."""
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
    items = error.errors(include_url=False)
    # pydantic also reports a list as too short if its only entry is wrong.
    messages = [
        _problem(item) for item in items if item["type"] != "too_short" or not item["input"]
    ]
    more = f"; and {len(messages) - _MOST_SHOWN} more" * (len(messages) > _MOST_SHOWN)
    return "; ".join(messages[:_MOST_SHOWN]) + more


def _problem(item: Any) -> str:
    """One pydantic problem as a clause that names the table."""
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
    """A hint for an unknown key of the table at this location."""
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
    hint = suggest(name, _keys(part) + [field for field in settings if field not in ELSEWHERE])
    if settings and hint.startswith("known"):  # a list of all settings would not help
        return f"known: {', '.join(_keys(part))}, and the settings in picie train --help"
    return hint


def _keys(part: type[Part]) -> list[str]:
    hidden = "path" if part is Suite else "settings"  # not a key of the file
    return [name for name in part.model_fields if name != hidden]
