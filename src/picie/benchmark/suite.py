"""Suites: what a benchmark compares, described in one TOML file.

    title = "CamVid, 11 classes"
    [defaults]      settings of every run
    [[data]]        a labelled folder, or scenes to generate; optionally with its own settings
    [[systems]]     one row of the table: a preset and settings
    [grid]          seeds, backbones
    [evaluate]      protocol: arguments of `evaluate`
    [summary]       optional: a floor and a probe to compare with, over all data sets
    [[published]]   published numbers to compare with

Settings are fields of `Config`. If several tables set one, the later in this order wins: preset,
defaults, data, system.
"""

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from picie.config import DEFAULT_BACKBONE, MOST_SIDE, Config, make_config, suggest
from picie.data.images import check_size
from picie.data.masks import mask_rule
from picie.errors import ConfigError
from picie.evaluation.scoring import evaluate
from picie.runtime.documents import read_toml
from picie.runtime.printable import printable, shown
from picie.runtime.wording import plain_problem

__all__ = [
    "ELSEWHERE",
    "Data",
    "Grid",
    "Part",
    "Published",
    "Suite",
    "Summary",
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


def _one_line(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"{shown(name)} holds a line break or a control character; correct it")
    return name


_Side = Annotated[int, Field(ge=32, le=MOST_SIDE, strict=True)]
_Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
_Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_Text = Annotated[str, Field(max_length=4096)]
_Name = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_one_line)]
_PerCent = Annotated[float, Field(ge=0, le=100, strict=True)]
_MOST = 1000  # entries of a list
_MOST_RUNS = 100_000
_MOST_PIXELS = 1_000_000  # or other units of [evaluate]


class Part(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
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

    train: _Count = 48
    val: _Count = 16
    size: tuple[_Side, _Side] = (240, 320)
    seed: _Seed = 0


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

    name: _Name
    path: _Text = ""
    dataset: _Text = ""
    synthetic: Synthetic | None = None
    train: _Text = "train"
    eval: _Text = "val"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if self.synthetic is not None and (self.path or self.dataset):
            raise ValueError("give synthetic, or path and dataset, not both")
        return self


class System(Part):
    """One row of the table: a preset, settings, and optionally its own seeds or backbones."""

    name: _Name
    preset: _Text = "default"
    seeds: tuple[_Seed, ...] = Field((), max_length=_MOST)
    backbones: tuple[_Text, ...] = Field((), max_length=_MOST)
    settings: dict[str, Any] = Field(default_factory=dict)


class Grid(Part):
    """Seeds and backbones of systems without their own."""

    seeds: tuple[_Seed, ...] = Field((0,), min_length=1, max_length=_MOST)
    backbones: tuple[_Text, ...] = Field((DEFAULT_BACKBONE,), min_length=1, max_length=_MOST)


class Summary(Part):
    """What every run is compared with, and a table over all data sets.

    Attributes:
        floor: a system that trains nothing; runs are compared with its run of the same seed.
        probe: the classifier that learns the labels of the training images, on the features of the
            floor's first seed: once for each data set and backbone.
    """

    floor: _Name
    probe: Literal["linear", "knn"] = "linear"


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

    system: _Name
    data: _Text
    accuracy: _PerCent | None = None
    miou: _PerCent | None = None
    source: str = Field(min_length=1, max_length=4096)
    verified: bool = Field(False, strict=True)


class Suite(Part):
    """A whole suite; `path` is its file."""

    path: Path
    title: _Text
    defaults: dict[str, Any] = Field(default_factory=dict)
    data: tuple[Data, ...] = Field(min_length=1, max_length=_MOST)
    systems: tuple[System, ...] = Field(min_length=1, max_length=_MOST)
    grid: Grid = Grid()
    evaluate: dict[str, Any] = Field(default_factory=dict)
    summary: Summary | None = None
    published: tuple[Published, ...] = Field((), max_length=_MOST)

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

    def probe(self, system: System, seed: int) -> Literal["", "linear", "knn"]:
        """The probe that learns from the features of this run; "" = none."""
        if self.summary is None or system.name != self.summary.floor:
            return ""
        return self.summary.probe if seed == (system.seeds or self.grid.seeds)[0] else ""


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
            raise ValueError(f"unknown setting {shown(name)}; {near}")


_NOT_PROTOCOL = {"model", "data", "split", "dataset", "named", "reporter"}
"""Parameters of `evaluate` that the benchmark sets itself, or that need names."""

_MOST_SHOWN = 3  # problems in one message


def read_suite(path: Path) -> Suite:
    """Read a suite and check everything except the images.

    Raises:
        ConfigError: no such file, broken TOML, an unknown key (with a suggestion), a duplicate
            name, or an impossible value.
    """
    values = read_toml(path)
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
    runs = sum(len(one.seeds or suite.grid.seeds) for one in suite.systems) * len(suite.data)
    if runs > _MOST_RUNS:
        raise ConfigError(f"{path}: describes {runs} runs; give at most {_MOST_RUNS}")
    for data in suite.data:
        for system in suite.systems:
            for seed in system.seeds or suite.grid.seeds:
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
    systems = [system.name for system in suite.systems]
    if suite.summary is not None and suite.summary.floor not in systems:
        raise ConfigError(
            f"{suite.path}: [summary] floor {suite.summary.floor!r} is not in [[systems]]; "
            f"{suggest(suite.summary.floor, systems)}"
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
            message = plain_problem(error.errors(include_url=False)[0])
            raise ConfigError(f"{where} = {shown(value)}: {message}") from None
        if isinstance(value, int) and not 0 <= value <= _MOST_PIXELS:
            raise ConfigError(f"{where} = {shown(value)}: give 0 to {_MOST_PIXELS}")
    chosen = suite.evaluate
    try:
        check_size(chosen.get("size", 32))
        mask_rule(
            chosen.get("void", "auto"),
            chosen.get("mask_map", ()),
            chosen.get("mask_orientation", "auto"),
        )
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
    place = _place(item["loc"])
    name = printable(".".join(str(part) for part in item["loc"][place.count("[") :]))
    if item["type"] == "missing":
        return f"{place}: {name!r} is missing; add it"
    if item["type"] == "extra_forbidden":
        nearest = _nearest(str(item["loc"][-1]), item["loc"][:-1])
        return f"{place}: unknown key {shown(name)}; {nearest}"
    message = plain_problem(item)
    if item["type"] == "value_error":
        return ": ".join([place, *[name] * bool(name), message])
    return f"{place}: {name} = {shown(item['input'])}: {message}"


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
        "summary": Summary,
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
